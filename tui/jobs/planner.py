"""Asks for the jobs that make a wish come true, once.

This module alone decides which steps are missing (a download, a quantize), holds them against disk and memory, and
submits them as one chain; asking twice for what is already under way gives the same jobs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.catalog.build import Build, Recipe
from tui.catalog.calibration_names import is_named_text
from tui.catalog.gguf_plan import plan_gguf
from tui.catalog.hub import Hub, HubRepository
from tui.catalog.library import Library
from tui.catalog.model import Model
from tui.catalog.needed_files import gguf_choices
from tui.errors import BuildBrokenError, DoesNotFitError, HeftError, NotAllowedError, NotFoundError, RecipeError
from tui.fit.config_facts import folder_model
from tui.fit.verdict import Verdict, fit_model
from tui.hardware.snapshot import Snapshot
from tui.jobs import preflight as checks
from tui.jobs.job import Job, JobRequest, Kind, Needs, State, WhenFree
from tui.jobs.ladder import submit_ladder
from tui.jobs.plan import (
    benchmark_request,
    download_request,
    evaluate_request,
    export_request,
    folder_name,
    quantize_request,
    request_key,
    request_mark,
    serve_request,
    when_free,
)
from tui.jobs.preflight import Preflight
from tui.jobs.store import Store
from tui.paths import Paths
from tui.quantities import bytes_text
from tui.settings import load_settings


class Planner:
    """Turns wishes into linked jobs. ``snapshot`` gives the machine as it is now."""

    def __init__(
        self, paths: Paths, store: Store, library: Library, hub: Hub, snapshot: Callable[[], Snapshot]
    ) -> None:
        self.paths, self.store, self.library, self.hub, self.snapshot = paths, store, library, hub, snapshot

    def preflight(self, model: Model, recipe: Recipe | None, build: Build | None = None) -> Preflight:
        """The totals of getting ``model`` and quantizing it with ``recipe``, with every problem in words; ``build`` are
        weights on this disk to start from."""
        source = build or self.original(model)
        if build is not None:
            model = folder_model(build.path, model_id=model.id)
        repository = self._repository(model, source)
        asked = repository is not None and model.source == "hub" and model.shape.layers is None
        known = repository.model if repository and asked else model
        config = self._config(repository) if recipe is not None else None
        return checks.preflight(known, recipe, source, repository, self.snapshot(), self.paths, config)

    def pull(self, model: Model) -> tuple[Job, ...]:
        """The download of ``model``; done at once by the worker when everything is already here."""
        return self._submit([self._download(model, self._repository(model, self.original(model)))])

    def quantize(self, model: Model, recipe: Recipe, name: str, when: WhenFree | None = None) -> tuple[Job, ...]:
        """(Download, then) quantize."""
        return self._submit(self.quantize_requests(model, recipe, name), when)

    def dry_run(self, build: Build, recipe: Recipe) -> tuple[Job, ...]:
        """One layer of ``build`` quantized with ``recipe``, measured and thrown away."""
        _require_whole(build)
        model = folder_model(build.path, model_id=build.model or build.id)
        request = self._squeeze(model, build, recipe, f"dry-run-{build.path.name}"[:80])
        return self._submit([replace(request, spec=request.spec | {"dry_run": True})])

    def quantize_build(self, build: Build, recipe: Recipe, name: str, when: WhenFree | None = None) -> tuple[Job, ...]:
        """Quantize weights that are on this disk."""
        _require_whole(build)
        model = folder_model(build.path, model_id=build.model or build.id)
        return self._submit([self._squeeze(model, build, recipe, name)], when)

    def serve(
        self,
        build: Build,
        context: int | None,
        port: int | None,
        idle_minutes: int | None,
        when: WhenFree | None = None,
        engine: str = "auto",
        device: str = "",
        load_as: str = "",
    ) -> tuple[Job, ...]:
        """A host of ``build``, on ``device`` where one is named; the one that loads or serves it already, where there
        is one. ``load_as`` quantizes 16-bit weights while they load (``fit/load_time.py``)."""
        _require_whole(build)
        for job in self.store.jobs():
            same = job.kind is Kind.SERVE and job.spec.get("build") == build.id and not job.state.is_over
            wanted = port is None or job.spec.get("port") == port
            wanted = wanted and load_as == (job.spec.get("load_as") or "")
            wanted = wanted and engine in ("auto", job.spec.get("engine"))
            there = device in ("", job.device, job.needs.device)
            if same and wanted and there and context in (None, job.spec.get("context")) and job.want is None:
                return (job,)
        if load_as:
            checks.require_load_as(build, load_as)
        runs = engine if engine != "auto" else load_settings(self.paths.settings_file).chat.engine
        needs = checks.serve_needs(build, self.snapshot(), context, load_as, runs)
        if device:
            needs = replace(needs, device=device)
        request = serve_request(
            build.model,
            build,
            needs,
            context=context,
            port=port,
            idle_minutes=idle_minutes,
            engine=engine,
            load_as=load_as,
        )
        return self._submit([request], when)

    def get(self, model: Model, recipe: Recipe | None, name: str) -> tuple[Job, ...]:
        """Download, quantize when there is a recipe, and load, each step only where it is missing."""
        source = self.original(model)
        if recipe is None and source is not None:
            return self.serve(source, None, None, None)
        if recipe is not None and (made := self._made(folder_name(name) if name else folder_name(model.id, recipe))):
            return self.serve(made, None, None, None)
        if recipe is not None:
            requests = self.quantize_requests(model, recipe, name)
            build_id = str(requests[-1].spec["name"])
        else:
            requests = [self._download(model, self._repository(model, None))]
            build_id = folder_name(model.id) if model.is_local_folder else model.repo
        requests.append(serve_request(model.id, None, self._needs_to_load(model, recipe), build_id=build_id))
        return self._submit(requests)

    def export(self, build: Build, kind: str, name: str) -> tuple[Job, ...]:
        """``build`` as a GGUF file for llama.cpp; refused here with the reason where it would not be exact."""
        _require_whole(build)
        plan = plan_gguf(build.path, kind)
        target = folder_name(name) if name else f"{folder_name(build.id)}-{plan.type.lower()}"
        if (self.paths.builds / target).exists():
            raise RecipeError(f"a build called {target} is already here", f"chat with it, or heft rm {target} first")
        needs = Needs(device="cpu", memory=checks.EXPORT_MEMORY, disk=plan.bytes, disk_path=str(self.paths.builds))
        checks.require_disk(needs, f"exporting {build.id}")
        return self._submit([export_request(build, kind, target, needs)])

    def evaluate(self, build: Build, text: str, when: WhenFree | None = None) -> tuple[Job, ...]:
        """What ``build`` is worth on the file ``text``, or on the built-in text; held against its original where that
        is on this disk."""
        _require_whole(build)
        if text and not Path(text).is_file():
            raise NotFoundError(f"there is no text file {text}")
        original = self.source_of(build)
        needs = checks.serve_needs(original or build, self.snapshot(), None, engine="transformers")
        file = str(Path(text).absolute()) if text else ""
        return self._submit([evaluate_request(build, file, needs, original)], when)

    def source_of(self, build: Build) -> Build | None:
        """The build on this disk that a quantized ``build`` was made from; None for an original, or when it is gone."""
        if not checks.is_quantized(build.precision):
            return None
        named = str(build.provenance.get("source_build") or "")
        revision = str(build.provenance.get("revision") or "")
        for other in self.library.builds():
            same = other.id == named or (other.repo and other.repo == build.repo and other.revision == revision)
            if named and same and not other.problem and not checks.is_quantized(other.precision):
                return other
        return None

    def ladder(self, model: Model, when: WhenFree | None = None) -> tuple[Job, ...]:
        """(Download, then) every rung of the ladder that is not here, as jobs of one plan; none when all are here."""
        return submit_ladder(self, model, when)

    def benchmark(self, build: Build, tasks: str, names: Sequence[str], limit: int | None) -> tuple[Job, ...]:
        """Benchmark tasks of the files in ``tasks`` on ``build``."""
        _require_whole(build)
        folder = Path(tasks).expanduser().absolute()
        if not any(folder.glob("**/*.yaml")):
            raise NotFoundError(f"there is no task file (*.yaml) in {folder}", "give the folder of lm-eval task files")
        needs = checks.serve_needs(build, self.snapshot(), None, engine="transformers")
        return self._submit([benchmark_request(build, str(folder), names, limit, needs)])

    def original(self, model: Model) -> Build | None:
        """The unquantized build of ``model`` on this disk, at its revision where one is asked for."""
        names = {model.id, model.repo, folder_name(model.id)} - {""}
        for build in self.library.builds():
            if model.gguf:
                break  # that quantization, not the original
            ours = bool({build.id, build.repo, build.model} & names)
            wanted = not model.revision or build.revision.startswith(model.revision)
            if ours and wanted and not build.problem and not checks.is_quantized(build.precision):
                return build
        return None

    def _made(self, name: str) -> Build | None:
        return next((build for build in self.library.builds() if build.id == name and not build.problem), None)

    def _needs_to_load(self, model: Model, recipe: Recipe | None) -> Needs:
        seen = self.snapshot()
        if checks.is_gguf_label(model.quantization) or model.gguf:
            seen = replace(seen, gpus=())  # llama.cpp's wheel computes on the CPU alone
        fit = fit_model(model, seen, precision=f"gptq-{recipe.bits}bit" if recipe else "")
        if fit.verdict is Verdict.DOES_NOT_FIT:
            raise DoesNotFitError(fit.reason, fit.better)
        return Needs(device=checks.compute_device(seen), memory=fit.total or 0)

    def _download(self, model: Model, repository: HubRepository | None) -> JobRequest:
        if not model.repo:
            why = model.unusable_because or "it has no public weights"
            hint = "" if model.unusable_because else "chat with it through its endpoint instead"
            raise NotFoundError(f"{model.id} cannot be downloaded: {why}", hint)
        needs = checks.download_needs(model, repository, self.paths)
        return download_request(model, repository.commit if repository else model.revision, needs)

    def quantize_requests(self, model: Model, recipe: Recipe, name: str = "") -> list[JobRequest]:
        """The requests that (download and) quantize, not submitted yet; raises what forbids them."""
        source = self.original(model)
        repository = self._repository(model, source)
        known = repository.model if repository and model.source == "hub" else model
        squeeze = self._squeeze(replace(known, id=model.id), source, recipe, name, self._config(repository))
        return [squeeze] if source else [self._download(model, repository), squeeze]

    def _squeeze(
        self,
        model: Model,
        source: Build | None,
        recipe: Recipe,
        name: str,
        config: Mapping[str, Any] | None = None,
    ) -> JobRequest:
        needs = checks.quantize_needs(model, recipe, source, self.snapshot(), self.paths)
        checks.require_recipe(model, recipe, source, needs.device, config)
        target = folder_name(name) if name else folder_name(model.id, recipe)
        if (self.paths.builds / target).exists():
            raise RecipeError(f"a build called {target} is already here", f"chat with it, or heft rm {target} first")
        if recipe.calibration and not is_named_text(recipe.calibration):
            recipe = replace(recipe, calibration=str(Path(recipe.calibration).expanduser().absolute()))
            if not Path(recipe.calibration).is_file():
                raise NotFoundError(f"there is no calibration file {recipe.calibration}")
        return quantize_request(model.id, source, recipe, target, needs)

    def _config(self, repository: HubRepository | None) -> Mapping[str, Any] | None:
        """The config.json of a repository that is not here yet; None where it cannot be had."""
        if repository is None or not any(file.path == "config.json" for file in repository.files):
            return None
        try:
            config = json.loads(self.hub.read_file(repository.repo, "config.json", repository.commit))
        except (HeftError, ValueError):
            return None  # a gated repository shows its facts, not its files; the worker looks again
        return config if isinstance(config, dict) else None

    def _repository(self, model: Model, source: Build | None) -> HubRepository | None:
        if source is not None or model.is_local_folder or not model.repo:
            return None
        repository = replace(self.hub.repository(model.repo, model.revision), gguf=model.gguf)
        choices = gguf_choices(repository.files)
        if model.gguf and model.gguf.lower() not in choices:
            there = ", ".join(f"{name} ({bytes_text(size)})" for name, size in choices.items()) or "no GGUF files"
            raise NotFoundError(f"{model.repo} holds no {model.gguf}", f"it has {there}")
        if repository.gated:
            self._knock(repository.repo)
        return repository

    def _knock(self, repo: str) -> None:
        """Raise what the gate says before anything is queued: the person who can open it is still here."""
        try:
            self.hub.check_access(repo)
        except NotAllowedError:
            raise
        except HeftError:
            return  # a mirror that does not know the question; the download itself will tell

    def _submit(self, requests: Sequence[JobRequest], when: WhenFree | None = None) -> tuple[Job, ...]:
        """Submit the chain, but take over the leading jobs that are already under way."""
        jobs = self.store.jobs()
        requests = [when_free(request, when) for request in requests]
        keyed = [replace(request, key=request_key(request, jobs)) for request in requests]
        under_way = {request_mark(job.kind, job.spec): job for job in jobs if job.state is not State.DONE}
        taken: list[Job] = []
        for request in keyed:
            job = under_way.get(request_mark(request.kind, request.spec))
            if job is None or job.state.is_over or job.want is not None:
                break
            taken.append(job)
        rest = keyed[len(taken) :]
        if rest and taken:
            rest[0] = replace(rest[0], after=(*rest[0].after, taken[-1].id))
        return (*taken, *(self.store.submit_chain(rest) if rest else ()))


def _require_whole(build: Build) -> None:
    if build.problem:
        raise BuildBrokenError(
            f"{build.id} cannot be loaded: {build.problem}", f"heft rm {build.id}, then get it again"
        )
