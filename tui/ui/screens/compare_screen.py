"""The marked models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.ui.lines.compare_lines import columns_at, compare_lines
from tui.ui.lines.model_lines import ModelRow
from tui.ui.messages import NewTrialRequested
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView


class CompareScreen(Dialog[None]):
    """A grid of facts; ``left`` and ``right`` bring models that there is no room for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t", "trial", "put prompts to them", id="compare.trial"),
        Binding("left", "turn(-1)", "earlier", show=False, id="compare.left"),
    ]
    BINDINGS += [Binding("right", "turn(1)", "later", show=False, id="compare.right")]
    DEFAULT_CSS = "CompareScreen > #box { max-width: 200; }"

    def __init__(self, rows: Sequence[ModelRow]) -> None:
        super().__init__(f"{len(rows)} models side by side")
        self._rows = rows
        self._first = 0

    def body(self) -> ComposeResult:
        """The grid."""
        yield LinesView(id="grid")

    def on_mount(self) -> None:
        """The grid scrolls."""
        self.query_one(LinesView).focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """As many columns as there is room for."""
        self.call_after_refresh(self._draw)

    def action_turn(self, step: int) -> None:
        """Other models."""
        shown, _ = columns_at(self.query_one(LinesView).line_width - 1, len(self._rows))
        self._first = max(0, min(self._first + step, len(self._rows) - shown))
        self._draw()

    def action_trial(self) -> None:
        """From facts to answers: a trial of these models."""
        names = tuple(name for row in self._rows for name in (row.model.id, row.model.repo) if name)
        self.dismiss(None)
        self.app.post_message(NewTrialRequested(names))

    def _draw(self) -> None:
        view = self.query_one(LinesView) if self.is_mounted else None
        if view is not None and view.line_width > 1:
            view.set_lines(compare_lines(self._rows, view.line_width - 1, self._first))
