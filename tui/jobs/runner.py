"""The runner: one detached process per user and host that starts jobs, watches over them and ends them.

It alone moves jobs that have a process, except for the outcome, which the job writes itself. It holds nothing that
the disk does not know: killed at any moment, the next runner adopts the living jobs and goes on. It leaves when there
has been nothing to do for a while.
"""

from __future__ import annotations

import os
import signal
import sys
import time

from tui.errors import HeftError
from tui.jobs.database import NewerSchemaError
from tui.jobs.lease import Lease
from tui.jobs.rounds import LOOK_SECONDS, Runner
from tui.jobs.runner_log import RunnerLog
from tui.jobs.store import Store
from tui.jobs.surroundings import Machine
from tui.jobs.wakeup import Wakeup
from tui.paths import Paths

IDLE_VARIABLE = "HEFT_RUNNER_IDLE"
"""Environment variable: seconds without work after which the runner leaves (60 without it)."""

POLL_SECONDS = 0.25


def run(paths: Paths, lease: Lease, log: RunnerLog, idle_seconds: float) -> None:
    """Work until told to stop, until the state folder is taken away, or until idle for ``idle_seconds``."""
    with Wakeup() as wakeup:
        store = Store(paths)
        try:
            runner = Runner(paths, store, Machine(paths), log.say)
            runner.adopt()
            log.say("ready")
            _work(runner, store, lease, log, wakeup, idle_seconds)
        finally:
            store.close()


def _work(runner: Runner, store: Store, lease: Lease, log: RunnerLog, wakeup: Wakeup, idle_seconds: float) -> None:
    seen, looked, busy = -1, 0.0, time.monotonic()
    while not wakeup.stopping and lease.is_held():
        now = time.monotonic()
        ended, wakeup.child_ended = wakeup.child_ended, False
        try:
            version = store.data_version()
            if version != seen or ended or runner.is_ending or now - looked >= LOOK_SECONDS:
                seen, looked = version, now
                if runner.has_work():
                    busy = now
                    runner.tick()
            if now - busy >= idle_seconds:
                runner.end_leftovers()
                # A submit may have seen our lock a moment ago: let go first, then look once more.
                lease.release()
                if not runner.has_work() or not lease.take(1.0):
                    log.say("nothing to do; leaving")
                    return
                busy = now
        except NewerSchemaError as error:
            log.say(f"{error.summary}; leaving the jobs to its runner")
            return
        except Exception as error:  # a full disk, a busy or broken database: the jobs need their runner all the same
            log.say(f"{type(error).__name__}: {error}; trying again")
            wakeup.sleep(1.0)
        wakeup.sleep(POLL_SECONDS)


def main() -> int:
    """Be the runner, or leave quietly when there is one."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    paths = Paths.from_environment()
    if not paths.state.is_dir():
        paths.prepare()
    lease = Lease(paths)
    if not lease.take(1.0):
        return 0
    log = RunnerLog(paths.runner_log, redirect=not sys.stderr.isatty())
    idle = os.environ.get(IDLE_VARIABLE, "")
    try:
        run(paths, lease, log, float(idle) if idle.replace(".", "", 1).isdigit() else 60.0)
    except HeftError as error:
        log.say(f"{error.summary}. {error.hint}")
        return 1
    finally:
        lease.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
