"""A text of plain lines that scrolls and can be copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.plain_text import clean_line
from tui.ui.lines.span import Line, Span, line, wrap_line
from tui.ui.messages import CopyRequested
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView


class TextScreen(Dialog[None]):
    """Shows ``rows`` under a title."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("y", "copy", "copy all", id="text.copy")]

    def __init__(self, title: str, rows: Sequence[str]) -> None:
        super().__init__(title)
        self._rows = [clean_line(row, 2_000) if row.strip() == row else "  " + clean_line(row, 2_000) for row in rows]

    def body(self) -> ComposeResult:
        """The text."""
        yield LinesView(id="text-lines")

    def on_mount(self) -> None:
        """The keys scroll."""
        self.query_one(LinesView).focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        view = self.query_one(LinesView) if self.is_open else None
        if view is not None and view.line_width > 1:
            rows: list[Line] = []
            for text in self._rows:
                rows += wrap_line(line(Span(text)), view.line_width - 1, "    ")
            view.set_lines(rows)

    def action_copy(self) -> None:
        """Copy it."""
        self.app.post_message(CopyRequested("\n".join(self._rows), "text"))
