"""The time of day that the screen shows. One home, so that pictures and tests can hold the clock still."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def seconds() -> float:
    """Seconds since the epoch."""
    return time.time()


def now() -> datetime:
    """The same moment as an aware datetime in UTC."""
    return datetime.fromtimestamp(seconds(), UTC)
