"""Everything that was told since the app opened, newest first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tui.ui.lines.span import Line, Span, line, wrap_line
from tui.ui.messages import CopyRequested
from tui.ui.screens.lines_dialog import LinesDialog

if TYPE_CHECKING:
    from tui.ui.errands import Note

_MARKS = {"information": ("·", "info"), "warning": ("!", "warn"), "error": ("✗", "bad")}


def note_lines(notes: Sequence[Note], width: int) -> list[Line]:
    """Time, mark and text of each note."""
    rows: list[Line] = []
    for note in reversed(notes):
        mark, role = _MARKS[note.severity]
        stamp = time.strftime("%H:%M:%S", time.localtime(note.at))
        for number, text in enumerate(note.text.split("\n")):
            head = line(Span(f"{stamp} ", "dim"), Span(f"{mark} ", role)) if number == 0 else line(Span(" " * 11))
            parts = wrap_line((Span(text),), max(10, width - 11))
            rows += [(*(head if index == 0 else line(Span(" " * 11))), *part) for index, part in enumerate(parts)]
    return rows


class MessagesScreen(LinesDialog):
    """A text that scrolls."""

    LINES_ID = "note-lines"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "copy all", id="messages.copy")]

    def __init__(self, notes: Sequence[Note]) -> None:
        super().__init__("Messages")
        self._notes = notes

    def lines(self, width: int) -> list[Line]:
        """The notes."""
        return note_lines(self._notes, width - 1) or [line(Span("Nothing was told yet.", "dim"))]

    def action_copy(self) -> None:
        """Copy all of it."""
        text = "\n".join(f"{time.strftime('%H:%M:%S', time.localtime(note.at))} {note.text}" for note in self._notes)
        self.app.post_message(CopyRequested(text, "messages"))
