"""The world that goes wrong: who lives in it, and every blow that is dealt to them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import resource
import shlex
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tui.errors import HeftError
from tui.jobs.job import State
from tui.jobs.launch import ensure_runner
from tui.jobs.liveness import is_locked, marked_jobs, processes_of
from tui.jobs.store import Store
from tui.paths import Paths

HERE = Path(__file__).parent
WORKER = HERE.parent / "counting_worker.py"
REPOSITORY = HERE.parent.parent.parent

BLOWS = {
    "runner KILL": 16, "worker KILL": 26, "grandchild KILL": 4, "worker group KILL": 8, "front KILL": 8,
    "runner TERM": 4, "worker TERM": 6, "runner HUP": 3, "worker HUP": 2, "terminal closed": 5,
    "everything KILL": 3, "orderly reboot": 3, "runner STOP": 3, "worker STOP": 4, "front STOP": 2,
    "no open files": 3, "clock jump": 3, "disk full": 3, "read-only": 1, "database damaged": 2,
}  # fmt: skip
"""Each blow and how often it falls, in relation to the others."""

NEED_A_VOLUME = ("disk full", "read-only")
DAY = 86400.0


def environment_of(home: Path, chaos: Path, rate: float, mutant: str = "") -> dict[str, str]:
    """What makes a process belong to this world."""
    path = os.pathsep.join([str(HERE / "inside"), str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    return {
        **os.environ, "HEFT_HOME": str(home), "HEFT_RUNNER_IDLE": "2", "PYTHONPATH": path.rstrip(os.pathsep),
        "HEFT_WORKER": shlex.join([sys.executable, str(WORKER)]), "HEFT_CHAOS": str(chaos),
        "HEFT_CHAOS_RATE": str(rate), "HEFT_MUTANT": mutant, "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


@dataclass
class World:
    """``home`` under attack, ``chaos`` where the notes lie, and the tally of what was done. ``volume`` is the small
    one under the home that may be filled and remounted; ``longest_stop`` seconds for which a process is frozen."""

    home: Path
    chaos: Path
    dice: random.Random
    environment: dict[str, str]
    volume: Path | None
    longest_stop: float = 3.0
    paths: Paths = field(init=False)
    fronts: list[tuple[subprocess.Popen[bytes], int]] = field(default_factory=list)
    apps: list[tuple[subprocess.Popen[bytes], int]] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    born: int = 0
    later: list[tuple[float, int]] = field(default_factory=list)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.paths = Paths.from_environment(self.environment).prepare()

    # --- who lives here

    def add_front(self) -> None:
        """One more front end, on a terminal of its own."""
        self.born += 1
        ours, theirs = os.openpty()
        command = [sys.executable, str(HERE / "front_end.py"), f"f{self.born}", str(self.dice.randrange(10**9))]

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        with (self.chaos / "fronts.log").open("ab") as log:
            front = subprocess.Popen(
                command, env=self.environment, start_new_session=True, stdin=theirs,
                preexec_fn=take_terminal,  # noqa: PLW1509  (this program has one thread)
                stdout=log, stderr=log,
            )  # fmt: skip
        os.close(theirs)
        self.fronts.append((front, ours))

    def add_app(self) -> None:
        """The real app on a terminal of its own, which reads what it draws."""
        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))

        def take_terminal() -> None:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        environment = {**self.environment, "TERM": "xterm-256color", "HF_ENDPOINT": "http://127.0.0.1:9"}
        app = subprocess.Popen(
            [sys.executable, "-m", "tui"], env=environment, start_new_session=True, stdin=theirs, stdout=theirs,
            stderr=theirs, cwd=self.chaos, preexec_fn=take_terminal,  # noqa: PLW1509  (the other threads only read)
        )  # fmt: skip
        os.close(theirs)
        threading.Thread(target=_drain, args=(ours,), daemon=True).start()
        self.apps.append((app, ours))

    def replace_dead_fronts(self) -> None:
        """Somebody comes back to the terminal."""
        for front, terminal in list(self.fronts):
            if front.poll() is not None:
                self.fronts.remove((front, terminal))
                with contextlib.suppress(OSError):
                    os.close(terminal)
                self.add_front()
        for app, terminal in list(self.apps):
            if app.poll() is not None:
                self.tally[f"app ended with {app.returncode}"] += app.returncode not in (-9, -1, -15, 0, 129, 143)
                self.apps.remove((app, terminal))
                with contextlib.suppress(OSError):
                    os.close(terminal)
                self.add_app()

    def runner(self) -> list[int]:
        """The runner, by the pid in its lock file."""
        try:
            pid = int(self.paths.runner_lock.read_text())
            return [pid] if b"tui.jobs.runner" in Path(f"/proc/{pid}/cmdline").read_bytes() else []
        except (OSError, ValueError):
            return []

    def of_jobs(self, *, workers: bool) -> list[int]:
        """The jobs' own processes, or what they started."""
        found = []
        for job_id in marked_jobs(self.paths.jobs):
            for pid in processes_of(self.paths.job_folder(job_id)):
                with contextlib.suppress(OSError):
                    is_worker = b"counting_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
                    found += [pid] if is_worker == workers else []
        return found

    # --- blows

    def hit(self, what: str, pids: list[int], number: signal.Signals, *, group: bool = False) -> None:
        """Signal them, and count it."""
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if group else os.kill)(pid, number)
                self.tally[what] += 1

    def hurt(self) -> None:
        """One random blow."""
        kinds = {name: weight for name, weight in BLOWS.items() if self.volume or name not in NEED_A_VOLUME}
        kinds |= {"app KILL": 3, "app HUP": 2, "app STOP": 1} if self.apps else {}
        what = self.dice.choices(list(kinds), list(kinds.values()))[0]
        whom, _, how = what.rpartition(" ")
        if what == "orderly reboot":
            self.everybody(what, signal.SIGTERM)
            time.sleep(0.2)
            self.everybody(what, signal.SIGKILL)
        elif what == "everything KILL":
            self.everybody(what, signal.SIGKILL)
        elif hasattr(self, what.replace(" ", "_").replace("-", "_")):
            getattr(self, what.replace(" ", "_").replace("-", "_"))()
            self.tally[what] += 1
        else:
            self.signal_one(what, whom, signal.Signals[f"SIG{how}"])
        self.wake(time.monotonic())
        self.replace_dead_fronts()

    def signal_one(self, what: str, whom: str, number: signal.Signals) -> None:
        """To the runner, a worker, its group, something it started, or a front end."""
        candidates = {
            "app": lambda: [app.pid for app, _ in self.apps],
            "runner": self.runner, "front": lambda: [front.pid for front, _ in self.fronts],
            "grandchild": lambda: self.of_jobs(workers=False),
        }.get(whom, lambda: self.of_jobs(workers=True))()  # fmt: skip
        chosen = self.dice.sample(candidates, min(1, len(candidates)))
        self.hit(what, chosen, number, group=whom == "worker group")
        if number is signal.SIGSTOP:
            self.later += [(time.monotonic() + self.dice.uniform(0.2, self.longest_stop), pid) for pid in chosen]

    def everybody(self, what: str, number: signal.Signals) -> None:
        """All at once, as when the machine goes down."""
        fronts = [front.pid for front, _ in (*self.fronts, *self.apps)]
        self.hit(what, [*self.of_jobs(workers=True), *self.of_jobs(workers=False), *self.runner(), *fronts], number)

    def wake(self, now: float) -> None:
        """Continue who was stopped long enough."""
        for due, pid in list(self.later):
            if now >= due:
                self.later.remove((due, pid))
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGCONT)

    def terminal_closed(self) -> None:
        """The line hangs up: the kernel sends HUP to what runs on that terminal."""
        os.close(self.fronts[0][1])
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.fronts[0][0].wait(2)
        self.fronts[0][0].kill()
        self.fronts[0][0].wait()

    def no_open_files(self) -> None:
        """The runner has hardly a descriptor to spare."""
        for pid in self.runner():
            with contextlib.suppress(OSError, ValueError, ProcessLookupError):
                used = max(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir()) + 1
                soft, most = resource.prlimit(pid, resource.RLIMIT_NOFILE)
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + self.dice.randrange(4), most))
                time.sleep(self.dice.uniform(0.3, 1.0))
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, most))

    def clock_jump(self) -> None:
        """Everybody's clock is wrong by days, for as long as it is."""
        error = self.dice.choice([0.0, -DAY, DAY, -400 * DAY, 400 * DAY, 3600.0, -90.0])
        beside = self.chaos / "clock.new"
        beside.write_text(str(error))
        beside.replace(self.chaos / "clock")

    def disk_full(self) -> None:
        """The volume of the home fills up, and whatever is freed is taken again for a while."""
        assert self.volume is not None
        fill = self.volume / "fill"
        end = time.monotonic() + self.dice.uniform(0.3, 1.5)
        with contextlib.suppress(OSError), fill.open("ab", buffering=0) as file:
            while time.monotonic() < end:
                with contextlib.suppress(OSError):
                    while file.write(bytes(1 << 16)):
                        pass
                with contextlib.suppress(OSError):
                    file.write(b"x" * 512)
                time.sleep(0.02)
        fill.unlink(missing_ok=True)

    def read_only(self) -> None:
        """The machine went down and came up with its volume read-only."""
        said = ""
        for _ in range(100):  # what was being started when its parent died is found at the next look
            self.everybody("everything KILL", signal.SIGKILL)
            for front, _ in (*self.fronts, *self.apps):
                front.wait()
            command = ["mount", "-o", "remount,ro", str(self.volume)]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            said = done.stderr.strip()
            if done.returncode == 0:
                break
            time.sleep(0.02)
        if said:
            self.tally[f"read-only refused ({said})"] += 1
        self.replace_dead_fronts()
        time.sleep(1.0)
        subprocess.run(["mount", "-o", "remount,rw", str(self.volume)], check=False, capture_output=True)

    def database_damaged(self) -> None:
        """Runner and front ends die and garbage stands in the database; the workers live on."""
        self.hit("runner KILL", self.runner(), signal.SIGKILL)
        self.hit("front KILL", [front.pid for front, _ in self.fronts], signal.SIGKILL)
        with contextlib.suppress(OSError), self.paths.database.open("r+b") as file:
            file.seek(self.dice.choice([0, 100, 4096]))
            file.write(self.dice.randbytes(6000))

    # --- afterwards

    def calm(self, seconds: float) -> str:
        """End the front ends, then let everything come to an end; returns what is left undone."""
        self.wake(float("inf"))
        for front, terminal in (*self.fronts, *self.apps):
            front.kill()
            front.wait()
            with contextlib.suppress(OSError):
                os.close(terminal)
        (self.chaos / "clock").unlink(missing_ok=True)
        helper = [sys.executable, "-m", "tests.jobs.chaos", "--settle", str(seconds)]
        quiet = {**self.environment, "HEFT_CHAOS_RATE": "0"}
        return subprocess.run(
            helper, env=quiet, cwd=REPOSITORY, check=False, capture_output=True, text=True
        ).stdout.strip()


def _drain(terminal: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(terminal, 65536):
            pass


def settle(seconds: float) -> str:
    """What a person does after the storm: open Heft, resume what was interrupted, wait."""
    paths = Paths.from_environment()
    deadline = time.monotonic() + seconds
    left, trouble = [], ""
    while time.monotonic() < deadline:
        try:
            store = Store(paths)
            ensure_runner(paths)
            for job in store.jobs():
                if job.state in (State.PAUSED, State.INTERRUPTED):
                    store.resume(job.id)
            left = [job for job in store.jobs() if not job.state.is_over]
            store.close()
            if not left:
                break
        except HeftError as error:
            trouble = error.summary
        time.sleep(0.2)
    while time.monotonic() < deadline and (is_locked(paths.runner_lock) or marked_jobs(paths.jobs)):
        with contextlib.suppress(HeftError):
            if marked_jobs(paths.jobs):  # what the app does, too: the last runner may have died while it ended them
                ensure_runner(paths)
        time.sleep(0.2)
    words = [f"job {job.id} is {job.state} ({job.waiting_because})" for job in left]
    return "; ".join([*words, *([trouble] if trouble and left else [])])
