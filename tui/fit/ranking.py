"""The fit of every row of a long list: the highest precision that fits now, in microseconds.

What depends on the model alone is worked out once per row, what depends on the machine once per snapshot; the rest is a
few comparisons. ``fit_model`` tells the whole story of one row.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui.catalog.model import Model
from tui.fit.memory_estimate import MemoryEstimate, estimate, published_precision
from tui.fit.place import Place, gpus_of, machine_memory
from tui.fit.remedies import takes_gptq
from tui.fit.verdict import Fit, Verdict
from tui.hardware.snapshot import Snapshot
from tui.quantities import bytes_text

REMEMBERED = 20_000
"""Rows whose estimates are kept; more than a catalog and a session of hub searches hold."""

_estimates: dict[str, tuple[Model, tuple[MemoryEstimate, ...]]] = {}
_machine: tuple[Snapshot | None, _Machine | None] = (None, None)


@dataclass(frozen=True, slots=True)
class _Machine:
    """The freest and the largest GPU of a snapshot (None without one), and its RAM."""

    freest: Place | None
    largest: Place | None
    memory: Place


def best_fit(model: Model, snapshot: Snapshot) -> Fit:
    """The highest precision of ``model`` that fits this machine now; else that would fit it empty; else the lowest one
    with "does not fit". A GPU comes first, RAM where no precision fits a GPU. Rows of a provider are unknown."""
    if model.is_api:
        return Fit(None, None, None, None, 0, 0, Verdict.UNKNOWN, "runs at the provider", device="provider")
    known = _estimates.get(model.id)
    if known is None or known[0] is not model:
        known = (model, _candidates(model))
        if len(_estimates) >= REMEMBERED:
            _estimates.clear()
        _estimates[model.id] = known
    candidates, machine = known[1], _look(snapshot)
    first = candidates[0]
    if first.total is None:
        place = machine.freest or machine.memory
        return _fit(first, place, Verdict.UNKNOWN, f"not known: {first.missing or 'its size'}")
    for freest, largest in ((machine.freest, machine.largest), (machine.memory, machine.memory)):
        if freest is None or largest is None:
            continue
        empty: MemoryEstimate | None = None
        for numbers in candidates:
            need = numbers.terms(freest.is_gpu)[3] or 0
            if need <= freest.free:
                return _fit(numbers, freest, Verdict.FITS, "")
            if empty is None and need <= largest.capacity:
                empty = numbers
        if empty is not None:
            return _fit(empty, largest, Verdict.FITS_EMPTY, "")
    place = machine.largest or machine.memory
    return _fit(candidates[-1], place, Verdict.DOES_NOT_FIT, "")


def _candidates(model: Model) -> tuple[MemoryEstimate, ...]:
    """The estimates worth offering, from the highest precision to the lowest: 16 bit (or as published where that is
    already quantized), then what GPTQ can make of it."""
    if not takes_gptq(model):
        floating = not model.quantization and model.shape.dtype in ("", "float32")
        return (estimate(model, "float16" if floating else ""),)
    sixteen = published_precision(model)
    labels = ("float16" if sixteen == "float32" else sixteen, "gptq-8bit", "gptq-4bit")
    return tuple(estimate(model, label) for label in labels)


def _look(snapshot: Snapshot) -> _Machine:
    global _machine
    seen, machine = _machine
    if machine is None or seen is not snapshot:
        gpus = gpus_of(snapshot)
        machine = _Machine(
            max(gpus, key=lambda place: place.free, default=None),
            max(gpus, key=lambda place: (place.capacity, place.free), default=None),
            machine_memory(snapshot),
        )
        _machine = (snapshot, machine)
    return machine


def _fit(numbers: MemoryEstimate, place: Place, verdict: Verdict, reason: str) -> Fit:
    weights, cache, overhead, need = numbers.terms(place.is_gpu)
    if not reason:
        reason = f"needs {bytes_text(need)} of {bytes_text(place.free)} free"
    return Fit(
        weights,
        cache,
        overhead,
        need,
        place.free,
        place.capacity,
        verdict,
        reason,
        place.device,
        numbers.precision,
        numbers.context,
        numbers.batch,
        "",
        numbers.notes,
        guessed=numbers.guessed,
    )
