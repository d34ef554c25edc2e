"""From a wish to linked jobs: "get this model" is download, then quantize, then serve.

Pure functions: they turn a model, build or recipe and the numbers of the fit estimate into job requests, so that every
front end asks for the same job in the same words. The spec of each kind is the contract with its worker.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Model
from tui.jobs.job import Job, JobRequest, Kind, Needs, WhenFree

_UNSAFE = re.compile(r"[^a-z0-9._-]+")


def folder_name(model_id: str, recipe: Recipe | None = None) -> str:
    """The folder that a build of ``model_id`` gets: lower case, safe on every file system."""
    name = _UNSAFE.sub("-", model_id.replace("/", "--").lower()).strip("-.") or "model"
    return f"{name}-{recipe.label}" if recipe else name


def download_request(model: Model, revision: str, needs: Needs) -> JobRequest:
    """Fetch the published weights of ``model`` (its repository is on the hub, or a folder). ``revision`` is the commit
    that the asked one stands for now; the cache shall say so, or no other tool finds the weights without a network."""
    spec = {
        "model": model.id,
        "repo": model.repo,
        "revision": revision or model.revision,
        "ref": "" if model.is_local_folder else model.revision or "main",
        "name": folder_name(model.id) if model.is_local_folder else "",
        **({"gguf": model.gguf} if model.gguf else {}),
    }
    return JobRequest(Kind.DOWNLOAD, model.id, spec, needs)


def quantize_request(model_id: str, source: Build | None, recipe: Recipe, name: str, needs: Needs) -> JobRequest:
    """Make a build with ``recipe``; without a ``source`` the result of the job before it is the source."""
    spec = {
        "model": model_id,
        "build": source.id if source else "",
        "path": str(source.path) if source else "",
        "recipe": asdict(recipe),
        "name": name,
    }
    return JobRequest(Kind.QUANTIZE, model_id, spec, needs)


def serve_request(
    model_id: str,
    source: Build | None,
    needs: Needs,
    *,
    build_id: str = "",
    context: int | None = None,
    port: int | None = None,
    idle_minutes: int | None = None,
    engine: str = "auto",
    load_as: str = "",
) -> JobRequest:
    """Load a build and answer chat requests; without a ``source`` the result of the job before it is loaded. With
    ``load_as`` its weights are quantized on the way."""
    spec = {
        "build": source.id if source else build_id,
        "path": str(source.path) if source else "",
        "context": context,
        "port": port,
        "idle_minutes": idle_minutes,
        **({} if engine == "auto" else {"engine": engine}),
    }
    if load_as:
        spec["load_as"] = load_as
    return JobRequest(Kind.SERVE, source.id if source else (build_id or model_id), spec, needs)


def export_request(source: Build, kind: str, name: str, needs: Needs) -> JobRequest:
    """Write ``source`` as a GGUF file whose blocks are of ``kind`` ("auto", "q8_0", ...)."""
    spec = {"build": source.id, "path": str(source.path), "type": kind, "name": name}
    return JobRequest(Kind.EXPORT, source.id, spec, needs)


def evaluate_request(build: Build, text: str, needs: Needs, original: Build | None = None) -> JobRequest:
    """Measure ``build`` on ``text`` (a file, or empty for the built-in one), beside its ``original`` where there is
    one."""
    spec = {"build": build.id, "path": str(build.path), "text": text}
    if original is not None:
        spec["original"] = str(original.path)
    return JobRequest(Kind.EVALUATE, build.id, spec, needs)


def benchmark_request(build: Build, tasks: str, names: Sequence[str], limit: int | None, needs: Needs) -> JobRequest:
    """Answer the benchmark tasks ``names`` (all when empty) of the task files in ``tasks``, at most ``limit`` samples
    of each."""
    spec = {"build": build.id, "path": str(build.path), "tasks": tasks, "names": list(names), "limit": limit}
    return JobRequest(Kind.BENCHMARK, build.id, spec, needs)


def when_free(request: JobRequest, when: WhenFree | None) -> JobRequest:
    """``request``, starting only when there has been so much room on its device; a download needs none."""
    if when is None or request.needs.device in ("", "none"):
        return request
    return replace(request, needs=replace(request.needs, free=when.memory, free_for=when.seconds))


def request_key(request: JobRequest, jobs: Sequence[Job]) -> str:
    """A key that makes a repeated submit the same job while that job is not over, and a new job afterwards."""
    mark = request_mark(request.kind, request.spec)
    over = sum(1 for job in jobs if job.state.is_over and request_mark(job.kind, job.spec) == mark)
    return f"{request.kind}-{mark}-{over}"


def request_mark(kind: Kind, spec: dict[str, Any]) -> str:
    """The same for two jobs that do the same work: a short hash of kind and spec."""
    text = json.dumps([kind, spec], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
