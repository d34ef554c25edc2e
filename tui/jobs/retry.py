"""When a job that failed for a passing reason tries again, and how that is said.

Pure functions. The wait doubles from try to try; getting further than at the last failure begins the count anew, so a
long download over a bad line is not given up while it advances.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from tui.jobs.job import Again, Failure, Job
from tui.quantities import duration_text

LONGEST_WAIT = 3600.0
"""Seconds; no wait between two tries is longer."""


def next_try(job: Job, limit: int, wait: float, now: datetime) -> Again | None:
    """The next try of ``job``, which has just failed; None when it had ``limit`` of them."""
    before, done = job.again, job.progress.done
    advanced = before is not None and done > before.done and done - before.done >= 0.01 * (job.progress.total or 0)
    tries = 1 if before is None or advanced else before.tries + 1
    if tries > limit:
        return None
    seconds = min(LONGEST_WAIT, wait * 2.0 ** (tries - 1))
    return Again(tries, limit, now + timedelta(seconds=seconds), seconds, done)


def seconds_left(again: Again, now: datetime) -> float:
    """Seconds until the try, 0 when it is due. A wait that is longer than it was at first is one of a clock that was
    set back: then the try is due as well."""
    left = (again.at - now).total_seconds()
    return left if 0 < left <= again.seconds else 0.0


def again_text(again: Again, left: float) -> str:
    """In words: "tries again in 40s (2 of 3)"."""
    return f"tries again in {duration_text(left)} ({again.tries} of {again.limit})"


def waits_for_its_try(failure: Failure | None, again: Again, left: float) -> str:
    """Why a job that was put off waits, in words."""
    words = again_text(again, left)
    return f"{failure.summary}; {words}" if failure else words
