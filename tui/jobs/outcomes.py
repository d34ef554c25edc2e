"""What the runner and the jobs' own processes write into the queue: beginnings, progress and outcomes.

Each write is guarded by id, attempt and state, so a late writer changes nothing.
"""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from typing import Any

from tui.errors import HeftError
from tui.jobs.job import Failure, Job, Progress, State
from tui.jobs.rows import now_text, to_json
from tui.jobs.stored_jobs import StoredJobs
from tui.jobs.transition import Queue
from tui.settings import JobSettings

_ONCE = JobSettings(retries=0)
_UNTOLD = "told <> state AND state IN ('ready', 'done', 'failed', 'interrupted')"


class Outcomes(StoredJobs):
    """Moves jobs that have a process."""

    def claim(self, job_id: int, device: str) -> Job | None:
        """Begin the next attempt of a queued job on ``device``; None when it is not queued any more."""
        with self._writing() as queue:
            job = queue.find(job_id)
            if job is None:
                return None
            progress = replace(job.progress, rate=None, eta=None, message="")
            begun = queue.move(
                job, State.RUNNING, f"on {device}" if device else "", attempt=job.attempt + 1, device=device,
                want=None, waiting_because="", failure=None, started=now_text(), ended=None,
                progress=to_json(asdict(progress)),
            )  # fmt: skip
            return queue.get(job_id) if begun else None

    def wait(self, job_id: int, reason: str) -> None:
        """Say why a queued job waits."""
        with self._database.reading() as connection:
            question = "SELECT 1 FROM job WHERE id = ? AND state = 'queued' AND waiting_because <> ?"
            if connection.execute(question, (job_id, reason)).fetchone() is None:
                return
        with self._database.writing_quickly() as connection:
            connection.execute("UPDATE job SET waiting_because = ? WHERE id = ? AND state = 'queued'", (reason, job_id))

    def hold_up(self, job_id: int, attempt: int, reason: str) -> None:
        """Say why a job that runs does not move; empty when it does."""
        with self._database.writing_quickly() as connection:
            connection.execute(
                "UPDATE job SET waiting_because = ? WHERE id = ? AND attempt = ? AND state IN ('running', 'ready')",
                (reason, job_id, attempt),
            )

    def report(self, job_id: int, attempt: int, progress: Progress) -> bool:
        """Note how far an attempt is. May be lost, never raises: a full or busy database must not stop the work."""
        try:
            with self._database.writing_quickly() as connection:
                cursor = connection.execute(
                    "UPDATE job SET progress = ? WHERE id = ? AND attempt = ? AND state IN ('running', 'ready')",
                    (to_json(asdict(progress)), job_id, attempt),
                )
                return cursor.rowcount == 1
        except (HeftError, TypeError, ValueError):
            return False

    def mark_ready(self, job_id: int, attempt: int, result: dict[str, Any]) -> bool:
        """A serve job answers requests now; ``result`` says where."""
        return self._outcome(job_id, attempt, State.READY, "ready", result=to_json(result))

    def finish(self, job_id: int, attempt: int, result: dict[str, Any]) -> bool:
        """The job's own process says that it is done."""
        return self._outcome(job_id, attempt, State.DONE, "done", result=to_json(result))

    def fail(self, job_id: int, attempt: int, failure: Failure, settings: JobSettings = _ONCE) -> bool:
        """The job's own process says why it cannot be done. Passing trouble queues it again, as often and after as
        long as ``settings`` say."""
        with self._writing() as queue:
            job = queue.attempted(job_id, attempt)
            if job is None:
                return False
            if failure.passing and queue.put_off(job, failure, settings.retries, settings.retry_wait):
                return True
            return queue.move(job, State.FAILED, failure.summary, failure=failure)

    def settle(self, job_id: int, attempt: int, state: State, note: str, failure: Failure | None = None) -> bool:
        """The runner writes the outcome of a job whose process ended without one."""
        return self._outcome(job_id, attempt, state, note, failure=failure)

    def died(self, job_id: int, attempt: int, how: str) -> State | None:
        """The runner saw a job's process end without an outcome. Returns the new state: cancelled or paused as the
        user wanted, queued to resume, or interrupted after three deaths without progress; None if it was too late.
        """
        with self._writing() as queue:
            job = queue.attempted(job_id, attempt)
            return None if job is None else queue.bury(job, how)

    def has_untold(self) -> bool:
        """Whether ``untold`` has something to give."""
        with self._reading() as queue:
            return bool(queue.select(_UNTOLD))

    def untold(self) -> list[Job]:
        """The jobs that got ready or came to an end and were not told about yet; each ending is given once, to one
        caller."""
        with self._database.writing() as connection:
            jobs = Queue(connection, self._paths).select(_UNTOLD)
            connection.execute(f"UPDATE job SET told = state WHERE {_UNTOLD}")
            return jobs

    def fail_dependents(self) -> None:
        """Fail every queued job that needs one which failed, was cancelled or is gone."""
        with self._reading() as queue:
            if not queue.hopeless():
                return
        with self._writing() as queue:
            queue.fail_dependents()

    def sweep_folders(self) -> None:
        """Remove job folders without a job: a clear or a submit was cut off in the middle."""
        with self._writing() as queue:  # no submit can be under way now
            known = {str(job.id) for job in queue.select("1")}
            for folder in self._paths.jobs.iterdir():
                if folder.name.isdigit() and folder.name not in known:
                    shutil.rmtree(folder, ignore_errors=True)

    def _outcome(
        self, job_id: int, attempt: int, state: State, note: str, failure: Failure | None = None, **columns: Any
    ) -> bool:
        with self._writing() as queue:
            job = queue.attempted(job_id, attempt)
            return job is not None and queue.move(job, state, note, failure=failure, **columns)
