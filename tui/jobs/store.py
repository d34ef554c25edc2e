"""The queue on disk: the one truth that front ends, runner and workers share.

Front ends ask (submit, cancel, pause, resume, retry), here; only the runner and the job's own process move a job that
has a process (``outcomes.py``).
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, replace

from tui.errors import MoveRefusedError
from tui.jobs.job import Job, JobRequest, State, Want, WhenFree
from tui.jobs.job_folder import read_spec, write_spec
from tui.jobs.order import Place, moved
from tui.jobs.outcomes import Outcomes
from tui.jobs.rows import to_json
from tui.jobs.transition import Queue, refused


class Store(Outcomes):
    """The jobs of one user on one host. Safe to use from several threads and from several processes at once."""

    def submit(self, request: JobRequest) -> Job:
        """Add a job, or return the one that was already submitted under ``request.key``."""
        with self._writing() as queue:
            return queue.get(queue.insert(request, request.plan))

    def submit_chain(self, requests: Sequence[JobRequest]) -> tuple[Job, ...]:
        """Add linked jobs in one transaction: each also waits for the one before; all share one plan id."""
        with self._writing() as queue:
            plan = next((request.plan for request in requests if request.plan), "") or uuid.uuid4().hex[:12]
            ids: list[int] = []
            for request in requests:
                after = tuple(dict.fromkeys((*request.after, *ids[-1:])))
                ids.append(queue.insert(replace(request, after=after), plan))
            return tuple(queue.get(job_id) for job_id in ids)

    def cancel(self, job_id: int) -> Job:
        """Stop a job for good. One that has a process is asked for; the runner does it."""
        with self._writing() as queue:
            job = queue.get(job_id)
            if job.state.is_alive:
                queue.want(job, Want.CANCEL)
            else:
                queue.move_or_refuse(job, State.CANCELLED, "cancelled by the user", "cannot be cancelled")
                queue.fail_dependents()
            return queue.get(job_id)

    def pause(self, job_id: int) -> Job:
        """Set a job aside so that it can go on later. One that has a process is asked for; the runner does it."""
        with self._writing() as queue:
            job = queue.get(job_id)
            if job.want is Want.CANCEL:
                raise refused(job, "cannot be paused", "retry it once it has stopped")
            if job.state is State.RUNNING:
                queue.want(job, Want.PAUSE)
            else:
                queue.move_or_refuse(job, State.PAUSED, "paused by the user", "cannot be paused")
            return queue.get(job_id)

    def resume(self, job_id: int) -> Job:
        """Queue a paused or interrupted job again; it goes on where it was."""
        with self._writing() as queue:
            job = queue.get(job_id)
            if job.state is State.RUNNING and job.want is Want.PAUSE:
                queue.want(job, None)
            elif job.state in (State.PAUSED, State.INTERRUPTED):
                queue.requeue(job, "resumed by the user")
            else:
                raise refused(job, "cannot be resumed", "only paused and interrupted jobs can")
            return queue.get(job_id)

    def retry(self, job_id: int) -> Job:
        """Queue a failed, cancelled or interrupted job again, with those it needs and those that failed with it; one
        that waits for its next try has it now."""
        with self._writing() as queue:
            job = queue.get(job_id)
            if job.state is State.QUEUED and job.again is not None:
                queue.requeue_at_once(job)
                return queue.get(job_id)
            if job.state not in (State.FAILED, State.CANCELLED, State.INTERRUPTED):
                raise refused(job, "cannot be retried", "only failed, cancelled and interrupted jobs can")
            queue.retry_with_needed(job)
            queue.revive_dependents(job_id)
            return queue.get(job_id)

    def reprioritise(self, job_id: int, priority: int) -> Job:
        """Give a waiting job another priority; higher goes first."""
        with self._database.writing() as connection:
            queue = Queue(connection, self._paths)
            job = queue.get(job_id)
            if job.state not in (State.QUEUED, State.PAUSED):
                raise refused(job, "cannot be moved in the queue", "only waiting jobs can")
            connection.execute("UPDATE job SET priority = ? WHERE id = ?", (priority, job_id))
            return queue.get(job_id)

    def start_when_free(self, job_id: int, when: WhenFree) -> Job:
        """Let a waiting job start only when there has been so much room on its device; ``when.memory`` 0: as soon as
        it can. Raises ``MoveRefusedError`` for one that does not wait or computes nothing."""
        with self._database.writing() as connection:
            queue = Queue(connection, self._paths)
            job = queue.get(job_id)
            if job.state not in (State.QUEUED, State.PAUSED):
                raise refused(job, "cannot be made to wait for memory", "only waiting jobs can")
            if job.needs.device in ("", "none"):
                raise MoveRefusedError(f"job {job.id} ({job.kind}) computes on no device", "it starts when it can")
            needs = replace(job.needs, free=when.memory, free_for=when.seconds if when.memory else 0.0)
            write_spec(job.folder, read_spec(job.folder) | {"needs": asdict(needs)})
            connection.execute("UPDATE job SET needs = ? WHERE id = ?", (to_json(asdict(needs)), job_id))
            return queue.get(job_id)

    def move(self, job_id: int, where: Place) -> Job:
        """Move a waiting job, with its chain, before or behind the others that wait."""
        with self._database.writing() as connection:
            queue = Queue(connection, self._paths)
            job = queue.get(job_id)
            waiting = queue.select("state IN ('queued', 'paused')")
            if all(other.id != job_id for other in waiting):
                raise refused(job, "cannot be moved in the queue", "only waiting jobs can")
            changes = moved(waiting, job, where)
            connection.executemany(
                "UPDATE job SET priority = ? WHERE id = ?", [(priority, other) for other, priority in changes.items()]
            )
            return queue.get(job_id)

    def clear(self, job_ids: Sequence[int] | None = None) -> int:
        """Forget jobs that are over and remove their folders; returns how many.

        Without ids: all that no unfinished job needs. With ids: raises ``MoveRefusedError`` for one that is not over
        or still needed.
        """
        with self._database.writing() as connection:
            queue = Queue(connection, self._paths)
            jobs = queue.select("1")
            needed = {need: job.id for job in jobs if not job.state.is_over for need in job.after}
            asked = jobs if job_ids is None else [queue.get(job_id) for job_id in dict.fromkeys(job_ids)]
            gone = [job for job in asked if job.state.is_over and job.id not in needed]
            kept = next((job for job in asked if job not in gone), None)
            if job_ids is not None and kept is not None:
                reason = f"job {needed[kept.id]} needs it" if kept.state.is_over else f"it is {kept.state}"
                raise MoveRefusedError(f"job {kept.id} cannot be cleared: {reason}", "cancel that one first")
            connection.executemany("DELETE FROM job WHERE id = ?", [(job.id,) for job in gone])
        for job in gone:
            shutil.rmtree(job.folder, ignore_errors=True)
        return len(gone)
