"""The marked models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.ui.lines.compare_lines import columns_at, compare_lines
from tui.ui.lines.model_lines import ModelRow
from tui.ui.lines.span import Line
from tui.ui.messages import NewTrialRequested
from tui.ui.screens.lines_dialog import LinesDialog


class CompareScreen(LinesDialog):
    """A grid of facts; ``left`` and ``right`` bring models that there is no room for."""

    LINES_ID = "grid"
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

    def action_turn(self, step: int) -> None:
        """Other models."""
        shown, _ = columns_at(self.view.line_width - 1, len(self._rows))
        self._first = max(0, min(self._first + step, len(self._rows) - shown))
        self.redraw()

    def action_trial(self) -> None:
        """From facts to answers: a trial of these models."""
        names = tuple(name for row in self._rows for name in (row.model.id, row.model.repo) if name)
        self.dismiss(None)
        self.app.post_message(NewTrialRequested(names))

    def lines(self, width: int) -> list[Line]:
        """As many columns as there is room for."""
        return compare_lines(self._rows, width - 1, self._first)
