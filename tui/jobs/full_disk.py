"""What a front end can still say when the volume of the queue is full: rows cannot be written then, so they lie.

The words come from the volume and the locks, which need no room.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tui.jobs.admission import FULL_DISK, STATE_FLOOR
from tui.jobs.job import Job
from tui.jobs.liveness import job_is_alive
from tui.jobs.surroundings import volume_of
from tui.paths import Paths
from tui.quantities import bytes_text


def full_disk(paths: Paths) -> str:
    """Why the whole queue stands still; empty while there is room for it."""
    volume = volume_of(paths.state)
    if volume is None or volume.free >= STATE_FLOOR:
        return ""
    return f"{FULL_DISK}, {bytes_text(volume.free)} left: all goes on by itself when there is room on {volume.path}"


def as_they_are(jobs: Sequence[Job]) -> list[Job]:
    """``jobs``, but those that run by their row while their process is gone stand still and say so."""
    return [_still(job) if job.state.is_alive and not job_is_alive(job.folder) else job for job in jobs]


def _still(job: Job) -> Job:
    progress = replace(job.progress, rate=0.0 if job.progress.rate is not None else None, eta=None)
    return replace(job, progress=progress, waiting_because=f"{FULL_DISK}; it goes on when there is room")
