"""What would I need? For each precision the smallest common card that would take a model, and how long a text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tui.catalog.build import Build
from tui.catalog.model import Model
from tui.fit.context import longest_context
from tui.fit.memory_estimate import MemoryEstimate, estimate, estimate_build, published_precision
from tui.fit.remedies import takes_gptq

GIGA = 10**9
CARDS = tuple(size * GIGA for size in (4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 141, 180, 288))
"""Sizes of cards that are sold, in bytes; decimal, which leaves the driver the seven percent that it reserves."""


@dataclass(frozen=True, slots=True)
class Need:
    """``total`` bytes on a card for ``context`` tokens; ``card`` is the smallest of ``CARDS`` that takes them (None:
    none does), ``ram`` what the same takes without a card, ``longest`` the context in tokens that this card has room
    for, at most what the model can hold."""

    precision: str
    context: int
    total: int | None
    card: int | None
    ram: int | None
    longest: int | None


def needs(model: Model, context: int | None = None, batch: int = 1) -> tuple[Need, ...]:
    """One answer for each precision that ``model`` can be had in, from most to fewest bytes; none for an API."""
    if model.is_api:
        return ()
    return tuple(_need(estimate(model, label, context, batch), model.context_length) for label in precisions(model))


def build_needs(build: Build, context: int | None = None, batch: int = 1) -> tuple[Need, ...]:
    """The same for weights on this disk, as they are."""
    return (_need(estimate_build(build, context, batch), None),)


def precisions(model: Model) -> tuple[str, ...]:
    """In which precisions ``model`` can be loaded: as published, and what GPTQ makes of it."""
    published = published_precision(model)
    if not takes_gptq(model):
        return (published,)
    return ("float16" if published == "float32" else published, "gptq-8bit", "gptq-4bit")


def smallest_card(total: int | None, cards: Sequence[int] = CARDS) -> int | None:
    """The smallest of ``cards`` that takes ``total`` bytes; None when none does or it is not known."""
    return None if total is None else next((card for card in cards if card >= total), None)


def _need(numbers: MemoryEstimate, limit: int | None) -> Need:
    card = smallest_card(numbers.total)
    longest = None if card is None else longest_context(numbers, card, limit or numbers.context)
    return Need(numbers.precision, numbers.context, numbers.total, card, numbers.total_cpu, longest)
