"""The catalog pane: the models of the catalog and of the hub, a live filter, chips, and what can be done with one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget

from tui.ui.catalog_index import CatalogIndex, is_installed
from tui.ui.chat_messages import ChatRequested
from tui.ui.lines.chips import chips_line
from tui.ui.lines.model_lines import ModelRow, about_lines, header_line, model_line
from tui.ui.lines.span import Line, Span, line
from tui.ui.messages import (
    BuildsRequested,
    CopyRequested,
    GetRequested,
    LadderRequested,
    ModelRequested,
    PickScreenRequested,
    SeveralRequested,
)
from tui.ui.panes.filtering import Filtering
from tui.ui.panes.marking import ModelList
from tui.ui.widgets.filter_input import FilterInput
from tui.ui.widgets.fixed_lines import FixedLines

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.fit.verdict import Fit
    from tui.ui.widgets.row_list import RowList


class CatalogPane(Filtering):
    """Rows of models. ``f`` filters, ``h`` adds what the hub has, ``g`` gets one."""

    NUMBER = 1
    NAME = "Catalog"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "get", "get", id="catalog.get"),
        Binding("enter", "details", "details", id="catalog.details"),
        Binding("slash", "filter", "filter", id="catalog.filter"),
        Binding("F", "form", "all filters", id="catalog.form"),
        Binding("h", "hub", "search the hub", id="catalog.hub"),
        Binding("w", "pick", "pick for me", id="catalog.pick"),
        Binding("space", "mark", "mark", id="catalog.mark"),
        Binding("x", "compare", "compare marked", id="catalog.compare"),
        Binding("b", "builds", "builds", id="catalog.builds"),
        Binding("c", "chat", "chat", id="catalog.chat"),
        Binding("B", "ladder", "ladder of bits", id="catalog.ladder", show=False),
        Binding("f", "chip('fits')", "only what fits", id="catalog.fits"),
        Binding("i", "chip('installed')", "only what is here", id="catalog.installed"),
        Binding("t", "task", "task", id="catalog.task"),
        Binding("o", "reach", "open/API", id="catalog.open"),
        Binding("l", "chip('commercial')", "commercial use", id="catalog.commercial"),
        Binding("s", "sort", "sort", id="catalog.sort"),
        Binding("v", "filters", "kept filters", id="catalog.filters"),
        Binding("y", "copy", "copy id", id="catalog.copy", show=False),
        Binding("escape", "leave", "clear filters", id="catalog.leave", show=False),
    ]

    def compose(self) -> ComposeResult:
        """The filter and its chips, the list, and two lines about the row under the cursor."""
        with Horizontal(id="filter-line"):
            yield FilterInput("/ filter by name, maker, licence …", id="filter")
            yield FixedLines(id="chips")
        yield ModelList(
            lambda model, width: [model_line(self.row_of(model), width)],
            lambda model: model.id,
            header=header_line,
            empty=(line(), line(Span("  reading the catalog …", "dim"))),
            id="models",
        )
        yield FixedLines(id="about")

    def entrance(self) -> Widget:
        """The list."""
        return self.models

    @property
    def model(self) -> Model | None:
        """The model under the cursor."""
        return self.models.row

    def row_of(self, model: Model) -> ModelRow:
        """A model with what this machine says about it now; made only for rows that are seen."""
        here, fit = is_installed(model, self.installed), self.fits.get(model.id)
        return ModelRow(model, here, fit, model.id in self.marked)

    # Data comes down

    def show_models(self, models: Sequence[Model]) -> None:
        """Take in the catalog."""
        self._catalog = models
        self.show_index(CatalogIndex([*models, *self._others]))

    def show_index(self, index: CatalogIndex) -> None:
        """Show rows that are prepared for searching."""
        self.index = index
        self.refill()

    def show_others(self, models: Sequence[Model]) -> None:
        """Take in what is on this disk and not in the catalog."""
        if [model.id for model in models] != [model.id for model in self._others]:
            self._others = models
            if self.index is not None:
                self.show_models(self._catalog)

    def show_installed(self, installed: frozenset[str]) -> None:
        """Take in which models are on this disk."""
        if installed != self.installed:
            self.installed = installed
            self.refill()

    def show_fits(self, fits: Mapping[str, Fit]) -> None:
        """Take in the verdicts of this moment."""
        self.fits = fits
        self.refill()

    @property
    def all_models(self) -> list[Model]:
        """Everything that may need a verdict."""
        return [*(self.index.models if self.index else ()), *self._hub_models]

    def refill(self, *, keep: bool = True) -> None:
        """Fill the list with what is wanted now."""
        if self.index is None:
            return
        models: Sequence[Model] = self.index.visible(self.wanted, self.installed, self.fits)
        if self.hub_on:
            models = [*models, *self.hub_rows(models, self.installed, self.fits)]
        self.models.set_empty(self._empty())
        self.models.set_rows(models, keep=keep)
        total = len(self.index.models)
        marked = f", {len(self.marked)} marked" if self.marked else ""
        some = not self.wanted.is_plain or self.hub_on
        self.set_counts((f"{len(models):,} of {total:,}" if some else f"{total:,} models") + marked)
        self.set_note(self._hub_note if self.hub_on else "")
        chips = chips_line(self.wanted, hub=self.hub_on)
        strip = self.query_one("#chips", FixedLines)
        strip.set_lines(chips)
        strip.styles.width = sum(len(span.text) for span in chips)
        self._tell_about()

    def _empty(self) -> list[Line]:
        if self.hub_on and self._hub_note:
            return [line(), line(Span(f"  {self._hub_note}", "dim"))]
        rows = [line(), line(Span("  No model matches.", "dim")), line()]
        rows.append(line(Span("  esc", "key"), Span(" clears the filters, "), Span("h", "key"), Span(" asks the hub.")))
        return rows

    def _tell_about(self) -> None:
        about = self.query_one("#about", FixedLines)
        about.set_lines(*about_lines(self.row_of(self.model) if self.model else None, about.size.width))

    # Intents go up

    def why_not(self, action: str) -> str:
        """What the row under the cursor allows."""
        model = self.model
        if action == "compare":
            return self.why_not_compare
        if action == "get" and self.marked:
            return ""
        if action in ("get", "details", "copy", "chat", "ladder", "mark") and model is None:
            return "no model is chosen" if self.index else "the catalog is still being read"
        if model is not None and action in ("get", "ladder"):
            return self.why_not_get(model)
        if model is not None and action == "chat":
            return self.why_not_chat(model)
        return ""

    def why_not_get(self, model: Model) -> str:
        """Why ``model`` cannot be fetched; empty when it can."""
        if model.unusable_because:
            return f"{model.name}: {model.unusable_because}"
        if model.is_api:
            return f"{model.name} is an API: c chats with it, there is nothing to get"
        return "" if model.repo else f"{model.name} has no public weights"

    def why_not_chat(self, model: Model) -> str:
        """Why nobody can chat with ``model`` yet; empty when it can be asked."""
        if model.is_api:
            return model.unusable_because and f"{model.name}: {model.unusable_because}"
        return "" if is_installed(model, self.installed) else f"{model.name} is not here yet: g gets it"

    def action_get(self) -> None:
        """Get the model, or all that are marked."""
        if self.marked:
            wanted = [model for model in self.marked.values() if not self.why_not_get(model)]
            if wanted:
                self.post_message(SeveralRequested(wanted))
            else:
                self.app.notify("none of the marked models can be fetched", severity="warning")
        elif not self.refuses("get") and self.model:
            self.post_message(GetRequested(self.model))

    def action_details(self) -> None:
        """Everything about the model."""
        if not self.refuses("details") and self.model:
            self.post_message(ModelRequested(self.model))

    def on_row_list_chosen(self, event: RowList.Chosen) -> None:
        """Enter in the list."""
        event.stop()
        self.action_details()

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Tell about another row."""
        event.stop()
        self._tell_about()
        self.refresh_bindings()
        if self.models.cursor == len(self.models.rows) - 1:
            self.ask_hub_for_more()

    def action_chat(self) -> None:
        """Chat with the model."""
        if not self.refuses("chat") and self.model:
            self.post_message(ChatRequested(self.model.id))

    def action_pick(self) -> None:
        """Choose by answering questions."""
        self.post_message(PickScreenRequested())

    def action_builds(self) -> None:
        """What is on this disk."""
        self.post_message(BuildsRequested())

    def action_ladder(self) -> None:
        """16, 8, 4, 3 and 2 bits of the model side by side."""
        if not self.refuses("ladder") and self.model:
            self.post_message(LadderRequested(self.model.id))

    def action_copy(self) -> None:
        """Copy the repository or id."""
        if not self.refuses("copy") and self.model:
            self.post_message(CopyRequested(self.model.reference, "id"))
