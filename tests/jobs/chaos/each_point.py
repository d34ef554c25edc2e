"""Every named point once: a process dies exactly there, and the job it was about is done all the same.

    python -m tests.jobs.chaos.each_point                 # all of them
    python -m tests.jobs.chaos.each_point front worker    # those of front ends and workers

Random deaths hit the frequent points; this goes through all of them, one after the other, in one home. Prints a line
for each. Exit code 0: at each point a process died, and every promise held afterwards.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.jobs.chaos.promises import broken_promises
from tests.jobs.chaos.world import REPOSITORY, environment_of
from tui.errors import HeftError
from tui.jobs.job import JobRequest, Kind, State
from tui.jobs.launch import ensure_runner
from tui.jobs.liveness import is_locked
from tui.jobs.store import Store
from tui.paths import Paths

POINTS = {
    "front": ("submit", "insert", "reserved outcome", "spec", "commit", "rename"),
    "runner": ("claim", "order", "fork", "adopt", "settle", "signal", "sweep", "commit", "rename", "release"),
    "worker": ("outcome", "kept outcome", "commit", "rename"),
}
"""Who can die at which points; each is tried before and after."""

SUBMIT = """
import sys
from tui.jobs.job import JobRequest, Kind
from tui.jobs.store import Store
from tui.paths import Paths
Store(Paths.from_environment()).submit(JobRequest(Kind.DOWNLOAD, "m", {"steps": 3, "seconds": 0.01}, key=sys.argv[1]))
"""
"""A front end that asks for one job; its name on the command line (front_end.py) puts the points in."""

SECONDS = 20.0


class Trial:
    """One home in which one process after the other dies."""

    def __init__(self, folder: Path) -> None:
        self.chaos = folder / "notes"
        self.chaos.mkdir()
        os.environ.update(environment_of(folder / "home", self.chaos, 0.0))
        self.paths = Paths.from_environment().prepare()
        self.store = Store(self.paths)

    def at(self, role: str, point: str) -> str:
        """Let a process of ``role`` die at ``point``; returns what went wrong."""
        (self.chaos / "died_at").unlink(missing_ok=True)
        beside = self.chaos / "die_at.new"
        beside.write_text(f"{role} {point}")
        beside.replace(self.chaos / "die_at")
        key = f"{role} {point}"
        front = [sys.executable, "-c", SUBMIT, key, "front_end.py"]
        code = subprocess.run(front, check=False, cwd=REPOSITORY).returncode
        if role == "front" and code != -signal.SIGKILL:
            return f"the front end ended with {code}"
        if code:  # a person asks again
            self.store.submit(JobRequest(Kind.DOWNLOAD, "m", {"steps": 3, "seconds": 0.01}, key=key))
        if point.startswith(("adopt", "sweep", "settle", "signal")):
            self._disturb(point)
        trouble = self._wait_for(key, leave=point.startswith("release"))
        if not trouble and not (self.chaos / "died_at").exists():
            return "nobody came by this point"
        return trouble

    def _disturb(self, point: str) -> None:
        """What brings a runner to this point: another runner that died, a worker that did."""
        deadline = time.monotonic() + SECONDS
        job = self.store.submit(JobRequest(Kind.DOWNLOAD, "m", {"steps": 60, "seconds": 0.05}))
        while time.monotonic() < deadline and not (self.chaos / "died_at").exists():
            self._ensure()
            if self.store.job(job.id).state is State.RUNNING:
                if point.startswith("settle"):
                    self._kill(job.folder / "lock")
                elif point.startswith("signal"):
                    self.store.cancel(job.id)
                else:
                    self._kill(self.paths.runner_lock)
            time.sleep(0.1)

    @staticmethod
    def _kill(lock: Path) -> None:
        try:
            os.kill(int(lock.read_text()), signal.SIGKILL)
        except (OSError, ValueError):
            return

    def _ensure(self) -> None:
        try:
            ensure_runner(self.paths)
        except HeftError:
            return

    def _wait_for(self, key: str, *, leave: bool) -> str:
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            if not leave or self.store.unfinished():
                self._ensure()
            for job in self.store.jobs():
                if job.state is State.INTERRUPTED:
                    self.store.resume(job.id)
            mine = [job for job in self.store.jobs() if job.key == key]
            gone = not leave or not is_locked(self.paths.runner_lock)
            if len(mine) == 1 and not self.store.unfinished() and mine[0].state is State.DONE and gone:
                return ""
            time.sleep(0.03)
        return f"undone: {[(job.id, str(job.state), job.waiting_because) for job in self.store.unfinished()]}"


def main(roles: Sequence[str]) -> int:
    """Go through the points of ``roles``, or all of them."""
    if unknown := [role for role in roles if role not in POINTS]:
        print(f"nobody is called {', '.join(unknown)}; there are {', '.join(POINTS)}")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="heft-points-"))
    trial = Trial(folder)
    bad = 0
    for role in roles or POINTS:
        for point in (f"{name} {when}" for name in POINTS[role] for when in ("before", "after")):
            trouble = trial.at(role, point)
            bad += bool(trouble)
            print(f"{role:7} {point:20} {trouble or 'died there; the job is done'}", flush=True)
    deadline = time.monotonic() + SECONDS
    while is_locked(trial.paths.runner_lock) and time.monotonic() < deadline:
        time.sleep(0.05)
    broken, facts = broken_promises(trial.chaos, trial.paths, "")
    broken = [(kind, words) for kind, words in broken if "ended as cancelled" not in words]  # that was us
    for kind, words in broken:
        print(f"{kind}: {words}")
    print(f"{facts['done']} jobs done in {facts['attempts']} attempts; {bad} points and {len(broken)} promises broken")
    return 1 if bad or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
