"""Time by two clocks: the wall's, which a person waits for, and the processor's, which other load does not change."""

from __future__ import annotations

import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """``wall`` seconds, and ``cpu`` seconds of this process and its threads."""

    wall: float
    cpu: float

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall - other.wall, self.cpu - other.cpu)

    def __mul__(self, times: float) -> Spent:
        return Spent(self.wall * times, self.cpu * times)


def now() -> Spent:
    """Both clocks; only differences mean something."""
    return Spent(time.monotonic(), time.process_time())
