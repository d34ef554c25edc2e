"""The lock that makes a runner the only one of its user and host."""

from __future__ import annotations

import contextlib
import os
import time

from tui.jobs.liveness import take_lock
from tui.paths import Paths


class Lease:
    """Held from the first look at the queue to the last but one: a leaving runner lets go and looks once more."""

    def __init__(self, paths: Paths) -> None:
        self._path = paths.runner_lock
        self._descriptor: int | None = None

    def take(self, seconds: float) -> bool:
        """Take the lock; tries for a while, because a front end that only looks holds it for a moment."""
        deadline = time.monotonic() + seconds
        while True:
            self._descriptor = take_lock(self._path)
            if self._descriptor is not None and self.is_held():
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, 0)
                    os.pwrite(self._descriptor, f"{os.getpid()}\n".encode("ascii"), 0)
                return True
            self.release()
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.02)

    def is_held(self) -> bool:
        """False when the file that we hold is not the one that others would lock now."""
        if self._descriptor is None:
            return False
        try:
            return os.path.samestat(os.fstat(self._descriptor), self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Let another runner begin."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
