"""What lies on this disk, and the two ways to get space back: prune what nobody goes on with, empty the trash."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.jobs.disk_use import DiskUse
from tui.ui.lines.disk_lines import disk_lines, in_trash, prunable
from tui.ui.lines.span import Span, line
from tui.ui.messages import PruneRequested
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView


class DiskScreen(Dialog[None]):
    """A text that scrolls; the app brings it anew after something was deleted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "prune", "prune", id="disk.prune"),
        Binding("t", "empty_trash", "empty the trash", id="disk.empty_trash"),
    ]

    def __init__(self) -> None:
        super().__init__("On this disk")
        self._use: DiskUse | None = None

    def body(self) -> ComposeResult:
        """The lines."""
        yield LinesView(id="disk-lines")

    def on_mount(self) -> None:
        """The keys scroll."""
        view = self.query_one(LinesView)
        view.set_lines([line(Span("looking …", "dim"))])
        view.focus()

    def on_resize(self) -> None:
        """Lay out again."""
        self.call_after_refresh(self._draw)

    def show_use(self, use: DiskUse) -> None:
        """What there is came."""
        self._use = use
        self._draw()
        self.refresh_bindings()

    def show_problem(self, summary: str) -> None:
        """It cannot be read."""
        if self.is_open:
            self.query_one(LinesView).set_lines([line(Span("✗ ", "bad"), Span(summary, "bad"))])

    def _draw(self) -> None:
        if self.is_open and self._use is not None:
            view = self.query_one(LinesView)
            view.set_lines(disk_lines(self._use, max(40, view.line_width)))

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
