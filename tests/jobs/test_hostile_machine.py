"""What a machine does to the queue: no more open files, stopped processes, clocks that jump, volumes gone read-only."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from tui.errors import StoreError
from tui.jobs import rows
from tui.jobs.job import Failure, JobRequest, Kind, Progress, State, state_seconds
from tui.jobs.rounds import Runner
from tui.jobs.surroundings import Machine
from tui.settings import JobSettings

DONE = State.DONE


@pytest.mark.parametrize("spare", [0, 1, 3])
def test_a_runner_without_open_files_to_spare_loses_and_blames_nobody(bench, spare, monkeypatch):
    monkeypatch.setenv("HEFT_RUNNER_IDLE", "60")  # with three to spare everything may be done long before
    first = bench.submit(steps=3)
    runner = bench.run()
    bench.wait(first, DONE)
    # The highest number in use, not their count, is what the limit is about.
    used = max(int(entry.name) for entry in Path(f"/proc/{runner}/fd").iterdir()) + 1
    _, most = resource.prlimit(runner, resource.RLIMIT_NOFILE)
    resource.prlimit(runner, resource.RLIMIT_NOFILE, (used + spare, most))
    jobs = [bench.submit(steps=3) for _ in range(3)]
    time.sleep(4)  # longer than a job that is at fault would take to be given up
    states = {bench.store.job(job.id).state for job in jobs}
    assert bench.runner() == runner, bench.runner_log()
    assert states <= {State.QUEUED, State.RUNNING, DONE}
    resource.prlimit(runner, resource.RLIMIT_NOFILE, (most, most))
    for job in jobs:
        assert bench.wait(job, DONE).deaths == 0
        assert [step for _, _, step in bench.trace(job)] == [1, 2, 3]


def test_a_worker_that_is_stopped_for_a_while_goes_on(bench):
    """A stopped process is not a dead one: nothing is started beside it, and it is as it was when it wakes."""
    job = bench.submit(steps=40)
    bench.run()
    bench.wait_steps(job, 5)
    worker = bench.worker(job)
    os.kill(worker, signal.SIGSTOP)
    at = bench.checkpoint(job)
    bench.until(lambda: "is stopped" in bench.store.job(job.id).waiting_because, 20, "the reason why it does not move")
    assert bench.store.job(job.id).waiting_because.endswith(f"kill -CONT {worker} lets it go on")
    assert bench.checkpoint(job) <= at + 1 and bench.store.job(job.id).state is State.RUNNING
    os.kill(worker, signal.SIGCONT)
    ended = bench.wait(job, DONE)
    assert ended.waiting_because == ""
    assert (ended.attempt, ended.deaths) == (1, 0)
    assert {pid for _, pid, _ in bench.trace(job)} == {worker}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch):
    """Sets the queue's clock ahead or back."""
    real = rows.now

    def jump(by: timedelta) -> None:
        monkeypatch.setattr(rows, "now", lambda: real() + by)

    return jump


@pytest.mark.parametrize("days", [-4000, -1, 1, 4000])
def test_a_clock_that_jumps_holds_nothing_up(store, paths, clock, days, monkeypatch, until):
    """A job that was to wait for an hour starts as soon as the clock cannot be trusted, or says that it is time."""
    monkeypatch.setenv("HEFT_WORKER", f"{sys.executable} -c 'raise SystemExit(0)'")
    job = store.claim(store.submit(JobRequest(Kind.DOWNLOAD, "m", {})).id, "")
    store.fail(job.id, 1, Failure("the hub is away", passing=True), JobSettings(retries=3, retry_wait=3000))
    runner = Runner(paths, store, Machine(paths), print)
    runner.tick()
    assert store.job(job.id).state is State.QUEUED
    assert "tries again in" in store.job(job.id).waiting_because
    clock(timedelta(days=days))
    until(lambda: (runner.tick(), store.job(job.id).attempt == 2)[1], 15)


def test_durations_are_never_negative_and_the_order_is_not_the_clock_s(store, clock):
    first = store.submit(JobRequest(Kind.DOWNLOAD, "first", {}))
    clock(timedelta(days=-30))
    store.submit(JobRequest(Kind.DOWNLOAD, "second", {}))
    assert [job.model for job in store.jobs()] == ["first", "second"]
    store.claim(first.id, "")
    clock(timedelta(days=-60))
    store.report(first.id, 1, Progress(1, 2))
    store.finish(first.id, 1, {})
    assert all(seconds is None or seconds >= 0 for seconds in state_seconds(store.history(first.id)))
    assert [event.state for event in store.history(first.id)] == [State.QUEUED, State.RUNNING, DONE]


READ_ONLY = """
mount -t tmpfs tmpfs "$0" || exit 99
"$1" -m tui jobs --json >/dev/null || exit 98
mount -o remount,ro "$0" || exit 99
"$1" -m tui jobs
"""


def test_a_volume_that_went_read_only_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HEFT_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", READ_ONLY, tmp_path / "home", sys.executable],
        check=False, capture_output=True, text=True, timeout=60, cwd=Path(__file__).parent.parent.parent,
    )  # fmt: skip
    if done.returncode == 99 or "unshare" in done.stderr:
        pytest.skip("this machine lets nobody mount a volume of his own")
    assert done.returncode == 1, done.stderr
    assert "is read-only: the queue cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_a_database_that_turned_read_only_is_named(store):
    with store._database.reading() as connection:
        connection.execute("PRAGMA query_only = 1")
    with pytest.raises(StoreError, match="is read-only: the queue cannot be written") as caught:
        store.submit(JobRequest(Kind.DOWNLOAD, "m", {}))
    assert "HEFT_HOME" in caught.value.hint
