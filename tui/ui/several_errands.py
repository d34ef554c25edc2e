"""What the catalog asks for about several models: side by side, getting them all, and the filters that are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.errors import HeftError
from tui.quantities import bytes_text
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.queue_errands import QueueErrands

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.jobs.job import Job
    from tui.ui.catalog_index import Wanted
    from tui.ui.messages import CompareRequested, FilterFormRequested, FiltersRequested, SeveralRequested
    from tui.ui.screens.filters_screen import FilterAsked
    from tui.workbench import Workbench


class SeveralErrands(QueueErrands):
    """Answers the requests about marked models and kept filters."""

    def on_compare_requested(self, event: CompareRequested) -> None:
        """Show them side by side."""
        from tui.ui.screens.compare_screen import CompareScreen

        self.push_screen(CompareScreen(event.rows))

    def on_several_requested(self, event: SeveralRequested) -> None:
        """Ask once, then queue the download of each."""
        from tui.ui.screens.confirm_screen import ConfirmScreen

        models = event.models
        size = sum(model.weights_bytes or 2 * (model.params or 0) for model in models)
        names = ", ".join(model.name for model in models)
        question = f"Get {len(models)} models as published, about {bytes_text(size)}?"
        self.push_screen(ConfirmScreen(question, names, "get them"), lambda yes: self._get_all(models) if yes else None)

    def _get_all(self, models: list[Model]) -> None:
        def work(workbench: Workbench) -> tuple[list[Job], list[str]]:
            jobs, refused = [], []
            for model in models:
                try:
                    jobs.append(workbench.pull(model))
                except HeftError as error:
                    refused.append(f"{model.name}: {error.summary}")
            return jobs, refused

        def then(answer: tuple[list[Job], list[str]]) -> None:
            jobs, refused = answer
            self.wake_feed()
            if jobs:
                self.tell(f"{len(jobs)} downloads are in the queue (3)", title="queued")
                self.screen_stack[0].query_one(CatalogPane).unmark()
            for words in refused[:4]:
                self.tell(words, severity="error", timeout=10)

        self.errand(work, then)

    def on_filter_form_requested(self, event: FilterFormRequested) -> None:
        """All filters in one form."""
        from tui.ui.screens.filter_form_screen import FilterFormScreen

        pane = self.screen_stack[0].query_one(CatalogPane)
        screen = FilterFormScreen(event.present, event.choices, event.count)
        self.push_screen(screen, lambda wanted: pane.use(wanted) if wanted else None)

    def on_filters_requested(self, event: FiltersRequested) -> None:
        """Choose among the kept filters."""
        from tui.ui.screens.filters_screen import FiltersScreen

        pane = self.screen_stack[0].query_one(CatalogPane)
        self.push_screen(FiltersScreen(event.present), lambda wanted: pane.use(wanted) if wanted else None)

    def on_filter_asked(self, event: FilterAsked) -> None:
        """List, keep or forget."""

        def work(workbench: Workbench) -> dict[str, Wanted]:
            from tui.ui.saved_filters import SavedFilters

            kept = SavedFilters(workbench.paths.state / "filters.json")
            try:
                if event.wish == "keep":
                    return kept.keep(event.name, event.wanted)
                return kept.forget(event.name) if event.wish == "forget" else kept.all()
            except OSError as error:
                raise HeftError(f"the filters cannot be kept: {error.strerror or error}") from error

        self.errand(work, event.screen.show_filters, group="filters")
