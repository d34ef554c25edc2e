"""The kept filters of the catalog: choose one, keep the present one, forget one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.ui.catalog_index import Wanted
from tui.ui.lines.span import Span, fit_cells, line
from tui.ui.request import Request
from tui.ui.saved_filters import filter_name
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.row_list import RowList


class FilterAsked(Request):
    """List the kept filters (``wish`` "list"), or "keep" or "forget" one of them."""

    screen: FiltersScreen
    wish: str
    name: str
    wanted: Wanted


class FiltersScreen(Dialog[Wanted]):
    """Answers with the filter to use, or None."""

    LARGE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "use it", id="filters.choose", priority=True),
        Binding("a", "keep", "keep the present one", id="filters.keep"),
        Binding("d", "forget", "forget", id="filters.forget"),
    ]
    DEFAULT_CSS = "FiltersScreen #filters { height: 14; }"

    def __init__(self, present: Wanted) -> None:
        super().__init__("Kept filters")
        self._present = present

    def body(self) -> ComposeResult:
        """The list."""
        yield RowList[tuple[str, Wanted]](
            lambda row, width: [line(Span(fit_cells(row[0], width)))],
            lambda row: row[0],
            empty=(line(), line(Span("  None yet. "), Span("a", "key"), Span(" keeps the present one."))),
            id="filters",
        )

    @property
    def list(self) -> RowList[tuple[str, Wanted]]:
        """The list."""
        return self.query_one("#filters", RowList)

    def on_mount(self) -> None:
        """Ask for them."""
        self.list.focus()
        self._ask("list")

    def _ask(self, wish: str, name: str = "") -> None:
        self.post_message(FilterAsked(self, wish, name, self._present))

    def show_filters(self, filters: Mapping[str, Wanted]) -> None:
        """They came."""
        if self.is_mounted:
            self.list.set_rows(list(filters.items())[::-1])

    def action_choose(self) -> None:
        """Use the one under the cursor."""
        if self.list.row is not None:
            self.dismiss(self.list.row[1])

    def action_keep(self) -> None:
        """Keep what the catalog shows now, under the words for it."""
        if self._present == Wanted():
            self.app.notify("nothing is filtered now, so there is nothing to keep", severity="warning")
        else:
            self._ask("keep", filter_name(self._present))

    def action_forget(self) -> None:
        """Forget the one under the cursor."""
        if self.list.row is not None:
            self._ask("forget", self.list.row[0])
