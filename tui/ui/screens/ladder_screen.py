"""The ladder: one model in 16, 8, 4, 3 and 2 bits, as a table and as a plot of size against loss and speed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.catalog.ladder import BitRung
from tui.ui.lines.ladder_lines import ladder_lines
from tui.ui.lines.span import Span, line, wrap_line
from tui.ui.messages import LadderWanted
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView


class LadderScreen(Dialog[None]):
    """Shows what is known, and makes the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "make", "make what is missing", id="ladder.make")]

    def __init__(self, ref: str) -> None:
        super().__init__(f"The ladder of {ref}")
        self._ref = ref
        self._rungs: Sequence[BitRung] = ()

    def body(self) -> ComposeResult:
        """The table and the plots."""
        yield LinesView(id="ladder")

    def on_mount(self) -> None:
        """It scrolls."""
        view = self.query_one(LinesView)
        view.focus()
        view.set_lines([line(Span(" looking …", "dim"))])

    def on_resize(self) -> None:
        """Another width."""
        self.call_after_refresh(self._draw)

    def show_rungs(self, rungs: Sequence[BitRung]) -> None:
        """The rungs came."""
        self._rungs = rungs
        if self.is_open:
            self.call_after_refresh(self._draw)
            self.refresh_bindings()

    def show_problem(self, summary: str, hint: str) -> None:
        """They cannot be had."""
        if self.is_open:
            words = line(Span("✗ ", "bad"), Span(f"{summary}. {hint}".strip(), "bad"))
            self.query_one(LinesView).set_lines(
                wrap_line(words, max(20, self.query_one(LinesView).line_width - 2), "  ")
            )

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

    def _draw(self) -> None:
        view = self.query_one(LinesView) if self.is_mounted else None
        if view is not None and self._rungs and view.line_width > 1:
            view.set_lines(ladder_lines(self._rungs, view.line_width - 1))
