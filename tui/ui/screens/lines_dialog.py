"""A dialog that is one text which scrolls, laid out anew for every width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult

from tui.ui.lines.span import Line
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView


class LinesDialog(Dialog[None]):
    """Subclasses give ``lines`` and call ``redraw`` when these have changed."""

    LINES_ID: ClassVar[str]

    def body(self) -> ComposeResult:
        """The text."""
        yield LinesView(id=self.LINES_ID)

    def on_mount(self) -> None:
        """The keys scroll."""
        self.view.focus()
        self.call_after_refresh(self.redraw)

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self.redraw)

    @property
    def view(self) -> LinesView:
        """What scrolls."""
        return self.query_one(LinesView)

    def redraw(self) -> None:
        """Lay the text out for the width there is; nothing when the dialog has been closed or has no width yet."""
        if self.is_open and self.view.line_width > 1:
            self.view.set_lines(self.lines(self.view.line_width))

    def lines(self, width: int) -> Sequence[Line]:
        """The text for ``width`` cells, of which the last may be covered by the scroll bar."""
        raise NotImplementedError
