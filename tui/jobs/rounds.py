"""What the runner does in one round: watch the jobs that have a process, end what shall end, start what may start.

It holds nothing that the disk does not know: the next runner finds all of it again.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable

from tui.jobs import rows as clock
from tui.jobs.admission import FULL_DISK, Start, Wait, decide
from tui.jobs.ending import Ending
from tui.jobs.job import Job, State
from tui.jobs.liveness import LOCK_FILE, marked_jobs, stopped_writer, take_lock
from tui.jobs.notices import Notices
from tui.jobs.retry import seconds_left, waits_for_its_try
from tui.jobs.store import Store
from tui.jobs.surroundings import Machine
from tui.jobs.worker_process import WorkerProcess, device_environment, write_order
from tui.paths import Paths

LOOK_SECONDS = 1.0
"""How often the runner looks at its jobs, and at the machine, when nobody changed anything."""

SWEEP_SECONDS = 15.0
"""How often the runner looks for processes that nobody waits for any more."""

_BACK_OFF = {0: 0.0, 1: 0.0, 2: 3.0}
"""Seconds to wait before a job starts again, by its deaths without progress."""

_NO_ROOM_EXIT = os.EX_TEMPFAIL
"""A worker leaves with this when the disk is full: that is no death of its own making."""

_NO_ROOM_SECONDS = 10.0


class Runner:
    """One round of work is ``tick``."""

    def __init__(self, paths: Paths, store: Store, machine: Machine, say: Callable[[str], None]) -> None:
        self._paths = paths
        self._store = store
        self._machine = machine
        self._say = say
        self._workers: dict[int, WorkerProcess] = {}
        self._endings: dict[int, Ending] = {}
        self._not_before: dict[int, tuple[float, str]] = {}
        self._admitted: tuple[object, float] = ((), 0.0)
        self._notices = Notices(machine.settings, say)
        self._swept = 0.0

    def adopt(self) -> None:
        """Begin where another runner stopped: take over what lives, end what has no job any more."""
        self._store.sweep_folders()
        alive = {job.id: job for job in self._store.unfinished() if job.state.is_alive}
        for job in alive.values():
            self._workers[job.id] = WorkerProcess.adopt(job)
            self._say(f"job {job.id} ({job.kind}), attempt {job.attempt}: adopted")
        self.end_leftovers()

    def end_leftovers(self) -> None:
        """End processes whose jobs are over. The end of a job is the time for that, but a process that is just being
        started (between fork and exec) shows no mark and is overlooked then."""
        self._swept = time.monotonic()
        alive = {job.id for job in self._store.unfinished() if job.state.is_alive}
        for job_id in marked_jobs(self._paths.jobs) - alive - self._endings.keys() - self._workers.keys():
            self._say(f"job {job_id} has left a process behind")
            self._endings[job_id] = Ending(self._paths.job_folder(job_id), None, patience=5.0)

    @property
    def is_ending(self) -> bool:
        """Whether processes are being ended, which wants a closer watch."""
        return bool(self._endings)

    def has_work(self) -> bool:
        """Whether there is a job to run, to watch or to end."""
        return bool(
            self._endings
            or self._workers
            or self._notices.is_busy
            or self._store.unfinished()
            or self._store.has_untold()
        )

    def tick(self) -> None:
        """Look at every job once and do what is due. A job that makes trouble does not hold up the others."""
        self._continue_stopped_writer()
        jobs = {job.id: job for job in self._store.unfinished()}
        for job in jobs.values():
            if job.state.is_alive:
                self._guarded(job.id, lambda job=job: self._watch(job))  # type: ignore[misc]
        for job_id in [job_id for job_id in self._workers if job_id not in jobs or not jobs[job_id].state.is_alive]:
            self._guarded(job_id, lambda job_id=job_id: self._let_leave(job_id))  # type: ignore[misc]
        for job_id in list(self._endings):
            self._guarded(job_id, lambda job_id=job_id: self._end(job_id))  # type: ignore[misc]
        self._store.fail_dependents()
        self._admit()
        if self._store.has_untold():
            self._notices.tell(self._store.untold())
        self._notices.tend()
        if time.monotonic() - self._swept >= SWEEP_SECONDS:
            self.end_leftovers()

    def _continue_stopped_writer(self) -> None:
        pid = stopped_writer(self._paths.database)
        if pid is not None:
            self._say(f"process {pid} was stopped in the middle of a write and is continued: it kept the queue shut")
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGCONT)

    def _guarded(self, job_id: int, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:  # whatever is wrong with this job must not cost the others their runner
            self._say(f"job {job_id}: {type(error).__name__}: {error}")

    # --- jobs with a process

    def _watch(self, job: Job) -> None:
        if job.id in self._endings:
            return
        worker = self._workers.get(job.id)
        if worker is None or worker.attempt != job.attempt:
            worker = self._workers[job.id] = WorkerProcess.adopt(job)
        if job.want is not None:
            self._say(f"job {job.id}: {job.want} was asked for")
            self._endings[job.id] = Ending(job.folder, worker, patience=0.0)
        elif worker.is_gone():
            # What the dead worker left behind goes first: it may still write to the job's files.
            self._endings[job.id] = Ending(job.folder, worker, patience=0.0, force=True)
        else:
            stopped = f"its process {worker.pid} is stopped; kill -CONT {worker.pid} lets it go on"
            held = stopped if worker.is_stopped() else ""
            if job.waiting_because != held:
                self._store.hold_up(job.id, job.attempt, held)

    def _let_leave(self, job_id: int) -> None:
        """The job has its outcome: its process may take its time to leave, but neither for ever nor with leftovers."""
        worker = self._workers.pop(job_id)
        if job_id not in self._endings:
            self._endings[job_id] = Ending(worker.folder, worker, patience=5.0)

    def _end(self, job_id: int) -> None:
        ending = self._endings[job_id]
        if not ending.step(time.monotonic()):
            return
        worker = ending.worker
        if worker is not None and self._workers.get(job_id) is worker:
            self._settle(worker)
            del self._workers[job_id]
        del self._endings[job_id]

    def _settle(self, worker: WorkerProcess) -> None:
        """The process is gone without a trace: write how that leaves the job, unless it wrote an outcome itself."""
        how, now = worker.how_it_ended(), time.monotonic()
        job = self._store.job(worker.job_id)
        if worker.exit_code() == _NO_ROOM_EXIT and job.want is None:
            note = f"{FULL_DISK}; it goes on when there is room"
            self._store.settle(job.id, worker.attempt, State.QUEUED, note)
            self._not_before[job.id] = (now + _NO_ROOM_SECONDS, FULL_DISK)
            return
        state = self._store.died(job.id, worker.attempt, how)
        if state is None:
            return
        self._say(f"job {job.id}, attempt {worker.attempt}: {how}; now {state}")
        if state is State.QUEUED:
            deaths = self._store.job(job.id).deaths
            self._not_before[job.id] = (now + _BACK_OFF.get(deaths, 3.0), how)

    # --- jobs that wait

    def _admit(self) -> None:
        jobs = self._store.unfinished()
        queued = [job for job in jobs if job.state is State.QUEUED]
        if not queued:
            self._not_before.clear()
            return
        now = time.monotonic()
        queue = tuple((job.id, job.state, job.priority, job.id in self._endings) for job in jobs)
        if self._admitted[0] == queue and now - self._admitted[1] < LOOK_SECONDS:
            return  # only progress was reported; the sensors need not be asked for that
        self._admitted = (queue, now)
        alive = [job for job in jobs if job.state.is_alive]
        needed = {job_id: self._store.find(job_id) for job in queued for job_id in job.after}
        known = {job_id: job for job_id, job in needed.items() if job}
        around = self._machine.look(queued, alive, known, self._held(queued))
        for decision in decide(queued, alive, around):
            job_id = decision.job.id
            if isinstance(decision, Wait):
                self._guarded(job_id, lambda wait=decision: self._store.wait(wait.job.id, wait.reason))  # type: ignore[misc]
            else:
                self._guarded(job_id, lambda start=decision: self._start(start))  # type: ignore[misc]

    def _held(self, queued: list[Job]) -> dict[int, str]:
        now = time.monotonic()
        held = {}
        for job in queued:
            later = seconds_left(job.again, clock.now()) if job.again else 0.0
            until, why = self._not_before.get(job.id, (0.0, ""))
            if job.id in self._endings:
                held[job.id] = "its former process is still leaving"
            elif until > now:
                held[job.id] = f"{why}; it starts again in {until - now:.0f} s"
            elif job.again is not None and later:
                held[job.id] = waits_for_its_try(job.failure, job.again, later)
        return held

    def _start(self, start: Start) -> None:
        job = start.job
        lock = take_lock(job.folder / LOCK_FILE)
        if lock is None:
            self._store.wait(job.id, "its former process is still leaving")
            return
        try:
            try:
                # Before the claim: when there is no room for this, the job has not begun.
                write_order(job, job.attempt + 1, start.device)
            except OSError as error:
                self._store.wait(job.id, f"its order cannot be written: {error}")
                raise
            claimed = self._store.claim(job.id, start.device)
            if claimed is None:
                return
            environment = {**os.environ, **device_environment(start.device, self._machine.uuid_of(start.device))}
            try:
                worker = WorkerProcess.start(claimed, lock, environment)
            except OSError as error:
                # The machine is short of something (open files, processes, memory): that is no death of the job.
                note = f"its process could not be started: {error}"
                self._store.settle(claimed.id, claimed.attempt, State.QUEUED, note)
                self._not_before[job.id] = (time.monotonic() + 3.0, f"its process could not be started: {error}")
                raise
            self._workers[job.id] = worker
            self._say(f"job {job.id} ({job.kind}), attempt {claimed.attempt}: started as {worker.pid} {start.device}")
        finally:
            os.close(lock)
