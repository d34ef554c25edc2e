"""What a job would take, before Enter: bytes to fetch, disk, memory, and every reason why it cannot work.

This module alone turns the fit estimate and the state of the disk into ``Needs``; admission holds them against the
machine again when the job's turn comes.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.catalog.build import Build, Recipe
from tui.catalog.hub import HubRepository
from tui.catalog.model import Model
from tui.catalog.needed_files import is_weights
from tui.catalog.partial_file import missing_bytes
from tui.catalog.quantization import folder_model_type
from tui.errors import BuildBrokenError, DoesNotFitError, RecipeError
from tui.fit.config_facts import folder_model
from tui.fit.cpu_weights import computes_bfloat16_here
from tui.fit.load_time import load_time, why_not
from tui.fit.memory_estimate import estimate as estimate_at
from tui.fit.memory_estimate import estimate_build, quantize_estimate
from tui.fit.quantize_plan import make_plan
from tui.fit.quantize_recipe import check_recipe
from tui.fit.quantize_routes import refuse_architecture, refuse_method
from tui.fit.verdict import Fit, Verdict, fit_model, judge
from tui.hardware.snapshot import Snapshot
from tui.jobs.job import Needs
from tui.paths import Paths
from tui.quantities import bytes_text

EXPORT_MEMORY = 1_000_000_000
"""What writing a GGUF file takes: the largest tensor in a few forms, for most models its embedding."""

DISK_RESERVE = 500_000_000
"""Bytes that a job leaves free on every volume it writes to."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """The totals of a plan. Sizes are bytes, None where nobody knows them; ``problems`` each forbid the plan."""

    download: int | None = 0
    files: int = 0
    disk: int = 0
    disk_free: int = 0
    memory: int | None = None
    memory_free: int | None = None
    memory_total: int | None = None
    device: str = ""
    result_bytes: int | None = None
    job_memory: int | None = None
    """What the quantize job takes at its peak; ``memory`` is what the result takes when it is loaded."""
    seconds: float | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def free_space(folder: Path) -> int:
    """Bytes free on the volume of ``folder``, which may not exist yet."""
    place = folder
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def compute_device(snapshot: Snapshot) -> str:
    """Where a job computes on this machine: "cuda" when there is a GPU, else "cpu"."""
    return "cuda" if any(not gpu.error and not gpu.hidden for gpu in snapshot.gpus) else "cpu"


def download_bytes(model: Model, repository: HubRepository | None, paths: Paths) -> tuple[int | None, int]:
    """Bytes that a download of ``model`` has still to fetch, and the number of its files; bytes are None when nobody
    knows."""
    if model.is_local_folder:
        files = [path for path in Path(model.repo).rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files), len(files)
    if repository is not None:
        files_wanted = repository.needed_files
        return missing_bytes(paths.hub_cache, repository.repo, files_wanted), len(files_wanted)
    return model.weights_bytes, 0


def _beside_weights(repository: HubRepository | None) -> int | None:
    if repository is None:
        return None
    return sum(file.size for file in repository.needed_files if not is_weights(file.path))


def download_needs(model: Model, repository: HubRepository | None, paths: Paths) -> Needs:
    """Disk and a network slot for a download; raises ``DoesNotFitError`` when the disk cannot take it."""
    size, _ = download_bytes(model, repository, paths)
    folder = paths.builds if model.is_local_folder else paths.hub_cache
    needs = Needs(disk=size or 0, disk_path=str(folder), network=not model.is_local_folder)
    require_disk(needs, f"the download of {model.id}")
    return needs


def quantize_needs(model: Model, recipe: Recipe, source: Build | None, snapshot: Snapshot, paths: Paths) -> Needs:
    """Memory and disk for a quantize job; raises ``DoesNotFitError`` or ``RecipeError`` with the numbers."""
    if source is not None and source.recipe is not None:
        raise RecipeError(f"{source.id} is already quantized ({source.precision})", "quantize the original instead")
    if model.quantization or (source is not None and is_quantized(source.precision)):
        kind = model.quantization or (source.precision if source else "")
        raise RecipeError(f"{model.id} is already quantized ({kind})", "choose the original 16-bit model")
    device = compute_device(snapshot)
    estimate = quantize_estimate(model, recipe, source)
    memory = estimate.memory if device == "cuda" else estimate.ram
    disk = (estimate.disk or 0) + estimate.disk_working
    needs = Needs(device=device, memory=memory or 0, disk=disk, disk_path=str(paths.builds))
    require_disk(needs, f"quantizing {model.id}")
    capacity = (
        max((gpu.total for gpu in snapshot.gpus if not gpu.hidden), default=0)
        if device == "cuda"
        else snapshot.host.memory_total
    )
    if capacity and needs.memory > capacity:
        where = "the largest GPU" if device == "cuda" else "this machine's memory"
        raise DoesNotFitError(
            f"quantizing {model.id} needs about {bytes_text(needs.memory)}, {where} has {bytes_text(capacity)}",
            "choose a smaller model, or a ready-made 4-bit repository of it",
        )
    return needs


def require_recipe(
    model: Model, recipe: Recipe, source: Build | None, device: str, config: Mapping[str, Any] | None = None
) -> None:
    """Raise ``RecipeError`` (or ``BuildBrokenError``) when ``recipe`` cannot work: from the config and the heads of the
    files where the weights are on this disk, else from the ``config`` that the hub has."""
    folder = source.path if source else Path(model.repo) if model.is_local_folder else None
    if folder is not None:
        make_plan(folder, recipe, device=device, native_bfloat16=computes_bfloat16_here())
        return
    check_recipe(recipe, device)
    if config is not None:
        refuse_architecture(config, model.id)
        refuse_method(recipe, config)


def quantize_problem(
    model: Model,
    recipe: Recipe,
    source: Build | None,
    snapshot: Snapshot,
    paths: Paths,
    config: Mapping[str, Any] | None = None,
) -> str:
    """Why ``recipe`` cannot work on ``model`` here, in words; empty when nothing speaks against it."""
    try:
        needs = quantize_needs(model, recipe, source, snapshot, paths)
        require_recipe(model, recipe, source, needs.device, config)
    except (RecipeError, DoesNotFitError, BuildBrokenError) as error:
        return f"{error.summary}; {error.hint}" if error.hint else error.summary
    return ""


def is_quantized(precision: str) -> bool:
    """Whether a build's precision names a quantization rather than a floating-point type."""
    return precision not in ("", "float32", "float16", "bfloat16", "unknown")


