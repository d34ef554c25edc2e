"""Asking for jobs: downloads, builds, hosts, measurements, and what they would take before they start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.catalog.build import Build, Recipe
from tui.catalog.ladder import BitRung, rungs
from tui.catalog.model import Model
from tui.fit.config_facts import folder_model
from tui.fit.outlook import Outlook, outlook
from tui.jobs.job import Job, WhenFree
from tui.jobs.ladder import ladder_recipes
from tui.jobs.launch import ensure_runner
from tui.jobs.liveness import marked_jobs
from tui.jobs.preflight import Preflight, compute_device, quantize_problem
from tui.jobs.remedies import Remedy, memory_words, remedies
from tui.workbench.fits import FitRequests


class WorkRequests(FitRequests):
    """Requests that end in a job."""

    def preflight(self, model: Model, recipe: Recipe | None = None, build: Build | None = None) -> Preflight:
        """What getting ``model`` (and quantizing it with ``recipe``) takes, before anything starts; with a ``build``,
        what quantizing that takes."""
        found = self.planner.preflight(model, recipe, build)
        if recipe is None or found.problems:
            return found
        source = build or self.planner.original(model)
        known = folder_model(source.path, model_id=model.id) if source else model
        device = compute_device(self.snapshot())
        return replace(found, seconds=outlook(known, recipe, source, self.builds(), device).seconds)

    def pull(self, model: Model, revision: str = "") -> Job:
        """Ask for the download of a model; raises when the hub refuses it or the disk cannot take it."""
        return self._started(self.planner.pull(replace(model, revision=revision or model.revision)))[-1]

    def quantize(self, model: Model, recipe: Recipe, name: str = "", when: WhenFree | None = None) -> tuple[Job, ...]:
        """Ask for a build of ``model`` made with ``recipe``; downloads the original first where it is not here."""
        return self._started(self.planner.quantize(model, recipe, name, when))

    def quantize_build(
        self, build: Build, recipe: Recipe, name: str = "", when: WhenFree | None = None
    ) -> tuple[Job, ...]:
        """Ask for a build made from weights that are on this disk."""
        return self._started(self.planner.quantize_build(build, recipe, name, when))

    def serve(
        self,
        build: Build,
        context: int | None = None,
        port: int | None = None,
        idle_minutes: int | None = None,
        when: WhenFree | None = None,
        engine: str = "auto",
        device: str = "",
        load_as: str = "",
    ) -> Job:
        """Ask for a host of ``build``; one that already loads or serves it is returned instead. ``engine`` is "auto",
        "transformers" or "llama.cpp"; ``device`` is "cpu" or "cuda:1", else the model goes where it fits; ``load_as``
        quantizes 16-bit weights while they load: "int8", "nf4" or "torchao-int8"."""
        return self._started(self.planner.serve(build, context, port, idle_minutes, when, engine, device, load_as))[-1]

    def remedies(self, job: Job) -> tuple[str, tuple[Remedy, ...]]:
        """What a host that died was to take, in words, and what to try instead; raises ``NotFoundError`` when its
        build is not here any more."""
        builds, seen = self.builds(), self.snapshot()
        build = self.build(str(job.spec.get("build") or job.result.get("build") or job.model))
        return memory_words(job, build, seen), remedies(job, build, builds, seen)

    def export(self, build: Build, kind: str = "auto", name: str = "") -> Job:
        """Ask for ``build`` as a GGUF file, bit for bit where it is a GPTQ build; refused with the reason where it
        would not be exact."""
        return self._started(self.planner.export(build, kind, name))[-1]

    def get(self, model: Model, recipe: Recipe | None = None, name: str = "") -> tuple[Job, ...]:
        """Get this model: download, quantize when there is a recipe, and load, as linked jobs."""
        return self._started(self.planner.get(model, recipe, name))

    def evaluate(self, build: Build, text: str = "", when: WhenFree | None = None) -> Job:
        """Ask for the perplexity of a build on ``text`` (a file) or the built-in text."""
        return self._started(self.planner.evaluate(build, text, when))[-1]

    def dry_run(self, build: Build, recipe: Recipe) -> Job:
        """Ask for one layer of ``build`` to be quantized with ``recipe``: its result predicts the whole."""
        return self._started(self.planner.dry_run(build, recipe))[-1]

    def ladder(self, model: Model, when: WhenFree | None = None) -> tuple[Job, ...]:
        """Ask for the 8-, 4-, 3- and 2-bit builds of ``model`` that are not here, as one chain of jobs."""
        return self._started(self.planner.ladder(model, when))

    def rungs(self, model: Model) -> list[BitRung]:
        """16, 8, 4, 3 and 2 bits of ``model`` side by side, as far as they are here and measured."""
        source = self.planner.original(model)
        wanted = {recipe.bits: (name, recipe.label) for name, recipe in ladder_recipes(model, source)}
        return rungs(self.builds(), source.id if source else model.id, wanted)

    def outlook(self, model: Model, recipe: Recipe) -> Outlook:
        """What ``recipe`` would take on ``model``: size, memory and time, and why it cannot work."""
        source = self.planner.original(model)
        seen = self.snapshot()
        found = outlook(model, recipe, source, self.builds(), compute_device(seen))
        return replace(found, problem=quantize_problem(model, recipe, source, seen, self.paths))

    def benchmark(self, build: Build, tasks: str, names: Sequence[str] = (), limit: int | None = None) -> Job:
        """Ask for benchmark tasks on a build: those ``names`` (all when empty) of the task files in ``tasks``."""
        return self._started(self.planner.benchmark(build, tasks, names, limit))[-1]

    def keep_running(self) -> None:
        """See to it that a runner works on what is left, and ends what jobs left behind when theirs was killed; cheap,
        to be called every few seconds by whoever watches."""
        if self.store.unfinished() or marked_jobs(self.paths.jobs):
            ensure_runner(self.paths)

    def _asked(self, job: Job) -> Job:
        ensure_runner(self.paths)
        return job

    def _started(self, jobs: tuple[Job, ...]) -> tuple[Job, ...]:
        ensure_runner(self.paths)
        return jobs
