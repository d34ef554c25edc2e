"""What is asked about the builds on this disk, and how a model becomes one: the recipe screen and its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.jobs.job import Job, Kind, State
from tui.quantities import bytes_text
from tui.ui.messages import (
    BuildAsked,
    BuildsRequested,
    DiskRequested,
    LadderRequested,
    LadderWanted,
    LoadRequested,
    PlanChosen,
    PruneRequested,
)
from tui.ui.panes.queue_pane import QueuePane
from tui.ui.queue_errands import QueueErrands

if TYPE_CHECKING:
    from tui.catalog.build import Build
    from tui.catalog.leftovers import Leftover
    from tui.catalog.model import Model
    from tui.catalog.recipes import NamedRecipe
    from tui.ui.screens.builds_screen import BuildsScreen
    from tui.ui.screens.disk_screen import DiskScreen
    from tui.ui.screens.recipe_screen import DryRunRequested, PreflightRequested, RecipeSaveRequested
    from tui.workbench import Workbench


class BuildErrands(QueueErrands):
    """Answers the requests of the builds screen and of the recipe screen."""

    _builds_screen: BuildsScreen | None = None
    _disk_screen: DiskScreen | None = None

    def read_installed(self) -> None:
        """Ask which models are on this disk."""
        raise NotImplementedError

    def on_builds_requested(self, event: BuildsRequested) -> None:
        """Open the list of builds."""
        from tui.ui.screens.builds_screen import BuildsScreen

        self._builds_screen = BuildsScreen(self.loaded_builds())
        self.push_screen(self._builds_screen)
        self._read_builds()

    def loaded_builds(self) -> frozenset[str]:
        """Ids of the builds that a host serves now."""
        jobs = self.screen_stack[0].query_one(QueuePane).jobs
        ready = [job for job in jobs if job.kind is Kind.SERVE and job.state is State.READY]
        return frozenset(str(job.result.get("build")) for job in ready)

    def _read_builds(self) -> None:
        screen = self._builds_screen
        if screen is not None:
            self.errand(lambda workbench: workbench.builds(), screen.show_builds, group="builds")
            self.errand(lambda workbench: workbench.disk_use(), screen.show_use, group="disk")

    def on_build_asked(self, event: BuildAsked) -> None:
        """Quantize, measure, remove or bring back a build."""
        build = event.build
        if event.wish == "evaluate":
            self.errand(lambda workbench: (workbench.evaluate(build),), self.told_jobs)
        elif event.wish == "export":
            self.errand(lambda workbench: (workbench.export(build),), self.told_jobs)
        elif event.wish == "load_as":
            from tui.ui.screens.load_screen import LoadScreen

            self.push_screen(LoadScreen(build), lambda way: self._load_as(build, way))
        elif event.wish == "quantize":
            from tui.catalog.model import Model

            self.ask_recipe(Model(id=build.model, name=build.model), build)
        elif event.wish == "restore":
            self.errand(lambda workbench: workbench.restore_build(build.id), self._builds_changed)
        else:
            from tui.ui.screens.confirm_screen import ConfirmScreen

            self.push_screen(
                ConfirmScreen(
                    f"Remove {build.id} ({bytes_text(build.bytes)})?",
                    "u takes it back for a day; its space comes back then.",
                    "remove",
                ),
                lambda yes: self._remove(build) if yes else None,
            )

    def on_disk_requested(self, event: DiskRequested) -> None:
        """Open the list of everything on this disk."""
        from tui.ui.screens.disk_screen import DiskScreen

        self._disk_screen = DiskScreen()
        self.push_screen(self._disk_screen)
        self._read_disk()

    def _read_disk(self) -> None:
        screen = self._disk_screen
        if screen is not None:
            self.errand(
                lambda workbench: workbench.disk_use(compare=True),
                screen.show_use,
                failed=lambda error: screen.show_problem(error.summary),
                group="disk",
            )

    def on_prune_requested(self, event: PruneRequested) -> None:
        """Delete what may go, after a question."""
        from tui.ui.screens.confirm_screen import ConfirmScreen

        what = "Empty the trash" if event.trash else "Delete what nobody goes on with"
        loses = (
            "This cannot be taken back." if event.trash else "Half downloads begin anew when they are asked for again."
        )

        def pruned(done: tuple[list[Leftover], list[str]]) -> None:
            gone, problems = done
            self._read_disk()
            self._read_builds()
            self.tell(f"{bytes_text(sum(item.bytes for item in gone))} freed")
            for problem in problems[:3]:
                self.tell(f"stays: {problem}", severity="warning")

        self.push_screen(
            ConfirmScreen(f"{what} ({bytes_text(event.size)})?", loses, "delete"),
            lambda yes: self.errand(lambda workbench: workbench.prune(trash=event.trash), pruned) if yes else None,
        )

    def _load_as(self, build: Build, way: str | None) -> None:
        if way is not None:
            self.post_message(LoadRequested(build, way))

    def on_ladder_requested(self, event: LadderRequested) -> None:
        """Show the ladder of a model."""
        from tui.ui.screens.ladder_screen import LadderScreen

        screen = LadderScreen(event.ref)
        self.push_screen(screen)
        self.errand(
            lambda workbench: workbench.rungs(workbench.model(event.ref)),
            screen.show_rungs,
            failed=lambda error: screen.show_problem(error.summary, error.hint),
            group="ladder",
        )

    def on_ladder_wanted(self, event: LadderWanted) -> None:
        """Make the missing rungs."""
        self.errand(lambda workbench: workbench.ladder(workbench.model(event.ref)), self.told_jobs)

    def _remove(self, build: Build) -> None:
        def removed(gone: Build) -> None:
            if self._builds_screen is not None:
                self._builds_screen.removed.append(gone)
            self._builds_changed(gone)
            self.tell(f"{gone.id} removed; u takes it back")

        self.errand(lambda workbench: workbench.remove_build(build.id), removed)

    def _builds_changed(self, build: Build) -> None:
        self._read_builds()
        self.read_installed()

    def ask_recipe(self, model: Model, build: Build | None = None) -> None:
        """Open the recipe screen for a model, or for weights on this disk."""
        from tui.ui.screens.recipe_screen import RecipeScreen

        recipes = self.workbench.recipes.all() if self.workbench else ()
        screen = RecipeScreen(model, build, recipes)
        self.push_screen(screen, lambda plan: self.get_model(plan) if plan else None)
        if build is None and model.source in ("hub", "user"):
            self.errand(lambda workbench: workbench.gguf_files(model), screen.show_files, failed=lambda _: None)

    def on_recipe_save_requested(self, event: RecipeSaveRequested) -> None:
        """Keep a recipe under a name."""

        def saved(named: NamedRecipe) -> None:
            self.tell(f"{named.name} is saved; heft recipes show {named.name} prints it for others")
            screen = self.screen
            if hasattr(screen, "show_saved"):
                screen.show_saved(named)

        self.errand(lambda workbench: workbench.recipes.save(event.name, event.recipe), saved)

    def on_dry_run_requested(self, event: DryRunRequested) -> None:
        """Quantize one layer."""
        self.errand(lambda workbench: (workbench.dry_run(event.build, event.recipe),), self.told_jobs)

    def on_preflight_requested(self, event: PreflightRequested) -> None:
        """Work out what a plan takes."""
        screen, model, recipe, build = event.screen, event.model, event.recipe, event.build
        self.errand(
            lambda workbench: workbench.preflight(model, recipe, build),
            screen.show_preflight,
            failed=lambda error: screen.show_problem(error.summary, error.hint),
            group="preflight",
        )

    def get_model(self, plan: PlanChosen) -> None:
        """Submit the jobs of a plan."""

        def work(workbench: Workbench) -> tuple[Job, ...]:
            if plan.build is not None:
                return workbench.quantize_build(plan.build, plan.recipe) if plan.recipe else ()
            if plan.load:
                return workbench.get(plan.model, plan.recipe)
            if plan.recipe is not None:
                return workbench.quantize(plan.model, plan.recipe)
            return (workbench.pull(plan.model),)

        self.errand(work, self.told_jobs)

    def on_load_requested(self, event: LoadRequested) -> None:
        """Load a build."""
        build, way = event.build, event.load_as
        self.errand(lambda workbench: (workbench.serve(build, load_as=way),), self.told_jobs)
