"""Named points at which a process of the queue can be made to die, put around the functions that matter.

Random kills seldom hit a window of a millisecond. Here a process dies by its own SIGKILL before or after a commit, a
rename, a fork, an outcome, ...: at random with ``HEFT_CHAOS_RATE``, or at once at the point that the file ``die_at`` in
the folder ``HEFT_CHAOS`` names. Each death is a line in the file ``deaths`` there.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import random
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from tui.jobs import database, ending, lease, outcomes, rows, store, stored_jobs, transition, worker_process

FOLDER = Path(os.environ.get("HEFT_CHAOS", "/nonexistent"))
RATE = float(os.environ.get("HEFT_CHAOS_RATE", "0"))
FREQUENT = ("commit", "rename")
ROLE = "worker" if "counting_worker.py" in " ".join(sys.orig_argv) else "runner"
if "front_end.py" in " ".join(sys.orig_argv):
    ROLE = "front"

_only: list[int] = []


def at(name: str, likely: float = 1.0) -> None:
    """Perhaps die here; ``likely`` times as often as elsewhere."""
    wanted = FOLDER / "die_at"
    if wanted.exists():
        with contextlib.suppress(OSError):
            role, _, point = wanted.read_text().partition(" ")
            if role == ROLE and point == name:
                wanted.rename(FOLDER / "died_at")
                die(name)
    if RATE and random.random() < likely * (RATE / 30 if name.partition(" ")[0] in FREQUENT else RATE):
        die(name)


def die(name: str) -> None:
    with (FOLDER / "deaths").open("a") as deaths:
        deaths.write(f"{ROLE} {name}\n")
    os.kill(os.getpid(), signal.SIGKILL)


def say(violation: str) -> None:
    """A promise was seen to be broken."""
    with (FOLDER / "violations").open("a") as file:
        file.write(violation + "\n")


def around(owner: Any, attribute: str, name: str) -> None:
    """Points before and after a function or method."""
    inner = owner.__dict__[attribute]
    is_class_method = isinstance(inner, classmethod)
    function = inner.__func__ if is_class_method else inner

    @functools.wraps(function)
    def outer(*arguments: Any, **named: Any) -> Any:
        at(f"{name} before")
        result = function(*arguments, **named)
        at(f"{name} after")
        return result

    setattr(owner, attribute, classmethod(outer) if is_class_method else outer)


PLACES: tuple[tuple[Any, str, str], ...] = (
    (store.Store, "submit", "submit"),
    (transition.Queue, "insert", "insert"),
    (transition, "write_spec", "spec"),
    (outcomes.Outcomes, "claim", "claim"),
    (worker_process, "write_order", "order"),
    (worker_process.WorkerProcess, "start", "fork"),
    (worker_process.WorkerProcess, "adopt", "adopt"),
    (outcomes.Outcomes, "finish", "outcome"),
    (outcomes.Outcomes, "died", "settle"),
    (outcomes.Outcomes, "sweep_folders", "sweep"),
    (store.Store, "clear", "clear"),
    (stored_jobs, "rebuild", "rebuild"),
    (database, "_set_aside", "set aside"),
    (transition, "reserve_outcome", "reserved outcome"),
    (transition, "write_outcome", "kept outcome"),
    (transition, "forget_outcome", "forgotten outcome"),
    (ending, "stop", "signal"),
    (lease.Lease, "release", "release"),
    (Path, "replace", "rename"),
)


def install() -> None:
    """Put the points in, watch that one runner and one worker per job are at work, and let the clock be set."""
    for owner, attribute, name in PLACES:
        around(owner, attribute, name)
    inner = database._transaction

    @contextlib.contextmanager
    def transaction(connection: Any, begin: str) -> Any:
        with inner(connection, begin):
            yield
            if begin == "BEGIN IMMEDIATE":
                at("commit before")
        if begin == "BEGIN IMMEDIATE":
            at("commit after")

    database._transaction = transaction
    _watch_runner()
    if ROLE == "worker":
        alone(Path(sys.argv[1] if len(sys.argv) > 1 else sys.orig_argv[-1]) / "only", "two workers of one job")
    _settable_clock()


def alone(path: Path, violation: str) -> None:
    """Hold a lock of the test's own; a second process that wants it at the same time is a violation."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(20):  # a process that was just killed may still be leaving
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _only.append(descriptor)
                return
            except BlockingIOError:
                time.sleep(0.05)
    except OSError:
        return
    say(f"{violation}: {path} ({' '.join(sys.orig_argv[-2:])})")


def _watch_runner() -> None:
    take, release = lease.Lease.take, lease.Lease.release

    def taken(self: Any, seconds: float) -> bool:
        got = take(self, seconds)
        if got:
            alone(FOLDER / "only-runner", "two runners")
        return got

    def released(self: Any) -> None:
        while _only and ROLE == "runner":
            os.close(_only.pop())
        release(self)

    lease.Lease.take, lease.Lease.release = taken, released  # type: ignore[method-assign]


def _settable_clock() -> None:
    """The file ``clock`` holds seconds by which this world's clock is wrong."""
    real_time, real_now = time.time, rows.now

    def error() -> float:
        with contextlib.suppress(OSError, ValueError):
            return float((FOLDER / "clock").read_text())
        return 0.0

    time.time = lambda: real_time() + error()
    rows.now = lambda: real_now() + timedelta(seconds=error())
