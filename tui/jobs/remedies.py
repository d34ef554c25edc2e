"""What to try when a host has died or would not load: less context, fewer bits, another device. Pure.

Each remedy has the numbers that speak for it, or the reason why it cannot be had here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.catalog.build import Build
from tui.fit.verdict import Fit
from tui.hardware.snapshot import Snapshot
from tui.jobs.job import Job
from tui.jobs.preflight import is_quantized, serve_fit
from tui.quantities import bytes_text

SHORTEST_CONTEXT = 512
STEP = 256


@dataclass(frozen=True, slots=True)
class Remedy:
    """``kind`` is "context", "precision" or "device". ``off`` says why it cannot be had; else ``build`` is to be loaded
    with ``context`` tokens (None: as long as it can) on ``device`` ("": wherever it fits). ``quantize`` says that the
    build has to be made first."""

    kind: str
    words: str
    off: str = ""
    build: str = ""
    context: int | None = None
    device: str = ""
    quantize: bool = False


def remedies(job: Job, build: Build, builds: Sequence[Build], seen: Snapshot) -> tuple[Remedy, Remedy, Remedy]:
    """The three remedies for the host ``job`` of ``build``, among the ``builds`` of this disk."""
    before = _context(job, build, seen)
    return _shorter(build, before, seen), _smaller(build, builds, before), _elsewhere(job, build, before, seen)


def memory_words(job: Job, build: Build, seen: Snapshot) -> str:
    """What the host was to take, and what is free now."""
    context = _context(job, build, seen)
    fit = serve_fit(build, seen, context)[0]
    parts = [f"{build.precision}, {bytes_text(build.bytes)} on disk"]
    if context:
        parts.append(f"context {context:,}")
    if fit.total:
        parts.append(f"needs about {bytes_text(fit.total)}")
    if fit.free is not None:
        parts.append(f"{bytes_text(fit.free)} free on {fit.device} now")
    return ", ".join(parts)


def _context(job: Job, build: Build, seen: Snapshot) -> int | None:
    for value in (job.result.get("context"), job.spec.get("context")):
        if isinstance(value, int) and value > 0:
            return value
    return serve_fit(build, seen, None)[0].context or None


def _shorter(build: Build, before: int | None, seen: Snapshot) -> Remedy:
    if before is None:
        return Remedy("context", "shorter context", off="its context is not known")
    wanted = max(SHORTEST_CONTEXT, before // 2 // STEP * STEP)
    if wanted >= before:
        return Remedy("context", "shorter context", off=f"{before:,} tokens is short already")
    now, then = _total(serve_fit(build, seen, before)[0]), _total(serve_fit(build, seen, wanted)[0])
    saves = f" ({bytes_text(then)} instead of {bytes_text(now)})" if now and then else ""
    words = f"shorter context: {wanted:,} tokens instead of {before:,}{saves}"
    return Remedy("context", words, build=build.id, context=wanted)


def _smaller(build: Build, builds: Sequence[Build], context: int | None) -> Remedy:
    same = [
        other
        for other in builds
        if other.bytes < build.bytes and not other.problem and _same_model(other, build) and other.id != build.id
    ]
    if same:
        other = max(same, key=lambda one: one.bytes)
        sizes = f"{bytes_text(other.bytes)} instead of {bytes_text(build.bytes)}"
        return Remedy("precision", f"smaller precision: {other.id} ({sizes})", build=other.id, context=context)
    if is_quantized(build.precision):
        return Remedy("precision", "smaller precision", off="no smaller build of it is on this disk")
    return Remedy("precision", "smaller precision: quantize it to 4 bits first", build=build.id, quantize=True)


def _elsewhere(job: Job, build: Build, context: int | None, seen: Snapshot) -> Remedy:
    was = job.device or str(job.result.get("device") or "") or "cpu"
    names = {gpu.index: {f"cuda:{gpu.index}", "cuda" if gpu.index == 0 else ""} for gpu in seen.gpus}
    others = [gpu for gpu in seen.gpus if not gpu.error and was not in names[gpu.index]]
    if others:
        gpu = max(others, key=lambda one: one.free)
        words = f"other device: GPU {gpu.index} {gpu.name}, {bytes_text(gpu.free)} free"
        return Remedy("device", words, build=build.id, context=context, device=f"cuda:{gpu.index}")
    if was != "cpu":
        free = seen.host.memory_available
        words = f"other device: the CPU, {bytes_text(free)} of RAM available (slow)"
        return Remedy("device", words, build=build.id, context=context, device="cpu")
    return Remedy("device", "other device", off="this machine has no other device")


def _same_model(one: Build, other: Build) -> bool:
    return bool({one.model, one.repo} & {other.model, other.repo} - {""})


def _total(fit: Fit) -> int | None:
    return fit.total
