"""A text of plain lines that scrolls and can be copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.plain_text import clean_line
from tui.ui.lines.span import Line, Span, line, wrap_line
from tui.ui.messages import CopyRequested
from tui.ui.screens.lines_dialog import LinesDialog


class TextScreen(LinesDialog):
    """Shows ``rows`` under a title."""

    LINES_ID = "text-lines"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "copy all", id="text.copy")]

    def __init__(self, title: str, rows: Sequence[str]) -> None:
        super().__init__(title)
        self._rows = [clean_line(row, 2_000) if row.strip() == row else "  " + clean_line(row, 2_000) for row in rows]

    def lines(self, width: int) -> list[Line]:
        """The rows, wrapped."""
        return [part for text in self._rows for part in wrap_line(line(Span(text)), width - 1, "    ")]

    def action_copy(self) -> None:
        """Copy it."""
        self.app.post_message(CopyRequested("\n".join(self._rows), "text"))
