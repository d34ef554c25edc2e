"""How long a text there is room for: the one search for a context length that fits."""

from __future__ import annotations

from tui.fit.memory_estimate import MemoryEstimate

STEP = 256
"""Answers below the limit are multiples of so many tokens."""


def longest_context(numbers: MemoryEstimate, room: int, limit: int, *, on_gpu: bool = True) -> int | None:
    """The longest context in tokens, up to ``limit``, with which ``numbers`` stay within ``room`` bytes. None where
    even ``STEP`` tokens are too many, or nothing is known about the cache."""
    if numbers.shape is None:
        return None

    def fits(tokens: int) -> bool:
        need = numbers.with_context(tokens).terms(on_gpu)[3]
        return need is not None and need <= room

    if fits(limit):
        return limit
    lowest, highest = 0, (limit - 1) // STEP
    while lowest < highest:
        middle = (lowest + highest + 1) // 2
        lowest, highest = (middle, highest) if fits(middle * STEP) else (lowest, middle - 1)
    return lowest * STEP or None
