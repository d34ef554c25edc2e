"""How a worker speaks to the rest of Heft: progress, log lines, "ready", and the wish to stop.

A worker calls ``progress`` as often as it likes, from any thread; one thread of this module writes the newest word to
the store a few times a second, so neither a slow disk nor a busy database ever holds up the work.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from tui.errors import BuildBrokenError
from tui.jobs.job import Job, Progress
from tui.paths import Paths
from tui.plain_text import clean, without_secrets

REPORT_SECONDS = 0.25
"""Shortest time between two writes of progress."""


class Stopped(BaseException):
    """SIGTERM came: unwind, keep what can be resumed, leave no outcome."""


class JobStore(Protocol):
    """What a worker needs of the job store."""

    def job(self, job_id: int) -> Job:
        """The job as it is now."""

    def unfinished(self) -> list[Job]:
        """The jobs that are queued, running or ready."""

    def report(self, job_id: int, attempt: int, progress: Progress) -> bool:
        """Write progress; never raises."""

    def mark_ready(self, job_id: int, attempt: int, result: dict[str, Any]) -> bool:
        """Move a running job to ready."""


class Reporter:
    """One worker's voice. ``stop`` is set when the job shall end; ``grace`` is how many seconds the worker then has
    before it is forced to leave."""

    def __init__(self, store: JobStore, job: Job, paths: Paths) -> None:
        self.store = store
        self.job = job
        self.paths = paths
        self.folder: Path = job.folder
        self.stop = threading.Event()
        self.grace = 1.0
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._closing = threading.Event()
        self._meter = RateMeter()
        self._latest = Progress()
        self._written = Progress()
        self._thread: threading.Thread | None = None

    def progress(
        self, done: float, total: float | None = None, unit: str = "", message: str = "", **details: Any
    ) -> None:
        """Say how far the work is. Total, unit, message and details stay as they were where they are not given."""
        with self._lock:
            old = self._latest
            self._meter.add(done, unit or old.unit)
            self._latest = Progress(
                done=done,
                total=old.total if total is None else total,
                unit=unit or old.unit,
                message=clean(redact(message)) or old.message,
                details=details or old.details,
            )
            if self._thread is None and not self._closing.is_set():
                self._thread = threading.Thread(target=self._write_for_ever, name="reporter", daemon=True)
                self._thread.start()
        self._news.set()

    def say(self, text: str) -> None:
        """Write a line with the time into the job's log."""
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        try:
            sys.stdout.write(f"{stamp} {clean(redact(text))}\n")
            sys.stdout.flush()
        except (OSError, ValueError):
            pass  # a full disk or a closed log must not end the work

    def check(self) -> None:
        """Raise ``Stopped`` when the job shall end."""
        if self.stop.is_set():
            raise Stopped

    def source(self) -> Path:
        """The folder this job works on: the one in its spec, or the one that the job before it made."""
        named = str(self.job.spec.get("path") or "")
        if not named:
            for job_id in reversed(self.job.after):
                named = str(self.store.job(job_id).result.get("path") or "")
                if named:
                    break
        if not named:
            raise BuildBrokenError("this job names no build to work on", "give a build that `heft builds` lists")
        folder = Path(named)
        if not folder.is_dir() and not (folder.suffix == ".gguf" and folder.is_file()):
            raise BuildBrokenError(f"the build's folder {folder} is gone", "download the model again")
        return folder

    def ready(self, result: dict[str, Any]) -> None:
        """The host answers now: move the job to ready, with what a client needs to reach it."""
        self.flush()
        if not self.store.mark_ready(self.job.id, self.job.attempt, result):
            raise Stopped  # the queue has given this attempt up

    def flush(self) -> None:
        """Write the newest progress now."""
        with self._lock:
            latest = self._measured()
            due = latest != self._written
            self._written = latest
        if due:
            self._report(latest)

    def close(self) -> None:
        """Write what is left and end the writing thread."""
        self._closing.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(2)
        self.flush()

    def _measured(self) -> Progress:
        latest = self._latest
        rate = self._meter.rate()
        eta = None
        if rate and latest.total is not None:
            eta = max(0.0, latest.total - latest.done) / rate
        return Progress(latest.done, latest.total, latest.unit, rate, eta, latest.message, latest.details)

    def _write_for_ever(self) -> None:
        while not self._closing.is_set():
            moving = bool(self._written.rate)
            self._news.wait(1.0 if moving else None)  # a rate must fall although nothing new comes
            self._news.clear()
            self.flush()
            self._closing.wait(REPORT_SECONDS)

    def _report(self, progress: Progress) -> None:
        try:
            self.store.report(self.job.id, self.job.attempt, progress)
        except Exception as error:  # progress is news, not the work: losing it must not end a job
            self.say(f"progress was not written: {type(error).__name__}: {error}")


class RateMeter:
    """Units per second over the last ten seconds, or over the last five steps where steps are longer than that.

    Falls to 0 when nothing has moved for five seconds and for ten times the usual step.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._unit = ""
        self._steps: deque[tuple[float, float]] = deque()

    def add(self, done: float, unit: str) -> None:
        """Note how much is done now; going back or another unit starts afresh."""
        now = self._clock()
        if unit != self._unit or (self._steps and done < self._steps[-1][1]):
            self._unit = unit
            self._steps.clear()
        if self._steps and done == self._steps[-1][1]:
            return
        if len(self._steps) > 1 and now - self._steps[-2][0] < 0.1:
            self._steps[-1] = (now, done)  # thousands of calls a second stay a short list
            return
        self._steps.append((now, done))
        while len(self._steps) > 5 and now - self._steps[1][0] > 10:
            self._steps.popleft()

    def rate(self) -> float | None:
        """Units per second; None until there are two steps."""
        if len(self._steps) < 2:
            return None
        (first, low), (last, high) = self._steps[0], self._steps[-1]
        now = self._clock()
        usual = (last - first) / (len(self._steps) - 1)
        if now - last > max(5.0, 10 * usual):
            return 0.0
        span = (now if now - last > usual else last) - first
        return (high - low) / span if span > 0 else None


def redact(text: str) -> str:
    """``text`` without tokens and keys."""
    return without_secrets(text)
