"""Starting the runner: detached from the terminal, and only when none is there.

Call ``ensure_runner`` after a submit and every few seconds while a front end is open; it costs microseconds while a
runner lives.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import tui
from tui.errors import StoreError
from tui.jobs.liveness import MARK, is_locked
from tui.paths import Paths

START_SECONDS = 10.0
"""How long a runner that was started may take before another one is tried."""

_started: dict[Path, tuple[subprocess.Popen[bytes], float]] = {}


def ensure_runner(paths: Paths) -> None:
    """Start a runner for ``paths`` unless one holds its lock; raises ``StoreError`` when it cannot be started."""
    launched = _started.get(paths.state)
    if launched is not None and launched[0].poll() is not None:  # also reaps one that left
        del _started[paths.state]
        launched = None
    if is_locked(paths.runner_lock):
        return
    if (
        launched is not None
        and time.monotonic() - launched[1] < START_SECONDS
        and not _had_its_turn(paths, launched[0])
    ):
        return  # it is still starting, and will see every job that is in the store now
    try:
        with paths.runner_log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tui.jobs.runner"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=runner_environment(paths),
                start_new_session=True,
            )
    except OSError as error:
        raise StoreError(f"the runner cannot be started: {error}", f"check {paths.state}") from error
    _started[paths.state] = (process, time.monotonic())


def _had_its_turn(paths: Paths, runner: subprocess.Popen[bytes]) -> bool:
    """Whether this runner held the lock once: then it is leaving, and may have looked for jobs already."""
    try:
        return paths.runner_lock.read_text(encoding="ascii").strip() == str(runner.pid)
    except (OSError, ValueError):
        return False


def runner_environment(paths: Paths) -> dict[str, str]:
    """The environment in which a process finds the same folders and the same code as this one."""
    environment = {name: value for name, value in os.environ.items() if name != MARK}
    if Paths.from_environment(environment) != paths:
        environment["HEFT_HOME"] = str(paths.config.parent)
        environment["HF_HUB_CACHE"] = str(paths.hub_cache)
    if Paths.from_environment(environment) != paths:
        raise StoreError(f"no setting of HEFT_HOME gives the folder {paths.state}", "set HEFT_HOME itself")
    code = str(Path(tui.__file__).resolve().parent.parent)
    parts = [part for part in environment.get("PYTHONPATH", "").split(os.pathsep) if part]
    environment["PYTHONPATH"] = os.pathsep.join(dict.fromkeys([code, *(str(Path(part).absolute()) for part in parts)]))
    return environment
