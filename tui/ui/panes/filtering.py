"""What narrows the list of models: the filter that is typed, the chips, the form, and the way back to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.widgets import Input

from tui.ui.catalog_index import CatalogIndex, Wanted, next_reach, next_sort, next_task, turned
from tui.ui.messages import FilterFormRequested
from tui.ui.panes.hub_rows import HubRows
from tui.ui.widgets.filter_input import FilterInput

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.fit.verdict import Fit


class Filtering(HubRows):
    """Rows of an index of models that what is wanted filters."""

    def __init__(self) -> None:
        super().__init__()
        self.index: CatalogIndex | None = None
        self.installed: frozenset[str] = frozenset()
        self.fits: Mapping[str, Fit] = {}
        self._catalog: Sequence[Model] = ()
        self._others: Sequence[Model] = ()

    def action_filter(self) -> None:
        """Type into the filter."""
        self.query_one("#filter", Input).focus()

    def action_chip(self, name: str) -> None:
        """Turn a filter on or off."""
        self._want(turned(self.wanted, name))

    def action_task(self) -> None:
        """The next kind of model."""
        self._want(next_task(self.wanted, self.index.tasks if self.index else ()))

    def action_reach(self) -> None:
        """Open weights, APIs, all."""
        self._want(next_reach(self.wanted))

    def action_sort(self) -> None:
        """The next order."""
        self._want(next_sort(self.wanted))

    def action_form(self) -> None:
        """All filters in one form."""
        if self.index is not None:
            from tui.ui.screens.filter_form_screen import filter_choices

            index = self.index
            choices = filter_choices(self.wanted, index.models, index.tasks)
            self.post_message(
                FilterFormRequested(
                    self.wanted, choices, lambda wanted: len(index.visible(wanted, self.installed, self.fits))
                )
            )

    def action_leave(self) -> None:
        """Take the marks off; then back to all models."""
        if self.marked:
            self.unmark()
            return
        field = self.query_one("#filter", Input)
        self.leave_hub()
        self.wanted = Wanted(sort=self.wanted.sort)
        with self.prevent(Input.Changed):
            field.value = ""
        self.refill(keep=True)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter at once; ask the hub when the typing pauses."""
        event.stop()
        self._want(replace(self.wanted, text=event.value.strip()))

    def on_filter_input_left(self, event: FilterInput.Left) -> None:
        """From the filter to the list."""
        event.stop()
        self.models.focus()
