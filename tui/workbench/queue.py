"""The queue: its jobs in their order, their logs, and what moves them."""

from __future__ import annotations

from collections.abc import Sequence

from tui.jobs.full_disk import as_they_are, full_disk
from tui.jobs.job import Job, WhenFree
from tui.jobs.order import Place
from tui.plain_text import clean
from tui.workbench.work import WorkRequests


class QueueRequests(WorkRequests):
    """Requests about jobs that were asked for."""

    def full_disk(self) -> str:
        """What to say when the volume of the queue itself is full, so that not even its rows can be written."""
        return full_disk(self.paths)

    def as_they_are(self, jobs: Sequence[Job]) -> list[Job]:
        """``jobs`` corrected by what the disk could not take: those whose process is gone do not move any more."""
        return as_they_are(jobs)

    def job(self, job_id: int) -> Job:
        """One job; raises ``NotFoundError``."""
        return self.store.job(job_id)

    def changed_since(self, revision: int) -> tuple[list[Job], list[int], int]:
        """Jobs that changed after ``revision``, ids that were removed, and the newest revision; 0 asks for all."""
        return self.store.changed_since(revision)

    def cancel(self, job_id: int) -> Job:
        """Stop a job for good; raises ``MoveRefusedError`` when it is over."""
        return self._asked(self.store.cancel(job_id))

    def pause(self, job_id: int) -> Job:
        """Stop a job so that it can go on later."""
        return self._asked(self.store.pause(job_id))

    def resume(self, job_id: int) -> Job:
        """Let a paused or interrupted job go on."""
        return self._asked(self.store.resume(job_id))

    def retry(self, job_id: int) -> Job:
        """Try a failed or cancelled job again, with the jobs that it needs; now, one that waits for its next try."""
        return self._asked(self.store.retry(job_id))

    def move(self, job_id: int, where: Place) -> Job:
        """Move a waiting job, with its chain, in the queue; raises ``MoveRefusedError`` when it does not wait."""
        return self._asked(self.store.move(job_id, where))

    def prioritise(self, job_id: int, priority: int) -> Job:
        """Give a waiting job another priority; higher goes first, and the order of asking decides among equals."""
        return self._asked(self.store.reprioritise(job_id, priority))

    def start_when_free(self, job_id: int, when: WhenFree) -> Job:
        """Let a waiting job start only when so much memory has been free for so long; 0 bytes: as soon as it can."""
        return self._asked(self.store.start_when_free(job_id, when))

    def clear_jobs(self) -> int:
        """Forget the jobs that are over; returns how many."""
        return self.store.clear()

    def log_text(self, job_id: int, offset: int = 0, limit: int = 1_000_000) -> tuple[str, int]:
        """Text of a job's log from byte ``offset`` on, without control characters, and the offset after it."""
        try:
            with self.job(job_id).log.open("rb") as log:
                log.seek(offset)
                data = log.read(limit)
        except FileNotFoundError:
            return "", offset
        return clean(data.decode("utf-8", "replace")), offset + len(data)
