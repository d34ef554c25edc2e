"""The verdict: an estimate held against what the machine has in total and has free now, with the reason in words.

One GPU must hold the whole model: GPUs are never summed, because Heft does not split a model over several. The GPU with
the most free memory is chosen; without a GPU it is the machine's RAM. Every device gets a verdict of its own besides.
What other programs hold is named with its owner. The estimate itself loads with the first question: the words of a
verdict are needed by the first frame of the app, the arithmetic is not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from tui.fit.place import Place, gpus_of, machine_memory, places_for
from tui.quantities import bytes_text

if TYPE_CHECKING:
    from tui.catalog.build import Build
    from tui.catalog.model import Model
    from tui.fit.memory_estimate import MemoryEstimate
    from tui.hardware.snapshot import Snapshot


class Verdict(StrEnum):
    """The answer to "will it fit?"."""

    FITS = "fits"
    FITS_EMPTY = "fits-empty"
    """It would fit if the device were empty, but not now."""
    DOES_NOT_FIT = "does-not-fit"
    UNKNOWN = "unknown"
    """The catalog does not hold the numbers."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a host really took: the peak in ``bytes`` with ``tokens`` in its cache, loaded for ``context`` tokens.
    ``device`` is "cpu" (resident memory of the process) or "cuda"; ``source`` says who measured, ``at`` when (ISO)."""

    build: str
    engine: str
    device: str
    context: int
    bytes: int
    tokens: int
    source: str
    at: str

    @property
    def words(self) -> str:
        """For people: "✓ measured here: 1.02 GB at 1,024 tokens"."""
        when = f"at {self.tokens:,} tokens" if self.tokens else "when it was loaded"
        return f"✓ measured here: {bytes_text(self.bytes)} {when}"


@dataclass(frozen=True, slots=True)
class OnDevice:
    """One device held against the estimate; ``total`` bytes is what it would have to give."""

    device: str
    total: int | None
    free: int
    capacity: int
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Fit:
    """Every term in bytes. ``device`` names what it was held against ("GPU 0 NVIDIA H100", "RAM", "24 GB card");
    ``better`` is the best change that would make it fit, in words, or empty. ``parts`` are the terms of the whole sum
    by name; ``devices`` holds a verdict for every GPU of this machine and its RAM, none for a card that is not here."""

    weights: int | None
    kv_cache: int | None
    overhead: int | None
    total: int | None
    free: int
    capacity: int
    verdict: Verdict
    reason: str
    device: str = ""
    precision: str = ""
    context: int = 0
    batch: int = 1
    better: str = ""
    notes: tuple[str, ...] = ()
    measured: Measured | None = None
    """What a build of this model and precision took on this machine and kind of device; None: never loaded here."""
    parts: tuple[tuple[str, int], ...] = ()
    devices: tuple[OnDevice, ...] = ()
    guessed: bool = False
    """The cache is not this model's own but the usual one of its size."""


def judge(
    estimate: MemoryEstimate,
    snapshot: Snapshot,
    *,
    memory: int | None = None,
    device: str = "auto",
    precision: str = "",
    context: int = 0,
    batch: int = 1,
) -> Fit:
    """Hold ``estimate`` against the machine, or against an empty card of ``memory`` bytes that is not here.

    ``device`` is "auto" (a GPU where there is one, else RAM), "cuda" or "cpu".
    """
    from tui.fit.remedies import in_ram, shorter, split, unload

    places = places_for(snapshot, memory, device)
    here = max(places, key=lambda place: place.free)
    weights, cache, overhead, need = estimate.terms(here.is_gpu)
    fit = Fit(
        weights=weights,
        kv_cache=cache,
        overhead=overhead,
        total=need,
        free=here.free,
        capacity=here.capacity,
        verdict=Verdict.UNKNOWN,
        reason=f"not known: {estimate.missing or 'its size'}",
        device=here.device,
        precision=precision or estimate.precision,
        context=context or estimate.context,
        batch=estimate.batch if batch == 1 else batch,
        notes=estimate.notes + (() if here.is_gpu else _widened(estimate)),
        parts=estimate.parts(here.is_gpu),
        guessed=estimate.guessed,
        devices=() if memory is not None else each_device(estimate, snapshot),
    )
    if need is None:
        return fit
    verdict = verdict_on(need, places)
    if verdict is Verdict.FITS:
        reason = f"needs {bytes_text(need)}; {here.name} has {bytes_text(here.free)} free"
        return replace(fit, verdict=verdict, reason=reason)
    if verdict is Verdict.FITS_EMPTY:
        here = max((place for place in places if place.capacity >= need), key=lambda place: place.free)
        numbers = f"needs {bytes_text(need)}, {bytes_text(here.free)} free"
        reason, ended = f"fits empty, not now: {here.holders} ({numbers})", unload(need, here)
    else:
        here = max(places, key=lambda place: (place.capacity, place.free))
        reason, ended = _too_large(need, here, places), ""
    fit = replace(fit, free=here.free, capacity=here.capacity, device=here.device, verdict=verdict, reason=reason)
    beside = gpus_of(snapshot) and memory is None and device == "auto"
    words = [ended, shorter(estimate, here), in_ram(estimate, machine_memory(snapshot)) if beside else ""]
    return replace(fit, better="; or ".join(word for word in (*words, split(estimate, places)) if word))


