"""The ladder: one model in 16, 8, 4, 3 and 2 bits, as a table and as a plot of size against loss and speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.catalog.ladder import BitRung
from tui.ui.lines.ladder_lines import ladder_lines
from tui.ui.lines.span import Line, Span, line, wrap_line
from tui.ui.messages import LadderWanted
from tui.ui.screens.lines_dialog import LinesDialog


class LadderScreen(LinesDialog):
    """Shows what is known, and makes the rest."""

    LINES_ID = "ladder"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "make", "make what is missing", id="ladder.make")]

    def __init__(self, ref: str) -> None:
        super().__init__(f"The ladder of {ref}")
        self._ref = ref
        self._rungs: Sequence[BitRung] = ()
        self._problem = ""

    def show_rungs(self, rungs: Sequence[BitRung]) -> None:
        """The rungs came."""
        self._rungs, self._problem = rungs, ""
        if self.is_open:
            self.redraw()
            self.refresh_bindings()

    def show_problem(self, summary: str, hint: str) -> None:
        """They cannot be had."""
        self._problem = f"{summary}. {hint}".strip()
        self.redraw()

    def why_not(self, action: str) -> str:
        """When there is nothing to make."""
        if action == "make" and self._rungs and all(rung.here for rung in self._rungs):
            return "every rung is here"
        return ""

    def action_make(self) -> None:
        """Ask for the missing builds."""
        if reason := self.why_not("make"):
            self.app.notify(reason, severity="warning")
            return
        self.dismiss(None)
        self.app.post_message(LadderWanted(self._ref))

    def lines(self, width: int) -> list[Line]:
        """The table and the plots."""
        if self._problem:
            return wrap_line(line(Span("✗ ", "bad"), Span(self._problem, "bad")), max(20, width - 2), "  ")
        return ladder_lines(self._rungs, width - 1) if self._rungs else [line(Span(" looking …", "dim"))]
