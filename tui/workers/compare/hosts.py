"""The hosts of a trial: serve jobs that it asks for, waits for and unloads. Those that were here before stay.

Which host is ours stands in the trial itself, so an attempt that follows a kill finds and ends it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from pathlib import Path

from tui.catalog.hub import Hub
from tui.catalog.library import Library
from tui.compare.trial import Contestant, Trial
from tui.compare.trial_store import TrialStore
from tui.errors import HeftError
from tui.fit.measured import MeasuredHere, device_kind
from tui.hardware.probe import Probe
from tui.jobs.job import Job, State
from tui.jobs.liveness import jobs_by_pid
from tui.jobs.planner import Planner
from tui.jobs.store import Store
from tui.settings import load_settings
from tui.workers.reporter import Reporter

IDLE_MINUTES = 30
"""A host of ours that nobody asks for so long leaves by itself: whoever should have unloaded it was killed for good."""

WAIT_SECONDS = 6.0
"""How long a load may wait for memory while other models of the trial hold some; then it gets a wave of its own."""

LOOK_SECONDS = 0.1
LEAVE_SECONDS = 20.0


class NoRoomNowError(HeftError):
    """The load waits for memory that others of this trial hold."""


class Hosts:
    """Loads and unloads for one trial."""

    def __init__(self, reporter: Reporter, trials: TrialStore, trial: Trial) -> None:
        self._reporter, self._trials, self._trial = reporter, trials, trial
        paths = reporter.paths
        self.jobs = Store(paths)
        self._probe = Probe(paths, jobs=lambda: jobs_by_pid(paths.jobs))
        self.library = Library(paths)
        hub = Hub(paths, load_settings(paths.settings_file))
        self._planner = Planner(paths, self.jobs, self.library, hub, self._probe.snapshot)
        self.snapshot = self._probe.snapshot
        self._ours: dict[int, int] = {
            number: standing.host_job
            for number, standing in enumerate(trial.standings)
            if standing.host_job is not None
        }
        self._measured = MeasuredHere(paths)
        self.started: Callable[[], None] = lambda: None
        """Called when a host was asked for: whoever shows the queue learns that it belongs to the trial."""

    @property
    def ours(self) -> list[int]:
        """The serve jobs of this trial."""
        return sorted(self._ours.values())

    def close(self) -> None:
        """Unload what is ours, and let go of the queue."""
        for number in list(self._ours):
            self.unload(number, wait=False)
        self._probe.close()
        self.jobs.close()

    def load(self, number: int, contestant: Contestant, others_loaded: bool) -> Job:
        """The ready host of a contestant. Raises ``NoRoomNowError``, or ``HeftError`` when it cannot be loaded."""
        build = self.library.build(contestant.build)
        known = {job.id for job in self.jobs.jobs()}
        job = self._planner.serve(build, self._trial.order.context, None, IDLE_MINUTES)[-1]
        if job.id not in known:
            self._ours[number] = job.id
            self._trials.stand(self._trial.id, number, host_job=job.id)
        self.started()
        began = time.monotonic()
        while job.state is not State.READY:
            self._reporter.check()
            if job.state.is_over:
                self._forget(number)
                failure = job.failure
                raise HeftError(
                    failure.summary if failure else f"its host was {job.state}", failure.hint if failure else ""
                )
            waiting = job.state is State.QUEUED and bool(job.waiting_because)
            note = f"waits: {job.waiting_because}" if waiting else job.progress.message or "loading"
            self._trials.stand(self._trial.id, number, note=note)
            if waiting and others_loaded and time.monotonic() - began > WAIT_SECONDS and number in self._ours:
                self.unload(number)
                raise NoRoomNowError(job.waiting_because)
            time.sleep(LOOK_SECONDS)
            job = self.jobs.job(job.id)
        return job

    def peak_memory(self, job: Job) -> int | None:
        """Most bytes that a host held: of its process on a CPU, as its memory watch measured on a GPU."""
        build, context = str(job.result.get("build") or ""), int(job.result.get("context") or 0)
        kind = device_kind(str(job.result.get("device") or "cpu"))
        if kind == "cpu" and (peak := _resident_peak(int(job.result.get("pid") or 0))):
            return peak
        measured = self._measured.of([build], kind, context)
        return measured.bytes if measured else None

    def unload(self, number: int, *, wait: bool = True) -> None:
        """End the host of a contestant, if it is ours, and wait until its memory is back."""
        job_id = self._ours.get(number)
        if job_id is None:
            return
        with contextlib.suppress(HeftError):
            self.jobs.cancel(job_id)
            deadline = time.monotonic() + LEAVE_SECONDS
            while wait and not self.jobs.job(job_id).state.is_over and time.monotonic() < deadline:
                time.sleep(LOOK_SECONDS)
        self._forget(number)

    def _forget(self, number: int) -> None:
        if self._ours.pop(number, None) is not None:
            self._trials.stand(self._trial.id, number, host_job=None)


def _resident_peak(pid: int) -> int:
    try:
        for row in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0