def serve_fit(
    build: Build, snapshot: Snapshot, context: int | None, load_as: str = "", engine: str = "auto"
) -> tuple[Fit, str]:
    """The fit of a build and the device it is meant for ("cuda" or "cpu"); prefers a GPU wherever one can take it, but
    for GGUF: llama.cpp's wheel on the package index computes on the CPU alone."""
    way = load_time(load_as)
    precision = way.precision if way else build.precision
    estimate = estimate_at(folder_model(build.path), precision, context) if way else None
    estimate = estimate or estimate_build(build, context, engine=engine)
    if compute_device(snapshot) == "cuda" and not is_gguf_label(build.precision):
        fit = judge(estimate, snapshot, precision=precision, context=context or 0)
        if fit.verdict in (Verdict.FITS, Verdict.FITS_EMPTY):
            return fit, "cuda"
    return judge(estimate, snapshot, device="cpu", precision=precision, context=context or 0), "cpu"


def is_gguf_label(precision: str) -> bool:
    """Whether a precision is one of a GGUF file ("gguf-q4_0"), or of a model that is published as one."""
    return precision == "gguf" or precision.startswith("gguf-")


def require_load_as(build: Build, load_as: str) -> None:
    """Raise ``RecipeError`` when the weights of ``build`` cannot be quantized that way while they load here."""
    way = load_time(load_as)
    if way is None:
        raise RecipeError(f"{load_as!r} is no way to load weights", "use int8, nf4 or torchao-int8")
    reason = why_not(way, build.precision, folder_model_type(build.path))
    if reason:
        raise RecipeError(f"{build.id} cannot be loaded as {load_as}: {reason}", "load it as it is")


def serve_needs(
    build: Build, snapshot: Snapshot, context: int | None, load_as: str = "", engine: str = "auto"
) -> Needs:
    """Memory that a host of ``build`` takes in ``engine``; raises ``DoesNotFitError`` before it could take the machine
    down."""
    fit, device = serve_fit(build, snapshot, context, load_as, engine)
    if fit.verdict is Verdict.DOES_NOT_FIT:
        raise DoesNotFitError(fit.reason, fit.better)
    return Needs(device=device, memory=fit.total or 0)


def require_disk(needs: Needs, what: str) -> None:
    """Raise ``DoesNotFitError`` when the volume of ``needs`` has less room than it takes plus the reserve."""
    if not needs.disk_path:
        return
    free = free_space(Path(needs.disk_path))
    if needs.disk + DISK_RESERVE > free:
        raise DoesNotFitError(
            f"{what} needs {bytes_text(needs.disk)} of disk and {bytes_text(DISK_RESERVE)} to spare;"
            f" {needs.disk_path} has {bytes_text(free)} free",
            "free some space (heft rm, then heft prune --trash), or put HF_HOME or HEFT_HOME on a larger disk",
        )


def preflight(
    model: Model,
    recipe: Recipe | None,
    source: Build | None,
    repository: HubRepository | None,
    snapshot: Snapshot,
    paths: Paths,
    config: Mapping[str, Any] | None = None,
) -> Preflight:
    """The totals of getting ``model`` and quantizing it; what forbids it is listed, not raised."""
    problems: list[str] = []
    size, files = (0, 0) if source else download_bytes(model, repository, paths)
    disk = size or 0
    result_bytes = job_memory = None
    if recipe is not None:
        problem = quantize_problem(model, recipe, source, snapshot, paths, config)
        if problem:
            problems.append(problem)
        else:
            needs = quantize_needs(model, recipe, source, snapshot, paths)
            disk, job_memory = disk + needs.disk, needs.memory
            result_bytes = quantize_estimate(model, recipe, source, files_beside=_beside_weights(repository)).disk
    free = free_space(paths.builds if model.is_local_folder else paths.hub_cache)
    if disk + DISK_RESERVE > free:
        problems.append(
            f"needs {bytes_text(disk)} of disk and {bytes_text(DISK_RESERVE)} to spare; {bytes_text(free)} free"
        )
    fit = fit_model(model, snapshot, precision=f"gptq-{recipe.bits}bit" if recipe else "")
    if fit.verdict is Verdict.DOES_NOT_FIT:
        problems.append(fit.reason)
    notes = (fit.reason,) if fit.verdict is Verdict.FITS_EMPTY else ()
    return Preflight(
        download=size,
        files=files,
        disk=disk,
        disk_free=free,
        memory=fit.total,
        memory_free=fit.free,
        memory_total=fit.capacity,
        device=fit.device,
        result_bytes=result_bytes,
        job_memory=job_memory,
        problems=tuple(problems),
        notes=notes,
    )
