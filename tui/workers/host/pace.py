"""How many threads write tokens, by what the last tokens took.

Threads wait for each other after every operation, so on a machine where others work too, one that must share its core
holds up all: two threads may then be several times slower than one. Every now and then half or twice as many are tried
for a few tokens, and kept where they are clearly faster; the longer nothing changes, the rarer.
"""

from __future__ import annotations

from collections.abc import Sequence

TRIED = 4
"""Tokens that one number of threads is judged by."""

SOONEST, RAREST = 16, 1024
"""Tokens between two tries."""

FASTER = 0.85


class Pace:
    """Threads between 1 and ``most``."""

    def __init__(self, most: int) -> None:
        self.threads = most
        self._most = most
        self._base = most
        self._seconds: list[float] = []
        self._next = SOONEST
        self._wait = SOONEST
        self._downwards = True
        self._before = 0.0

    def took(self, seconds: float) -> None:
        """The last token was written in ``seconds`` by ``threads`` threads; may change their number."""
        self._seconds.append(seconds)
        if self.threads != self._base:
            if len(self._seconds) == TRIED:
                self._judge()
            return
        self._seconds = self._seconds[-TRIED:]
        self._next -= 1
        if self._next <= 0 and len(self._seconds) == TRIED:
            self._try()

    def _try(self) -> None:
        other = max(1, self._base // 2) if self._downwards else min(self._most, 2 * self._base)
        self._downwards = not self._downwards
        if other == self._base:
            self._next = 1
            return
        self._before = _middle(self._seconds)
        self._seconds = []
        self.threads = other

    def _judge(self) -> None:
        if _middle(self._seconds) < FASTER * self._before:
            self._base = self.threads
            self._wait = SOONEST
        else:
            self.threads = self._base
            self._wait = min(RAREST, 2 * self._wait)
        self._next = self._wait
        self._seconds = []


def _middle(seconds: Sequence[float]) -> float:
    return sorted(seconds)[len(seconds) // 2]
