"""What the catalog pane asks for: models, the hub, verdicts, builds, and getting a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tui.errors import HeftError, HubUnreachableError
from tui.ui.build_errands import BuildErrands
from tui.ui.lines.fit_lines import Judged
from tui.ui.lines.welcome_lines import welcome_of
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.panes.hardware_pane import HardwarePane
from tui.ui.panes.queue_pane import QueuePane

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.fit.verdict import Fit
    from tui.hardware.snapshot import Snapshot
    from tui.jobs.job import Job
    from tui.ui.messages import CopyRequested, GetRequested, HubSearchRequested, ModelRequested, StarterRequested
    from tui.ui.screens.model_screen import FitsRequested
    from tui.workbench import Workbench


def judge_all(workbench: Workbench, models: Sequence[Model], snapshot: Snapshot) -> dict[str, Fit]:
    """The best fit of every model that can be loaded, by id."""
    return {
        model.id: workbench.best_fit(model, snapshot) for model in models if model.repo and not model.unusable_because
    }


def judge_one(workbench: Workbench, model: Model, context: int | None = None) -> Judged:
    """What the screen of one model shows of its size."""
    sized = workbench.sized(model)
    return Judged(
        sized,
        workbench.fits(sized, context),
        workbench.needs(sized, context),
        workbench.ladders(sized),
        workbench.quantize_fit(sized),
    )


class CatalogErrands(BuildErrands):
    """Answers the requests of the catalog pane."""

    @property
    def catalog_pane(self) -> CatalogPane:
        """The pane."""
        return self.screen_stack[0].query_one(CatalogPane)

    def read_catalog(self) -> None:
        """Load the catalog, say what is wrong in it, and ask what is installed."""

        def then(found: tuple[list[Model], list[str]]) -> None:
            models, problems = found
            self.catalog_pane.show_models(models)
            for problem in problems[:3]:
                self.tell(problem, severity="warning", title="catalog", timeout=10)
            self.judge_models()

        def work(workbench: Workbench) -> tuple[list[Model], list[str]]:
            catalog = workbench.catalog()
            problems = [*map(str, catalog.problems), *workbench.settings.problems]
            return list(catalog.models), problems

        self.errand(work, then, group="catalog")
        self.read_installed()

    def read_installed(self) -> None:
        """Ask which models are on this disk."""

        def then(found: tuple[frozenset[str], list[Model]]) -> None:
            self.catalog_pane.show_others(found[1])
            self.catalog_pane.show_installed(found[0])

        self.errand(lambda workbench: (workbench.installed(), workbench.other_models()), then, group="installed")

    def judge_models(self) -> None:
        """Hold every model against the machine as it is now."""
        models = self.catalog_pane.all_models
        snapshot = self.screen_stack[0].query_one(HardwarePane).snapshot
        if models and snapshot.taken:
            self.errand(lambda workbench: judge_all(workbench, models, snapshot), self.show_verdicts, group="fits")

    def show_verdicts(self, fits: Mapping[str, Fit]) -> None:
        """The verdicts of this moment; where nothing was ever done they are a part of the welcome."""
        self.catalog_pane.show_fits(fits)
        desk = self.screen_stack[0]
        queue, snapshot = desk.query_one(QueuePane), desk.query_one(HardwarePane).snapshot
        if not queue.jobs and not self.catalog_pane.installed:
            from tui.doctor import token_place

            queue.show_welcome(welcome_of(snapshot, fits, bool(token_place())))

    def on_hub_search_requested(self, event: HubSearchRequested) -> None:
        """Search the hub; an unreachable hub is said, never shown as "nothing found"."""
        query = event.query
        named = f"named {query.words!r}" if query.words else "of this kind"

        def found(models: list[Model]) -> None:
            more = ", the end of the list brings more" if len(models) >= event.limit else ""
            talked = "most talked about, " if not query.words else ""
            note = f"hub: {talked}{len(models)} found{more}" if models else f"the hub has no model {named}"
            self.catalog_pane.show_hub(query, models, note)
            self.judge_models()

        def failed(error: HeftError) -> None:
            what = "hub unreachable" if isinstance(error, HubUnreachableError) else "hub"
            self.catalog_pane.show_hub(query, (), f"{what}: {error.summary}; h asks again")

        self.errand(
            lambda workbench: workbench.search_hub(
                query.words,
                event.limit,
                query.task,
                min_params=query.least,
                max_params=query.most,
                ungated=query.ungated,
            ),
            found,
            failed=failed,
            group="hub",
        )

    def on_model_requested(self, event: ModelRequested) -> None:
        """Open the screen of one model and bring its parts as they come."""
        from tui.ui.screens.model_screen import ModelScreen

        model, pane = event.model, self.catalog_pane
        screen = ModelScreen(model, pane.why_not_get(model), pane.why_not_chat(model))
        self.push_screen(screen)
        if model.repo and not model.unusable_because:
            self.errand(lambda workbench: judge_one(workbench, model), screen.show_judged, failed=lambda _: None)
            self.errand(
                lambda workbench: workbench.files(model),
                screen.show_files,
                failed=lambda error: screen.show_files((), error.summary),
            )
        self.errand(lambda workbench: workbench.card(model), screen.show_card)

    def on_fits_requested(self, event: FitsRequested) -> None:
        """Judge a model at another context length."""
        screen, model, context = event.screen, event.model, event.context
        self.errand(lambda workbench: judge_one(workbench, model, context), screen.show_judged, group="context")

    def on_get_requested(self, event: GetRequested) -> None:
        """Ask how to get a model, then get it."""
        self.ask_recipe(event.model)

    def on_starter_requested(self, event: StarterRequested) -> None:
        """The first answer on a new machine: no network, no question."""

        def work(workbench: Workbench) -> tuple[Job, ...]:
            starter = next(model for model in workbench.catalog().models if model.source == "starter")
            return workbench.get(starter)

        self.errand(work, self.told_jobs)

    def on_copy_requested(self, event: CopyRequested) -> None:
        """Copy to the user's own machine."""
        self.copy_text(event.text, event.what)
