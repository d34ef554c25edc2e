"""What lies on this disk, and the two ways to get space back: prune what nobody goes on with, empty the trash."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.jobs.disk_use import DiskUse
from tui.ui.lines.disk_lines import disk_lines, in_trash, prunable
from tui.ui.lines.span import Line, Span, line, wrap_line
from tui.ui.messages import PruneRequested
from tui.ui.screens.lines_dialog import LinesDialog


class DiskScreen(LinesDialog):
    """A text that scrolls; the app brings it anew after something was deleted."""

    LINES_ID = "disk-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "prune", "prune", id="disk.prune"),
        Binding("t", "empty_trash", "empty the trash", id="disk.empty_trash"),
    ]

    def __init__(self) -> None:
        super().__init__("On this disk")
        self._use: DiskUse | None = None
        self._problem = ""

    def show_use(self, use: DiskUse) -> None:
        """What there is came."""
        self._use, self._problem = use, ""
        self.redraw()
        self.refresh_bindings()

    def show_problem(self, summary: str) -> None:
        """It cannot be read."""
        self._problem = summary
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        """What there is."""
        if self._problem:
            return wrap_line(line(Span("✗ ", "bad"), Span(self._problem, "bad")), max(20, width - 2), "  ")
        return [line(Span("looking …", "dim"))] if self._use is None else disk_lines(self._use, max(40, width))

    def why_not(self, action: str) -> str:
        """Whether there is anything to delete."""
        if action == "prune" and not (self._use and prunable(self._use)):
            return "nothing lies around that may go"
        if action == "empty_trash" and not (self._use and in_trash(self._use)):
            return "the trash is empty"
        return ""

    def _ask(self, action: str, size: int, *, trash: bool) -> None:
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning")
        else:
            self.app.post_message(PruneRequested(size, trash))

    def action_prune(self) -> None:
        """Delete what may go, after a question."""
        self._ask("prune", prunable(self._use) if self._use else 0, trash=False)

    def action_empty_trash(self) -> None:
        """Delete what was removed, after a question."""
        self._ask("empty_trash", in_trash(self._use) if self._use else 0, trash=True)
