"""What happens to jobs inside one transaction: moves, and what a move means for the jobs that need each other.

``store.py`` opens the transaction and decides who may ask; here alone a state changes, and only along the table of
moves.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Any

from tui.errors import MoveRefusedError, NotFoundError
from tui.jobs.job import MOVES, Failure, Job, JobRequest, Kind, State, Want, move_is_allowed
from tui.jobs.job_folder import forget_outcome, reserve_outcome, write_outcome, write_spec
from tui.jobs.retry import again_text, next_try, waits_for_its_try
from tui.jobs.rows import again_json, failure_json, job_from_row, now, now_text, spec_file_of, to_json
from tui.paths import Paths

DEATHS_ALLOWED = 3
"""A job that died this often without getting further waits for the user."""

_BAD_ENDS = (State.FAILED, State.CANCELLED, State.INTERRUPTED)


class Queue:
    """The queue as one open transaction sees it."""

    def __init__(self, connection: sqlite3.Connection, paths: Paths) -> None:
        self._connection = connection
        self._folder = paths.job_folder

    # --- rows

    def find(self, job_id: int) -> Job | None:
        """One job, or None."""
        row = self._connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()
        return None if row is None else job_from_row(row, self._folder(job_id))

    def get(self, job_id: int) -> Job:
        """One job; raises ``NotFoundError``."""
        job = self.find(job_id)
        if job is None:
            raise NotFoundError(f"there is no job {job_id}", "see: heft jobs")
        return job

    def attempted(self, job_id: int, attempt: int) -> Job | None:
        """The job if ``attempt`` is the one that runs now, else None: whoever asks came too late."""
        job = self.find(job_id)
        return job if job is not None and job.attempt == attempt and job.state.is_alive else None

    def select(self, condition: str, values: Iterable[Any] = ()) -> list[Job]:
        """The jobs that meet an SQL ``condition``, in queue order."""
        question = f"SELECT * FROM job WHERE {condition} ORDER BY priority DESC, id"
        rows = self._connection.execute(question, tuple(values)).fetchall()
        return [job_from_row(row, self._folder(row["id"])) for row in rows]

    def insert(self, request: JobRequest, plan: str) -> int:
        """Add a queued job with its folder; the id of the known one when the key was used before."""
        key = request.key or uuid.uuid4().hex
        known = self._connection.execute("SELECT id FROM job WHERE key = ?", (key,)).fetchone()
        if known is not None:
            return int(known["id"])
        for needed in request.after:
            self.get(needed)
        created = now_text()
        cursor = self._connection.execute(
            "INSERT INTO job (key, kind, state, model, spec, needs, after, plan, priority, created)"
            " VALUES (?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)",
            (key, request.kind, request.model, to_json(request.spec), to_json(asdict(request.needs)),
             to_json(request.after), plan, request.priority, created),
        )  # fmt: skip
        job_id = int(cursor.lastrowid or 0)
        # Inside the transaction: an acknowledged job always has the copy from which a lost database is rebuilt.
        reserve_outcome(self._folder(job_id))
        write_spec(self._folder(job_id), spec_file_of(job_id, key, plan, request, created))
        return job_id

    # --- moves

    def move(self, job: Job, state: State, note: str, **columns: Any) -> bool:
        """The only place where a state changes; False when the table of moves does not have it."""
        if state not in MOVES[job.state]:
            return False
        columns |= {"state": state, "note": note}
        failure = columns.get("failure")
        if isinstance(failure, Failure):
            columns["failure"] = failure_json(replace(failure, log=failure.log or str(job.log)))
        if not state.is_alive:
            columns["want"] = None
            columns["progress"] = to_json(asdict(replace(job.progress, rate=None, eta=None)))
        if state is State.QUEUED:
            columns["told"] = ""
        if state.is_over:
            columns |= {"ended": now_text(), "waiting_because": ""}
        elif state is State.PAUSED:
            columns["waiting_because"] = ""
        changes = ", ".join(f"{name} = :{name}" for name in columns)
        self._connection.execute(f"UPDATE job SET {changes} WHERE id = :id", columns | {"id": job.id})
        self._keep_outcome(job, state)
        return True

    def _keep_outcome(self, job: Job, state: State) -> None:
        if state in (State.QUEUED, State.RUNNING):
            forget_outcome(job.folder)
            return
        row = self._connection.execute("SELECT * FROM job WHERE id = ?", (job.id,)).fetchone()
        kept = {name: row[name] for name in ("state", "failure", "started", "ended", "device")}
        write_outcome(job.folder, kept | {"result": json.loads(row["result"])})

    def move_or_refuse(self, job: Job, state: State, note: str, refusal: str) -> None:
        """Move, or raise ``MoveRefusedError``."""
        if not self.move(job, state, note):
            raise refused(job, refusal, "")

    def want(self, job: Job, want: Want | None) -> None:
        """Note what the runner shall do with a job that has a process."""
        self._connection.execute("UPDATE job SET want = ? WHERE id = ?", (want, job.id))

    def requeue(self, job: Job, note: str) -> None:
        """Queue a job at a person's wish: it begins with a clean record."""
        self.move(
            job, State.QUEUED, note, deaths=0, furthest="{}", failure=None, result="{}", started=None, ended=None,
            waiting_because="", again=None,
        )  # fmt: skip

    def requeue_at_once(self, job: Job) -> None:
        """A job that waits for its next try shall not wait any longer."""
        if job.again is not None:
            again = again_json(replace(job.again, at=now()))
            self._connection.execute("UPDATE job SET again = ? WHERE id = ?", (again, job.id))

    def put_off(self, job: Job, failure: Failure, limit: int, wait: float) -> bool:
        """Queue a job that failed for a passing reason, to try again later; False when it had its tries."""
        again = next_try(job, limit, wait, now())
        state = State.PAUSED if job.want is Want.PAUSE else State.QUEUED
        if again is None or job.want is Want.CANCEL or not move_is_allowed(job.state, state):
            return False
        return self.move(
            job, state, f"{failure.summary}; {again_text(again, again.seconds)}",
            failure=failure, again=again_json(again), started=None,
            waiting_because=waits_for_its_try(failure, again, again.seconds),
        )  # fmt: skip

    def bury(self, job: Job, how: str) -> State:
        """A job's process ended without an outcome: do what was wanted, queue it to resume, or leave it to the user."""
        row = self._connection.execute("SELECT furthest FROM job WHERE id = ?", (job.id,)).fetchone()
        deaths, furthest = _count_death(job, json.loads(row["furthest"]))
        marks = {"deaths": deaths, "furthest": to_json(furthest)}
        if job.want is Want.CANCEL:
            state, note = State.CANCELLED, "cancelled by the user"
        elif job.want is Want.PAUSE and job.state is State.RUNNING:
            state, note = State.PAUSED, "paused by the user"
        elif job.kind is Kind.SERVE:
            state, note = State.INTERRUPTED, f"the host died ({how})"
        elif deaths >= DEATHS_ALLOWED:
            state, note = State.INTERRUPTED, f"{how}; died {deaths} times without getting further"
        else:
            state, note = State.QUEUED, f"{how}; resuming ({deaths}/{DEATHS_ALLOWED})"
        if state is State.INTERRUPTED:
            hint = "resume it, or look at the log"
            if job.kind is Kind.SERVE and "memory" in how:
                hint = "load it with a shorter context, in fewer bits or on another device, or unload other models"
            failure = Failure(note, hint, str(job.log))
            self.move(job, state, note, failure=failure, **marks)
        elif state is State.QUEUED:
            self.move(job, state, note, started=None, **marks)
        else:
            self.move(job, state, note)
        return state

    # --- jobs that need each other

    def retry_with_needed(self, job: Job) -> None:
        """Queue a job again, and before it those of its needed jobs that ended badly."""
        for needed in job.after:
            other = self.find(needed)
            if other is not None and other.state in _BAD_ENDS:
                self.retry_with_needed(other)
        self.requeue(job, "retried by the user")

    def revive_dependents(self, job_id: int) -> None:
        """Queue the jobs again that failed only because this one did."""
        for job in self.select("state = 'failed' AND json_extract(failure, '$.because_of') = ?", (job_id,)):
            self.requeue(job, f"job {job_id}, which it needs, was retried")
            self.revive_dependents(job.id)

    def hopeless(self) -> list[tuple[Job, int]]:
        """Queued jobs, each with the id of a needed job that will not be done."""
        found = []
        for job in self.select("state = 'queued' AND after <> '[]'"):
            for needed in job.after:
                other = self.find(needed)
                if other is None or other.state in (State.FAILED, State.CANCELLED):
                    found.append((job, needed))
                    break
        return found

    def fail_dependents(self) -> None:
        """Fail the hopeless ones, and those that need these."""
        while hopeless := self.hopeless():
            for job, needed in hopeless:
                failure = _needed(self.find(needed), needed)
                mark = failure_json(replace(failure, log=str(job.log)), because_of=needed)
                self.move(job, State.FAILED, failure.summary, failure=mark)


def refused(job: Job, what: str, hint: str) -> MoveRefusedError:
    """The refusal of a move, saying where the job stands."""
    state = "being cancelled" if job.want is Want.CANCEL else str(job.state)
    return MoveRefusedError(f"job {job.id} {what}: it is {state}", hint)


def _needed(other: Job | None, needed: int) -> Failure:
    if other is None:
        return Failure(f"needs job {needed}, which was removed", "ask for it again")
    fate = "which failed" if other.state is State.FAILED else "which was cancelled"
    return Failure(f"needs job {needed} ({other.kind}), {fate}", "retry this job: both run again")


def _count_death(job: Job, furthest: dict[str, float]) -> tuple[int, dict[str, float]]:
    """Deaths without progress, this one included: getting 1 % further than at any earlier death begins anew."""
    unit, done = job.progress.unit, job.progress.done
    before = furthest.get(unit, 0.0)
    advanced = done > before and done - before >= 0.01 * (job.progress.total or 0)
    return (1 if advanced else job.deaths + 1), furthest | {unit: max(before, done)}
