"""The door of a worker: ``python -m tui.workers JOB_FOLDER``.

Takes over the job's lock, runs the job's verb and writes the outcome. This module alone ends a worker, so the exit
codes have one home: 0 an outcome is written, 2 the words on the command line, 3 the job is not this worker's to run,
75 try again when there is room, 143 told to stop. With 75 and 143 the job has no outcome.
"""

from __future__ import annotations

import fcntl
import importlib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tui.errors import HeftError, StoreError
from tui.jobs.job import State
from tui.jobs.job_folder import read_spec
from tui.jobs.store import Store
from tui.paths import Paths
from tui.settings import load_settings
from tui.workers.environment import STOPPED_EXIT, prepare_process, watch_for_stop
from tui.workers.failures import disk_is_full, failure_of, traceback_text
from tui.workers.reporter import Reporter, Stopped

USAGE_EXIT = 2
REFUSED_EXIT = 3
NO_ROOM_EXIT = os.EX_TEMPFAIL
OUTCOME_SECONDS = 30.0
"""How long a worker tries to write its outcome before it leaves that to its next attempt."""


def main(arguments: list[str] | None = None) -> int:
    """Run the job of the folder that is the one argument; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        return _leave(USAGE_EXIT, "usage: python -m tui.workers JOB_FOLDER")
    folder = Path(arguments[0]).absolute()
    paths = Paths.from_environment()
    try:
        spec = read_spec(folder)
        job_id, attempt, kind = int(spec["id"]), int(spec["attempt"]), str(spec["kind"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return _leave(USAGE_EXIT, f"{folder} is not a job folder: {error}")
    lock = hold_lock(folder)
    if lock is None:
        return _leave(REFUSED_EXIT, f"job {job_id} is already being worked on")
    os.chdir(folder)  # libraries drop log files where they stand, and the runner's "/" is not a user's to write to
    prepare_process(paths, kind)
    try:
        store = Store(paths)
        job = store.job(job_id)
    except HeftError as error:
        return _leave(NO_ROOM_EXIT if isinstance(error, StoreError) else REFUSED_EXIT, error.summary)
    if job.folder.resolve() != folder.resolve() or job.state is not State.RUNNING or job.attempt != attempt:
        store.close()
        return _leave(REFUSED_EXIT, f"job {job_id} is {job.state} (attempt {job.attempt}), not running {attempt}")
    try:
        return _work(store, Reporter(store, job, paths))
    finally:
        store.close()


def _work(store: Store, reporter: Reporter) -> int:
    job = reporter.job
    watch_for_stop(reporter.stop, lambda: reporter.grace)
    reporter.say(f"job {job.id} ({job.kind}) of {job.model}, attempt {job.attempt}, pid {os.getpid()}")
    try:
        verb = importlib.import_module(f"tui.workers.{job.kind.value}")
        result: dict[str, Any] = verb.run(reporter)
    except Stopped:
        return _stopped(reporter)
    except BaseException as error:
        if reporter.stop.is_set():
            return _stopped(reporter)  # what broke while unwinding is not what ended the job
        reporter.say(traceback_text(error))
        if disk_is_full(error):
            reporter.close()
            return _leave(NO_ROOM_EXIT, "the disk is full; the job goes on when there is room")
        failure = failure_of(error, job.log)
        reporter.say(f"failed: {failure.summary}")
        settings = load_settings(reporter.paths.settings_file).jobs
        return _write_outcome(reporter, lambda: store.fail(job.id, job.attempt, failure, settings))
    reporter.say("done")
    return _write_outcome(reporter, lambda: store.finish(job.id, job.attempt, result))


def _write_outcome(reporter: Reporter, write: Callable[[], bool]) -> int:
    reporter.close()
    deadline = time.monotonic() + OUTCOME_SECONDS
    while True:
        try:
            if not write():
                reporter.say("the queue had given this attempt up; its outcome is not taken")
                return REFUSED_EXIT
            return 0
        except StoreError as error:
            if time.monotonic() > deadline:
                return _leave(NO_ROOM_EXIT, f"the outcome could not be written: {error.summary}")
            reporter.say(f"the outcome is not written yet: {error.summary}")
            time.sleep(1)


def _stopped(reporter: Reporter) -> int:
    reporter.say("stopped; what is done is kept")
    reporter.close()
    return STOPPED_EXIT


def hold_lock(folder: Path) -> int | None:
    """The descriptor that holds the job's lock: the one the runner passed on, else a new one; None when another
    process holds it. Whoever can lock the file holds the job, so a worker started by hand is safe too."""
    path = folder / "lock"
    descriptor = _passed_on(path)
    if descriptor is None:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    os.set_inheritable(descriptor, False)  # a child that outlives this process must not keep the job alive
    return descriptor


def _passed_on(path: Path) -> int | None:
    try:
        wanted = path.stat()
    except OSError:
        return None
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found = os.fstat(int(entry.name))
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return int(entry.name)
    return None


def _leave(code: int, words: str) -> int:
    sys.stderr.write(words + "\n")
    return code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # libraries leave threads and exit hooks behind that could hang a finished job
