"""Locks, marks and signals, with real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from tui.jobs.liveness import (
    MARK,
    belongs_to,
    is_locked,
    job_is_alive,
    mark_of,
    marked_jobs,
    processes_of,
    send_signal,
    stop,
    take_lock,
)

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


@pytest.fixture
def folder(paths):
    made = paths.job_folder(7)
    made.mkdir()
    return made


@pytest.fixture
def start(folder):
    """Start a process with the given mark (or without) and wait until it is up."""
    started = []

    def begin(mark: str | None = None, command=SLEEP, **options) -> subprocess.Popen:
        environment = os.environ | ({MARK: mark} if mark else {})
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True, **options)
        assert process.stdout.readline() == b"up\n"
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_lock_is_held_by_one_and_freed_by_sigkill(folder, start):
    lock = take_lock(folder / "lock")
    assert take_lock(folder / "lock") is None
    holder = start(pass_fds=(lock,))
    os.close(lock)
    assert job_is_alive(folder)
    holder.kill()
    holder.wait()
    assert not job_is_alive(folder)
    os.close(take_lock(folder / "lock"))


def test_looking_makes_no_file_and_many_may_look(folder):
    assert not is_locked(folder / "lock")
    assert not (folder / "lock").exists()
    (folder / "lock").touch()
    assert not is_locked(folder / "lock")
    assert not is_locked(folder / "lock" / "deeper")


def test_only_the_jobs_own_processes_are_found(paths, folder, start):
    mine = start(mark_of(folder))
    start(mark_of(paths.job_folder(70)))
    start(f"/elsewhere:{folder.name}")
    start()
    assert processes_of(folder) == [mine.pid]
    assert marked_jobs(paths.jobs) == {7, 70}


def test_a_zombie_is_not_a_process_of_the_job(folder, start):
    process = start(mark_of(folder))
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while processes_of(folder):
        assert time.monotonic() < deadline
    assert process.poll() is not None


def test_a_pid_that_is_another_process_by_now_is_not_signalled(folder, start):
    stranger = start()
    send_signal(folder, stranger.pid, signal.SIGKILL)
    send_signal(folder, 2**22 - 1, signal.SIGKILL)
    assert not belongs_to(folder, stranger.pid)
    with pytest.raises(subprocess.TimeoutExpired):
        stranger.wait(0.3)


def test_children_without_the_mark_go_with_the_group_of_their_leader(folder, start):
    code = (
        "import subprocess, sys, time; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " env={}); print('up', flush=True); print(child.pid, flush=True); time.sleep(60)"
    )
    leader = start(mark_of(folder), [sys.executable, "-c", code])
    child = int(leader.stdout.readline())
    stop(folder, [leader.pid], force=True)
    leader.wait(10)
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{child}/exe"):  # noqa: PTH110 - a link, and gone for zombies
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stopped_process_hears_term(folder, start):
    process = start(mark_of(folder))
    os.kill(process.pid, signal.SIGSTOP)
    stop(folder, [process.pid], force=False)
    assert process.wait(10) == -signal.SIGTERM
