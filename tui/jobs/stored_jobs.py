"""The jobs in the file, as whoever opens it sees them: one, all of them, what changed, and what happened to each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tui.errors import StoreError
from tui.jobs.database import Database
from tui.jobs.job import Event, Job
from tui.jobs.rebuild import rebuild
from tui.jobs.rows import event_from_row
from tui.jobs.transition import Queue
from tui.paths import Paths


class StoredJobs:
    """Reads the queue, and gives the transactions in which it is written."""

    def __init__(self, paths: Paths, *, durable: bool = True) -> None:
        """Open or create ``paths.database``; raises ``StoreError`` for a newer schema or an unwritable folder.

        ``durable=False`` gives up safety against power cuts; only tests want that.
        """
        self._paths = paths
        if not paths.state.is_dir() or not paths.jobs.is_dir():
            try:
                paths.prepare()
            except OSError as error:
                raise StoreError(f"cannot create {paths.state}: {error}", "check its owner and free space") from error
        self._database = Database(
            paths.database, durable=durable, rebuild=lambda connection: rebuild(connection, paths.jobs)
        )

    def close(self) -> None:
        """Close the file; the object cannot be used afterwards."""
        self._database.close()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Queue]:
        with self._database.reading() as connection:
            yield Queue(connection, self._paths)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Queue]:
        with self._database.writing() as connection:
            yield Queue(connection, self._paths)

    def job(self, job_id: int) -> Job:
        """One job; raises ``NotFoundError``."""
        with self._reading() as queue:
            return queue.get(job_id)

    def find(self, job_id: int) -> Job | None:
        """One job, or None."""
        with self._reading() as queue:
            return queue.find(job_id)

    def jobs(self) -> list[Job]:
        """All jobs in queue order: by priority, then in the order they were submitted."""
        with self._reading() as queue:
            return queue.select("1")

    def unfinished(self) -> list[Job]:
        """The jobs that are queued, running or ready, in queue order."""
        with self._reading() as queue:
            return queue.select("state IN ('queued', 'running', 'ready')")

    def changed_since(self, revision: int) -> tuple[list[Job], list[int], int]:
        """The jobs that changed after ``revision``, the ids removed after it, and the revision to ask from next.

        0 asks for everything; so does a revision that this file has not reached.
        """
        with self._database.reading() as connection:
            now = int(connection.execute("SELECT value FROM counter").fetchone()[0])
            if now == revision:
                return [], [], now
            if not 0 < revision < now:
                return Queue(connection, self._paths).select("1"), [], now
            changed = Queue(connection, self._paths).select("revision > ?", (revision,))
            removed = connection.execute("SELECT job_id FROM removed WHERE revision > ?", (revision,))
            return changed, [int(row[0]) for row in removed], now

    def data_version(self) -> int:
        """A number that changes whenever anybody changed the database; cheap enough to poll."""
        return self._database.data_version()

    def history(self, job_id: int) -> list[Event]:
        """What happened to a job, oldest first; raises ``NotFoundError``."""
        with self._database.reading() as connection:
            Queue(connection, self._paths).get(job_id)
            rows = connection.execute("SELECT * FROM event WHERE job_id = ? ORDER BY seq", (job_id,))
            return [event_from_row(row) for row in rows]
