"""How long a text: the same model at one context length after the other, with a verdict for each.

The estimate is made once per precision; only its cache grows with the context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.catalog.model import Model
from tui.fit.kv_cache import generates
from tui.fit.memory_estimate import MemoryEstimate, estimate, published_precision
from tui.fit.place import Place, places_for
from tui.fit.remedies import takes_gptq
from tui.fit.verdict import Verdict, verdict_on
from tui.hardware.snapshot import Snapshot

SHORTEST = 512
PRECISIONS = ("float16", "gptq-8bit", "gptq-4bit", "gptq-3bit", "gptq-2bit")
"""From most to fewest bytes."""


@dataclass(frozen=True, slots=True)
class Rung:
    """``total`` bytes for ``context`` tokens."""

    context: int
    total: int | None
    verdict: Verdict


def precisions_of(model: Model) -> tuple[str, ...]:
    """In which precisions ``model`` can be had here: as published, and what GPTQ makes of it."""
    published = published_precision(model)
    if not takes_gptq(model):
        return (published,)
    return ("float16" if published == "float32" else published, *PRECISIONS[1:])


def contexts_for(longest: int | None) -> list[int]:
    """Context lengths to ask about: powers of two from ``SHORTEST`` up to the longest."""
    if not longest:
        return []
    return [*(SHORTEST << power for power in range(20) if SHORTEST << power < longest), longest]


def ladder(numbers: MemoryEstimate, places: Sequence[Place], contexts: Sequence[int]) -> tuple[Rung, ...]:
    """One rung for each of ``contexts`` on the best of ``places``, all of which are GPUs or none."""
    rungs = []
    for tokens in contexts:
        need = numbers.with_context(tokens).terms(places[0].is_gpu)[3]
        rungs.append(Rung(tokens, need, verdict_on(need, places)))
    return tuple(rungs)


def ladders(
    model: Model, snapshot: Snapshot, *, precisions: Sequence[str] = (), batch: int = 1, memory: int | None = None
) -> Mapping[str, tuple[Rung, ...]]:
    """A ladder for each of ``precisions`` (all that ``model`` can be had in); none where it keeps no cache."""
    contexts = contexts_for(model.context_length)
    if model.is_api or not generates(model) or not contexts:
        return {}
    places = places_for(snapshot, memory)
    wanted = precisions or precisions_of(model)
    return {label: ladder(estimate(model, label, contexts[0], batch), places, contexts) for label in wanted}
