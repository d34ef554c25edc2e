"""Starting the runner: once, whoever asks and however often, detached from the terminal, and never losing a job."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tui.errors import StoreError
from tui.jobs import launch
from tui.jobs.job import State
from tui.jobs.launch import ensure_runner, runner_environment
from tui.jobs.liveness import MARK, is_locked, mark_of, take_lock
from tui.paths import Paths
from tui.workbench import Workbench

ENSURE = (
    "from tui.paths import Paths; from tui.jobs.launch import ensure_runner; ensure_runner(Paths.from_environment())"
)


def runners(paths: Paths) -> set[int]:
    """Pids of the runners of this home that are past taking the lock, or trying to."""
    home = f"HEFT_HOME={paths.config.parent}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and b"tui.jobs.runner" in (entry / "cmdline").read_bytes()
                and home in (entry / "environ").read_bytes().split(b"\0")
            ):
                found.add(int(entry.name))
        except OSError:
            continue
    return found


def test_thirty_racing_launches_give_one_runner(bench, monkeypatch):
    monkeypatch.setenv("HEFT_RUNNER_IDLE", "60")  # a busy machine takes seconds to start thirty
    job = bench.submit()
    launches = [subprocess.Popen([sys.executable, "-c", ENSURE]) for _ in range(30)]
    assert [launched.wait(60) for launched in launches] == [0] * 30
    bench.wait(job, State.DONE)
    bench.until(lambda: len(runners(bench.paths)) == 1, 20, "the losers to leave")
    assert runners(bench.paths) == {bench.runner()}
    assert bench.store.job(job.id).attempt == 1
    assert bench.runner_log().count("ready") == 1


def test_asking_again_only_looks_at_the_lock(bench, monkeypatch):
    bench.run()
    looks = []
    monkeypatch.setattr(launch, "is_locked", lambda lock: looks.append(lock) or is_locked(lock))
    monkeypatch.setattr(launch, "_had_its_turn", lambda *_: pytest.fail("it looked for more than the lock"))
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("it started something"))
    for _ in range(100):
        ensure_runner(bench.paths)
    assert looks == [bench.paths.runner_lock] * 100


def test_the_runner_takes_no_part_of_the_terminal(bench):
    pid = bench.run()
    assert os.getsid(pid) == pid
    assert Path(f"/proc/{pid}/cwd").readlink() == Path("/")
    assert Path(f"/proc/{pid}/fd/0").readlink() == Path("/dev/null")
    assert {str(Path(f"/proc/{pid}/fd/{number}").readlink()) for number in (1, 2)} == {str(bench.paths.runner_log)}
    os.kill(pid, signal.SIGHUP)
    assert bench.run() == pid


FRONT = """
import sys, time
from tui.jobs.job import JobRequest, Kind
from tui.jobs.launch import ensure_runner
from tui.jobs.store import Store
from tui.paths import Paths
from tui.workbench import Workbench
paths = Paths.from_environment()
store = Store(paths)
job = store.submit(JobRequest(Kind.DOWNLOAD, "m", {"steps": 60, "seconds": 0.03}, key="mine"))
ensure_runner(paths)
print("submitted", flush=True)
time.sleep(600)
"""


def test_closing_the_terminal_costs_the_job_nothing(bench):
    """The front end that submitted and started the runner is the leader of a pty's session; then the pty hangs up."""
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it would be ignored
        os.execv(sys.executable, [sys.executable, "-c", FRONT])
    assert b"submitted" in os.read(terminal, 1000)
    job = bench.until(lambda: next(iter(bench.store.jobs()), None), 10)
    bench.wait_steps(job, 3)
    os.close(terminal)
    _, status = os.waitpid(pid, 0)
    assert os.WTERMSIG(status) == signal.SIGHUP
    assert bench.wait(job, State.DONE).attempt == 1


@pytest.mark.parametrize("idle", ["0", "0.05"])
def test_a_job_submitted_while_the_runner_leaves_is_not_stranded(bench, monkeypatch, idle):
    """Each submit meets a runner in another moment of leaving; asking once for a runner must always be enough."""
    monkeypatch.setenv("HEFT_RUNNER_IDLE", idle)
    for round_number in range(12):
        job = bench.submit(steps=1, seconds=0)
        ensure_runner(bench.paths)
        deadline = time.monotonic() + 20
        while bench.store.job(job.id).state is not State.DONE:
            assert time.monotonic() < deadline, f"round {round_number}: {bench.runner_log()}"
            time.sleep(0.01)
        time.sleep(0.011 * round_number)  # wander over the runner's last quarter of a second


def test_a_glance_at_the_lock_does_not_keep_a_runner_from_starting(bench):
    """``is_locked`` holds the lock for a moment; a runner that starts just then must try again."""
    glance = take_lock(bench.paths.runner_lock)
    runner = subprocess.Popen([sys.executable, "-m", "tui.jobs.runner"], env=os.environ | {"HEFT_RUNNER_IDLE": "60"})
    bench.until(lambda: runner.pid in runners(bench.paths), 10)
    time.sleep(0.3)
    os.close(glance)
    bench.until(lambda: bench.runner() == runner.pid, 10, "the runner to take the lock")
    runner.kill()
    runner.wait()
    assert not is_locked(bench.paths.runner_lock)


def test_the_runner_finds_folders_that_the_environment_does_not_name(paths, monkeypatch, tmp_path):
    monkeypatch.setenv("HEFT_HOME", str(tmp_path / "another"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    assert Paths.from_environment(runner_environment(paths)) == paths
    odd = Paths(tmp_path / "a", tmp_path / "b", tmp_path / "c", tmp_path / "d")
    with pytest.raises(StoreError, match="HEFT_HOME"):
        runner_environment(odd)


def test_the_runner_loads_nothing_heavy():
    code = """
import sys, tui.jobs.runner
heavy = {"torch", "textual", "rich", "huggingface_hub", "transformers", "psutil", "pynvml", "httpx2", "asyncio"}
print(sorted(heavy & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_who_watches_starts_a_runner_for_what_a_job_left_behind(bench):
    """The last runner was killed while it ended that, and no job is left that would bring another."""
    workbench = Workbench(bench.paths)
    job = bench.submit()
    bench.store.cancel(job.id)
    workbench.keep_running()
    assert bench.runner() == 0, "nothing is to do"
    marked = os.environ | {MARK: mark_of(job.folder)}
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=marked, start_new_session=True)
    bench.until(lambda: bench.pids(job) == [left.pid], 10, "the leftover to be there")
    workbench.keep_running()
    bench.until(lambda: left.poll() is not None, 30, "the leftover to be ended")
    assert left.returncode == -signal.SIGTERM
    workbench.close()
