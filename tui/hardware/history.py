"""What the readings were: the last minutes in seconds, the last hour more coarsely, in a bounded amount of memory.

``History`` is fed with snapshots and answers with evenly spaced series; ``sparkline`` turns a series into text. Both
know nothing of a screen.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tui.hardware.snapshot import Snapshot

LEVELS = ((1.0, 180), (5.0, 240), (30.0, 130))
"""Seconds that one point stands for, and how many points are kept: 3 minutes, 20 minutes, 65 minutes."""
SHORTEST, LONGEST = 60.0, 3600.0
"""Bounds in seconds of the span that can be asked for."""
BARS = "▁▂▃▄▅▆▇█"


@dataclass(slots=True)
class _Level:
    """Points of equal length: when each began, and mean and count of every reading in it."""

    step: float
    points: deque[tuple[float, dict[str, tuple[float, int]]]]

    def add(self, at: float, readings: Mapping[str, float]) -> None:
        begin = at - at % self.step
        if not self.points or self.points[-1][0] != begin:
            self.points.append((begin, {}))
        means = self.points[-1][1]
        for name, value in readings.items():
            mean, count = means.get(name, (0.0, 0))
            means[name] = (mean + (value - mean) / (count + 1), count + 1)


@dataclass(slots=True)
class History:
    """The past of every reading by name; see ``readings`` for the names. Not thread-safe: it lives with its reader."""

    latest: float = 0.0
    _levels: tuple[_Level, ...] = field(
        default_factory=lambda: tuple(_Level(step, deque(maxlen=count)) for step, count in LEVELS)
    )

    def add(self, snapshot: Snapshot) -> None:
        """Remember one snapshot. When it is older than the last one the clock was set back, and the past is dropped."""
        if snapshot.taken < self.latest - 1:
            for level in self._levels:
                level.points.clear()
        self.latest = snapshot.taken
        values = readings(snapshot)
        for level in self._levels:
            level.add(snapshot.taken, values)

    def series(self, name: str, width: int, seconds: float = SHORTEST) -> list[float | None]:
        """``width`` means of the last ``seconds`` (1 minute to 1 hour), oldest first; None where nothing was read."""
        seconds = min(LONGEST, max(SHORTEST, seconds))
        level = next(level for level in self._levels if level.step * (level.points.maxlen or 0) >= seconds)
        span = seconds / max(1, width)
        end = self.latest - self.latest % level.step + level.step
        buckets: list[list[float]] = [[] for _ in range(width)]
        for begin, means in level.points:
            if name in means:
                index = width - 1 - int((end - begin - level.step / 2) / span)
                if 0 <= index < width:
                    buckets[index].append(means[name][0])
        return _bridged([sum(bucket) / len(bucket) if bucket else None for bucket in buckets], level.step / span)

    def names(self) -> list[str]:
        """The readings that there were within the last minutes."""
        return sorted({name for _, means in self._levels[0].points for name in means})


def readings(snapshot: Snapshot) -> dict[str, float]:
    """Every number of a snapshot that has a past, by name: "cpu", "memory", "swap", "received", "sent", and per GPU
    "gpu 0 memory", "gpu 0 utilisation", "gpu 0 temperature", "gpu 0 power". Bytes stay bytes, shares percent."""
    host = snapshot.host
    found = {
        "cpu": host.cpu_percent,
        "memory": float(host.memory_total - host.memory_available),
        "swap": float(host.swap_used),
        "received": host.network_received_rate,
        "sent": host.network_sent_rate,
    }
    for gpu in snapshot.gpus:
        if gpu.error:
            continue
        found[f"gpu {gpu.index} memory"] = float(gpu.used)
        for name in ("utilisation", "temperature", "power"):
            value = getattr(gpu, name)
            if value is not None:
                found[f"gpu {gpu.index} {name}"] = value
    return found


def sparkline(values: Iterable[float | None], width: int, low: float, high: float) -> str:
    """``width`` bars for ``values`` between ``low`` and ``high``, the newest at the right; blanks where there is none.

    More values than bars are averaged, fewer are put to the right. Values outside the bounds get the lowest or highest
    bar.
    """
    if width <= 0:
        return ""
    points = list(values)
    if len(points) > width:
        edges = [index * len(points) // width for index in range(width + 1)]
        points = [_mean(points[begin:end]) for begin, end in pairwise(edges)]
    return "".join(_bar(value, low, high) for value in points).rjust(width)


def _bar(value: float | None, low: float, high: float) -> str:
    if value is None or math.isnan(value):
        return " "
    if high <= low:
        return BARS[0]
    share = (value - low) / (high - low)
    return BARS[min(len(BARS) - 1, max(0, math.ceil(share * len(BARS)) - 1))]


def _mean(points: Sequence[float | None]) -> float | None:
    known = [point for point in points if point is not None]
    return sum(known) / len(known) if known else None


def _bridged(buckets: list[float | None], stride: float) -> list[float | None]:
    """Fill the holes that come from points being longer than buckets, and no others."""
    reach = max(1, math.ceil(stride))
    filled = list(buckets)
    for index, value in enumerate(buckets):
        if value is None:
            left = _nearest(buckets, range(index - 1, max(-1, index - reach - 1), -1))
            right = _nearest(buckets, range(index + 1, min(len(buckets), index + reach + 1)))
            if left is not None and right is not None:
                filled[index] = (left + right) / 2
    return filled


def _nearest(buckets: list[float | None], places: Iterable[int]) -> float | None:
    return next((value for place in places if (value := buckets[place]) is not None), None)
