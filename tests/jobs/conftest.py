"""A queue with real processes: store, runner and a counting worker under this test's own home."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tui.jobs.job import Job, JobRequest, Kind, Needs, State
from tui.jobs.launch import ensure_runner
from tui.jobs.liveness import MARK, is_locked, processes_of
from tui.jobs.store import Store
from tui.paths import Paths

WORKER = Path(__file__).parent / "counting_worker.py"


@pytest.fixture
def store(paths: Paths) -> Iterator[Store]:
    opened = Store(paths, durable=False)
    yield opened
    opened.close()


class Bench:
    """What a front end does, and what a hostile world does."""

    def __init__(self, paths: Paths, store: Store, until: Callable[..., object]) -> None:
        self.paths = paths
        self.store = store
        self.until = until

    def submit(
        self,
        kind: Kind = Kind.DOWNLOAD,
        *,
        needs: Needs | None = None,
        after: tuple[int, ...] = (),
        steps: int = 5,
        seconds: float = 0.02,
        misbehave: str = "",
        until_file: str = "",
    ) -> Job:
        spec = {"steps": steps, "seconds": seconds, "misbehave": misbehave, "until_file": until_file}
        return self.store.submit(JobRequest(kind, "model", spec, needs or Needs(), after))

    def run(self) -> int:
        """Start the runner; returns its pid once it is at work."""
        self.until(lambda: (ensure_runner(self.paths), self.runner())[1], 20, "a runner")
        return self.runner()

    def runner(self) -> int:
        """Pid of the runner, or 0."""
        if not is_locked(self.paths.runner_lock):
            return 0
        return int(self.paths.runner_lock.read_text().strip() or 0)

    def kill_runner(self, number: signal.Signals = signal.SIGKILL) -> None:
        pid = self.runner()
        os.kill(pid, number)
        self.until(lambda: self.runner() != pid, 10, "the runner to be gone")

    def wait(self, job: Job, *states: State, seconds: float = 30) -> Job:
        self.until(
            lambda: self.store.job(job.id).state in states,
            seconds,
            f"job {job.id} to be {states}; it is {self.store.job(job.id)}; {self.runner_log()}",
        )
        return self.store.job(job.id)

    def wait_steps(self, job: Job, steps: int) -> None:
        self.until(lambda: self.checkpoint(job) >= steps, 20, f"{steps} steps; {self.runner_log()}")

    def runner_log(self) -> str:
        return self.paths.runner_log.read_text() if self.paths.runner_log.exists() else "no log"

    def checkpoint(self, job: Job) -> int:
        try:
            return int((job.folder / "checkpoint").read_text())
        except (FileNotFoundError, ValueError):
            return 0

    def trace(self, job: Job) -> list[tuple[int, int, int]]:
        """(attempt, pid, step) in the order they were written."""
        lines = (job.folder / "trace").read_text().splitlines()
        return [tuple(int(word) for word in line.split()) for line in lines]  # type: ignore[misc]

    def pids(self, job: Job) -> list[int]:
        return processes_of(job.folder)

    def worker(self, job: Job) -> int:
        """Pid of the job's own process."""
        self.until(lambda: (job.folder / "lock").exists() and (job.folder / "lock").read_text().strip(), 10, "a pid")
        return int((job.folder / "lock").read_text())


@pytest.fixture
def bench(paths: Paths, store: Store, until: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("HEFT_WORKER", shlex.join([sys.executable, str(WORKER)]))
    yield Bench(paths, store, until)
    end_everything(paths)


def end_everything(paths: Paths) -> None:
    """Kill whatever this home's runner and jobs left, by the home in their environment."""
    mark, home = f"{MARK}={paths.state}:".encode(), f"HEFT_HOME={paths.config.parent}".encode()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = False
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                variables = (entry / "environ").read_bytes().split(b"\0")
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            ours = any(variable.startswith(mark) for variable in variables)
            if ours or (home in variables and (b"tui.jobs.runner" in command or b"counting_worker" in command)):
                found = True
                try:
                    os.kill(int(entry.name), signal.SIGKILL)
                except ProcessLookupError:
                    continue
        if not found:
            return
        time.sleep(0.05)
