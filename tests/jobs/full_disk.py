"""A really full disk under a running job; ``test_runner.py`` runs this inside a small volume of its own."""

from __future__ import annotations

import sqlite3
import sys
import time
from pathlib import Path

from tui.errors import StoreError
from tui.jobs.full_disk import as_they_are, full_disk
from tui.jobs.job import JobRequest, Kind, State
from tui.jobs.launch import ensure_runner
from tui.jobs.liveness import is_locked, job_is_alive
from tui.jobs.store import Store
from tui.paths import Paths


def main() -> None:
    paths = Paths.from_environment().prepare()
    store = Store(paths)
    job = store.submit(JobRequest(Kind.DOWNLOAD, "m", {"steps": 120, "seconds": 0.02}))
    ensure_runner(paths)
    until(lambda: steps(job.folder) > 10, "ten steps")
    runner = paths.runner_lock.read_text()
    fill = paths.config / "fill"
    refused = ""
    end = time.monotonic() + 6
    while time.monotonic() < end:  # whatever anybody frees is taken again
        try:
            with fill.open("ab", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
        except OSError:
            pass
        try:
            store.submit(JobRequest(Kind.DOWNLOAD, "m", {"blob": "x" * 20_000, "steps": 1}))
        except StoreError as error:
            refused = error.summary
        time.sleep(0.02)
    assert "the disk is full" in refused, refused or "a full disk took everything"
    # The worker died at its checkpoint. Where not even that can be written, the row stays as it was.
    meanwhile = store.job(job.id)
    assert meanwhile.state in (State.QUEUED, State.RUNNING), meanwhile
    assert not job_is_alive(job.folder)
    # The row may not have been written, but a front end says what is.
    assert full_disk(paths).startswith("the disk is full, ")
    (seen,) = (other for other in as_they_are(store.jobs()) if other.id == job.id)
    assert not seen.progress.rate and seen.waiting_because.startswith("the disk is full"), seen
    fill.unlink()
    assert full_disk(paths) == ""
    until(lambda: all(job.state is State.DONE for job in store.jobs()), "everything to be done", store)
    assert steps(job.folder) == 120
    trace = [int(line.split()[2]) for line in (job.folder / "trace").read_text().splitlines()]
    assert sorted(set(trace)) == list(range(1, 121))
    assert paths.runner_lock.read_text() == runner, "the same runner"
    assert sqlite3.connect(paths.database).execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    until(lambda: not is_locked(paths.runner_lock), "the runner to leave")
    print("held")


def steps(folder: Path) -> int:
    try:
        return int((folder / "checkpoint").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def until(condition, what: str, store: Store | None = None) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, (what, store and store.jobs())
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
