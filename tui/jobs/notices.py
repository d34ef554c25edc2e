"""The user's own program that is told when a job ends or a host is ready (``[notify] command`` in ``config.toml``).

It gets the job as JSON on stdin, because model names and error texts are foreign: they are never part of a command
line and never reach a shell. It has a bounded time, and whatever it does costs the runner nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tui.jobs.job import Job
from tui.settings import NotifySettings, Settings

AT_ONCE = 2
"""Programs that run at the same time; when many jobs end together the others wait for their turn."""

WAITING = 100
"""Endings that wait for their turn at most; the oldest are dropped."""


class Notices:
    """Runs the user's program. ``settings`` is asked anew each time, so a change of the file counts at once."""

    def __init__(self, settings: Callable[[], Settings], say: Callable[[str], None]) -> None:
        self._settings = settings
        self._say = say
        self._waiting: deque[Job] = deque(maxlen=WAITING)
        self._running: list[tuple[subprocess.Popen[bytes], float, int]] = []

    @property
    def is_busy(self) -> bool:
        """Whether somebody is still to be told."""
        return bool(self._waiting or self._running)

    def tell(self, jobs: Sequence[Job]) -> None:
        """Queue the news of ``jobs``; forgotten when no program is set."""
        if jobs and self._settings().notify.command.strip():
            self._waiting.extend(jobs)

    def tend(self) -> None:
        """Look after the programs that run, and start the next; never raises."""
        now = time.monotonic()
        for entry in list(self._running):
            process, until, job_id = entry
            if process.poll() is None and now < until:
                continue
            if process.poll() is None:
                self._say(f"the notify command for job {job_id} did not end in time and is killed")
                with contextlib.suppress(OSError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            elif process.returncode:
                self._say(f"the notify command for job {job_id} ended with {process.returncode}")
            self._running.remove(entry)
        while self._waiting and len(self._running) < AT_ONCE:
            self._start(self._waiting.popleft(), self._settings().notify)

    def _start(self, job: Job, settings: NotifySettings) -> None:
        try:
            words = shlex.split(settings.command)
            if not words:
                return
            with tempfile.TemporaryFile() as facts:
                facts.write(json.dumps(job_news(job)).encode())
                facts.seek(0)
                process = subprocess.Popen(
                    words,
                    stdin=facts,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    cwd=Path.home(),
                    start_new_session=True,
                )
        except (OSError, ValueError, RuntimeError) as error:
            self._say(f"the notify command cannot be run: {error}")
            return
        self._running.append((process, time.monotonic() + settings.timeout, job.id))


def job_news(job: Job) -> dict[str, Any]:
    """What the program reads: field names as in ``heft jobs --json``, times in seconds and ISO 8601 UTC."""
    return {
        "id": job.id,
        "kind": str(job.kind),
        "state": str(job.state),
        "model": job.model,
        "failure": {"summary": job.failure.summary, "hint": job.failure.hint} if job.failure else None,
        "result": job.result,
        "log": str(job.log),
        "started": job.started.isoformat() if job.started else None,
        "ended": job.ended.isoformat() if job.ended else None,
        "seconds": (job.ended - job.started).total_seconds() if job.started and job.ended else None,
    }
