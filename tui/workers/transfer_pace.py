"""How fast and how patiently bytes are moved: the bandwidth cap, and the waits after something went wrong."""

from __future__ import annotations

import email.utils
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_RATE_LIMIT = re.compile(r"(?:^|;)\s*t=(\d+)")


@dataclass(frozen=True, slots=True)
class Patience:
    """``first_wait`` seconds after a failure, doubled up to ``longest_wait``. The transfer gives up after ``start``
    seconds without a first byte, or ``silence`` seconds without another one: a network that is away for a while must
    not cost a night's work."""

    first_wait: float = 0.5
    longest_wait: float = 30.0
    start: float = 60.0
    silence: float = 900.0
    longest_asked: float = 600.0
    """A hub that asks to wait longer than this is not waited for."""

    def wait(self, failures: int) -> float:
        """Seconds to wait after ``failures`` in a row, varied so that connections do not march in step."""
        doubled = self.first_wait * 2.0 ** min(failures - 1, 10)
        return min(self.longest_wait, doubled) * random.uniform(0.8, 1.2)


class Pace:
    """A cap of ``limit()`` bytes per second shared by all threads that call ``take``; 0 means no cap."""

    def __init__(self, limit: Callable[[], int], stop: threading.Event) -> None:
        self._limit = limit
        self._stop = stop
        self._lock = threading.Lock()
        self._paid_until = time.monotonic()

    def step(self, size: int) -> int:
        """How many bytes to ask the network for at once: a tenth of a second's worth, at most ``size``."""
        limit = self._limit()
        return min(size, max(4096, limit // 10)) if limit else size

    def take(self, number: int) -> None:
        """Wait until ``number`` bytes more are allowed, or until the stop."""
        limit = self._limit()
        if not limit:
            return
        with self._lock:
            now = time.monotonic()
            self._paid_until = max(self._paid_until, now - 0.1) + number / limit
            due = self._paid_until - now
        if due > 0:
            self._stop.wait(due)


FLOOR = 32_000
"""Bytes per second under which another connection is worth a try, even when there is no other to compare with."""


class Pulse:
    """Tells a connection that crawls. Looked at over ``seconds``, it brings less than a fiftieth of what the best one
    brought lately, or less than ``FLOOR``; where a new connection is no better, the next look takes twice as long.
    ``seconds`` 0: never."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._begun: dict[object, tuple[float, int]] = {}
        self._best: tuple[float, float] = (0.0, -1e9)
        self._patience: dict[object, float] = {}

    def crawls(self, who: object, number: int, now: float) -> bool:
        """Take in ``number`` bytes that ``who`` got at ``now``; True when its connection should be given up."""
        if not self._seconds:
            return False
        since, count = self._begun.get(who, (now, 0))
        self._begun[who] = (since, count + number)
        patience = self._patience.get(who, 1.0)
        if now - since < self._seconds * patience:
            return False
        speed = (count + number) / (now - since)
        self._begun[who] = (now, 0)
        with self._lock:
            if speed >= self._best[0] or now - self._best[1] > 6 * self._seconds:
                self._best = (speed, now)
            crawls = speed < max(FLOOR, self._best[0] / 50)
        self._patience[who] = min(16.0, 2 * patience) if crawls else 1.0
        return crawls

    def forget(self, who: object) -> None:
        """``who`` begins with another connection."""
        self._begun.pop(who, None)


def asked_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds that an answer asks to wait: Retry-After as a number or a date, or the hub's RateLimit header."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    if value:
        try:
            return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
        except (TypeError, ValueError):
            return None
    found = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return float(found[1]) if found else None
