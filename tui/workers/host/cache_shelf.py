"""The caches of several conversations on one host, and which of them a prompt goes on from.

Reuse compares token ids, never text, because a template may tokenize an old turn otherwise. All caches together stay
within one budget; who has not been asked for the longest time goes first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui.workers.host.room_cache import Cache

WORTH_COPYING = 32
"""Fewer shared tokens are read again sooner than the bookkeeping is worth."""


class CacheShelf:
    """Caches, least lately used first. ``make`` gives an empty one; ``budget`` is in bytes, None for no limit."""

    def __init__(self, make: Callable[[], Cache], budget: int | None = None) -> None:
        self._make = make
        self.budget = budget
        self.caches: list[Cache] = []
        self.dropped = 0
        """Conversations that were forgotten because others needed the room."""

    def take(self, prompt: Sequence[int]) -> tuple[Cache, int]:
        """The cache to read ``prompt`` into, and how many of its tokens it holds already.

        At least one token is always left to read, because its logits begin the answer. A cache is gone on from in
        place where the prompt is all in it (another answer) or where it loses no more than it keeps (the next turn, an
        edited question); where two conversations only begin alike, the beginning is copied and the other stays whole.
        """
        lengths = [min(common_length(cache.ids, prompt), len(prompt) - 1) for cache in self.caches]
        best = max(range(len(lengths)), key=lambda place: (lengths[place], place), default=-1)
        if best < 0 or lengths[best] == 0:
            return self._put(self._make()), 0
        cache, shared = self.caches[best], lengths[best]
        again = cache.ids[shared : shared + 1] == list(prompt[shared:])
        if again or 2 * shared >= len(cache.ids):
            if cache.cut(shared):
                self.caches.append(self.caches.pop(best))
                return cache, shared
        elif shared >= WORTH_COPYING and (copied := cache.copy(shared)) is not None:
            return self._put(copied), shared
        return self._put(self._make()), 0

    def keep_within(self) -> None:
        """Forget conversations until all caches fit the budget; never the one used last."""
        while self.budget is not None and len(self.caches) > 1 and self.bytes() > self.budget:
            self.caches.pop(0).clear()
            self.dropped += 1

    def clear(self) -> None:
        """Forget everything and give the memory back."""
        for cache in self.caches:
            cache.clear()
        self.caches = []

    def bytes(self) -> int:
        """Memory of all caches."""
        return sum(cache.bytes() for cache in self.caches)

    @property
    def tokens(self) -> int:
        """Tokens in all caches."""
        return sum(len(cache.ids) for cache in self.caches)

    @property
    def conversations(self) -> int:
        """How many conversations are remembered."""
        return sum(bool(cache.ids) for cache in self.caches)

    def _put(self, cache: Cache) -> Cache:
        self.caches = [kept for kept in self.caches if kept.ids]
        self.caches.append(cache)
        return cache


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading items are the same."""
    for place, (left, right) in enumerate(zip(first, second, strict=False)):
        if left != right:
            return place
    return min(len(first), len(second))
