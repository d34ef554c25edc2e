"""What "within a second" means on a machine that has more to do than it has cores."""

from __future__ import annotations

import os


def patient(seconds: float) -> float:
    """``seconds`` as they are where a core is free, and as many times longer as processes share one core now."""
    return seconds * max(1.0, os.getloadavg()[0] / len(os.sched_getaffinity(0)))
