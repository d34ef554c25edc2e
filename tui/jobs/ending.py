"""The end of one job's processes, step by step, so that a stubborn one does not hold up the runner.

TERM to everything the job started, five seconds, KILL, and again until nothing is left: a leftover holds GPU memory.
"""

from __future__ import annotations

from pathlib import Path

from tui.jobs.liveness import job_is_alive, processes_of, stop
from tui.jobs.worker_process import WorkerProcess

GRACE_SECONDS = 5.0


class Ending:
    """``patience`` seconds before TERM for a job that is leaving by itself; with ``force`` KILL comes at once."""

    def __init__(self, folder: Path, worker: WorkerProcess | None, *, patience: float, force: bool = False) -> None:
        self.worker = worker
        self._folder = folder
        self._patience = patience
        self._force = force
        self._begun: float | None = None
        self._asked: dict[int, float] = {}

    def step(self, now: float) -> bool:
        """Do what is due at ``now`` (seconds); True when nothing of the job is left."""
        if self._begun is None:
            self._begun = now
        if self.worker is not None:
            self.worker.is_gone()  # reaps it
        left = processes_of(self._folder)
        if not left:
            return not job_is_alive(self._folder)
        if self._force:
            stop(self._folder, left, force=True)
        elif now - self._begun >= self._patience:
            stop(self._folder, [pid for pid in left if pid not in self._asked], force=False)
            for pid in left:
                self._asked.setdefault(pid, now)
            stop(self._folder, [pid for pid in left if now - self._asked[pid] >= GRACE_SECONDS], force=True)
        return False