def fit_model(
    model: Model,
    snapshot: Snapshot,
    *,
    precision: str = "",
    context: int | None = None,
    batch: int = 1,
    memory: int | None = None,
    build: Build | None = None,
) -> Fit:
    """Estimate ``model`` (or its ``build`` on this disk) and hold it against the machine. ``precision`` empty means as
    published, ``memory`` bytes asks about an empty card that is not here. Raises ``UsageError`` for bad numbers."""
    from tui.fit.memory_estimate import estimate, estimate_build
    from tui.fit.remedies import smaller, smaller_in_ram

    if build is None and model.is_api:
        provider = model.api.provider if model.api else ""
        return _elsewhere(f"runs at the provider ({provider})" if provider else "runs at the provider", context, batch)
    numbers = estimate_build(build, context, batch) if build else estimate(model, precision, context, batch)
    fit = judge(numbers, snapshot, memory=memory)
    if fit.verdict in (Verdict.FITS, Verdict.UNKNOWN):
        return fit
    fewer = smaller(model, numbers, places_for(snapshot, memory)) if build is None or build.recipe is None else ""
    words = [fewer, fit.better]
    beside = build is None and memory is None and gpus_of(snapshot)
    if beside and "RAM" not in fit.better and " fits" not in fewer:
        words.append(smaller_in_ram(model, numbers, machine_memory(snapshot)))
    return replace(fit, better="; or ".join(word for word in words if word))


def verdict_on(need: int | None, places: Sequence[Place]) -> Verdict:
    """Whether one of ``places`` has ``need`` bytes free now, or would have them when empty."""
    if need is None:
        return Verdict.UNKNOWN
    if any(place.free >= need for place in places):
        return Verdict.FITS
    return Verdict.FITS_EMPTY if any(place.capacity >= need for place in places) else Verdict.DOES_NOT_FIT


def each_device(numbers: MemoryEstimate, snapshot: Snapshot) -> tuple[OnDevice, ...]:
    """A verdict for every GPU, and one for the RAM of this machine."""
    return tuple(_on(place, numbers) for place in (*gpus_of(snapshot), machine_memory(snapshot)))


def _on(place: Place, numbers: MemoryEstimate) -> OnDevice:
    need = numbers.terms(place.is_gpu)[3]
    verdict = verdict_on(need, (place,))
    reason = {
        Verdict.FITS: f"{bytes_text(place.free)} free",
        Verdict.FITS_EMPTY: f"{bytes_text(place.free)} free: {place.holders}",
        Verdict.DOES_NOT_FIT: f"{bytes_text(place.capacity)} in all",
        Verdict.UNKNOWN: f"not known: {numbers.missing or 'its size'}",
    }[verdict]
    return OnDevice(place.device, need, place.free, place.capacity, verdict, reason)


def _too_large(need: int, largest: Place, places: Sequence[Place]) -> str:
    which = f"the largest of {len(places)} GPUs, {largest.name}," if len(places) > 1 else largest.name
    reason = f"needs {bytes_text(need)}; {which} has {bytes_text(largest.capacity)} in all"
    if len(places) > 1 and sum(place.capacity for place in places) >= need:
        reason += " and a model is not split over several"
    return reason


def _widened(numbers: MemoryEstimate) -> tuple[str, ...]:
    on_gpu, in_ram = numbers.terms(True), numbers.terms(False)
    wider = [name for name, gpu, ram in zip(("weights", "cache"), on_gpu, in_ram, strict=False) if gpu != ram]
    if not wider:
        return ()
    verb = "takes" if wider == ["cache"] else "take"
    return (f"this CPU computes in 32 bit, so {' and '.join(wider)} {verb} more than on a GPU",)


def _elsewhere(reason: str, context: int | None, batch: int) -> Fit:
    return Fit(
        weights=None,
        kv_cache=None,
        overhead=None,
        total=None,
        free=0,
        capacity=0,
        verdict=Verdict.UNKNOWN,
        reason=reason,
        device="provider",
        context=context or 0,
        batch=batch,
    )
