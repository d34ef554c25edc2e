"""Marks on models: what is marked, side by side or fetched together, and the filters that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

from tui.ui.catalog_index import Wanted
from tui.ui.lines.problem_lines import problem_lines
from tui.ui.lines.span import Span, line
from tui.ui.messages import CompareRequested, FiltersRequested
from tui.ui.panes.pane import Pane
from tui.ui.widgets.row_list import RowList

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.errors import HeftError
    from tui.ui.lines.model_lines import ModelRow


UNOPENED = (
    line(Span("q", "key"), Span(" quits; "), Span("heft doctor", "key"), Span(" looks at everything Heft needs.")),
    line(Span("Nothing was changed: jobs that run go on, and what was downloaded or written stays.", "dim")),
)


class ModelList(RowList["Model"]):
    """The list of models: space marks here, so it does not turn the page."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "mark_row", "mark", show=False, id="list.mark")]

    class Marked(Message):
        """Space was pressed on a row."""

    _problem: HeftError | None = None

    def show_problem(self, error: HeftError) -> None:
        """There will be no models: say why, and what to do."""
        self._problem = error
        self._tell_problem()

    def on_resize(self, event: events.Resize) -> None:
        """Words wrap to the width."""
        self._tell_problem()

    def _tell_problem(self) -> None:
        if self._problem is not None and self.line_width > 0:
            self.set_empty(problem_lines(self._problem, self.line_width, UNOPENED))

    def action_mark_row(self) -> None:
        """Mark the row under the cursor."""
        self.post_message(self.Marked())


class Marking(Pane):
    """A pane with a list of models that can be marked and filtered."""

    def __init__(self) -> None:
        super().__init__()
        self.marked: dict[str, Model] = {}
        self.wanted = Wanted()

    @property
    def models(self) -> ModelList:
        """The list of models."""
        return self.query_one("#models", ModelList)

    def row_of(self, model: Model) -> ModelRow:
        """A model with what this machine says about it."""
        raise NotImplementedError

    def refill(self, *, keep: bool = True) -> None:
        """Fill the list with what is wanted now."""
        raise NotImplementedError

    def _want(self, wanted: Wanted) -> None:
        self.wanted = wanted
        self.refill(keep=False)
        self.hub_may_differ()

    def hub_may_differ(self) -> None:
        """Another filter: the hub might answer otherwise."""

    @property
    def why_not_compare(self) -> str:
        """Why nothing can be compared; empty when it can."""
        return "" if len(self.marked) > 1 else "mark two models or more first: space marks"

    def on_model_list_marked(self, event: ModelList.Marked) -> None:
        """Space in the list."""
        event.stop()
        self.action_mark()

    def action_mark(self) -> None:
        """Mark the row or take its mark off, and go to the next."""
        model = self.models.row
        if self.refuses("mark") or model is None:
            return
        if self.marked.pop(model.id, None) is None:
            self.marked[model.id] = model
        self.models.action_move(1)
        self.refill()
        self.refresh_bindings()

    def unmark(self) -> None:
        """Take all marks off."""
        self.marked.clear()
        self.refill()
        self.refresh_bindings()

    def action_compare(self) -> None:
        """The marked models side by side."""
        if not self.refuses("compare"):
            self.post_message(CompareRequested(tuple(self.row_of(model) for model in self.marked.values())))

    def action_filters(self) -> None:
        """Choose among the kept filters."""
        self.post_message(FiltersRequested(self.wanted))

    def use(self, wanted: Wanted) -> None:
        """Filter as ``wanted``, which somebody kept."""
        with self.prevent(Input.Changed):
            self.query_one("#filter", Input).value = wanted.text
        self._want(wanted)
