"""The thread that watches: the queue four times a second (a cheap look, rows only when something changed) and the
machine once or, with GPUs, twice a second. It posts frozen data to the app and touches no widget."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.message import Message

from tui.errors import HeftError
from tui.hardware.snapshot import Snapshot
from tui.plain_text import clean_line
from tui.ui.messages import FeedFailed, JobsChanged, SnapshotTaken

if TYPE_CHECKING:
    from tui.jobs.job import Job
    from tui.workbench import Workbench

QUEUE_SECONDS = 0.25
SNAPSHOT_SECONDS = 0.5
HOST_SECONDS = 1.0
"""Between looks at a machine without a GPU: RAM and load move slower, and every look is drawn."""
FULL_LOOK_SECONDS = 2.0
"""The version of the database does not tell what this process itself wrote, so it is asked in full this often too."""

_log = logging.getLogger("heft.app")


class Feed(threading.Thread):
    """Watches one workbench until ``stop``."""

    def __init__(self, workbench: Workbench, post: Callable[[Message], object]) -> None:
        super().__init__(name="feed", daemon=True)
        self._workbench = workbench
        self._post = post
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._jobs: dict[int, Job] = {}
        self._revision = 0
        self._version = -1
        self._looked = 0.0
        self._probed = 0.0
        self._snapshot = Snapshot()
        self._failed = ""
        self._held = ""

    def wake(self) -> None:
        """Look at the queue now: this process changed it."""
        self._looked = 0.0
        self._wake.set()

    def stop(self) -> None:
        """End the thread soon."""
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """Watch until stopped; a failure is told once and tried again."""
        while not self._stopped.is_set():
            try:
                self._look_at_jobs()
                self._look_at_machine()
                self._say("")
            except HeftError as error:
                self._say(error.summary)
            except Exception as error:
                _log.exception("the feed failed")
                self._say(clean_line(f"{type(error).__name__}: {error}"))
            self._wake.wait(QUEUE_SECONDS)
            self._wake.clear()

    def _say(self, failure: str) -> None:
        if failure != self._failed:
            self._failed = failure
            self._post(FeedFailed(failure))

    def _look_at_jobs(self) -> None:
        now = time.monotonic()
        version = self._workbench.store.data_version()
        if version == self._version and now - self._looked < FULL_LOOK_SECONDS:
            return
        changed, removed, revision = self._workbench.changed_since(self._revision)
        first = self._looked == 0.0 and self._version == -1
        self._version, self._looked, self._revision = version, now, revision
        for job in changed:
            self._jobs[job.id] = job
        for job_id in removed:
            self._jobs.pop(job_id, None)
        held = self._workbench.full_disk()
        if changed or removed or first or held != self._held:
            self._held = held
            jobs = tuple(self._jobs.values())
            self._post(JobsChanged(tuple(self._workbench.as_they_are(jobs)) if held else jobs, held))
        self._workbench.keep_running()

    def _look_at_machine(self) -> None:
        now = time.monotonic()
        if now - self._probed < (SNAPSHOT_SECONDS if self._snapshot.gpus else HOST_SECONDS):
            return
        self._probed = now
        snapshot = self._workbench.snapshot()
        if replace(snapshot, taken=0.0) != replace(self._snapshot, taken=0.0):
            self._snapshot = snapshot
            self._post(SnapshotTaken(snapshot))
