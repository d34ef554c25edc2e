"""What wakes the runner before its time: a child that ended, or the wish that it stops. Nothing here takes a lock."""

from __future__ import annotations

import contextlib
import os
import select
import signal
from types import FrameType, TracebackType


class Wakeup:
    """Installs handlers for CHLD, TERM and INT while entered; ``sleep`` returns early when one of them came."""

    def __init__(self) -> None:
        self.stopping = False
        self.child_ended = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def __enter__(self) -> Wakeup:
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, self._on_child)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.close(self._read)
        os.close(self._write)

    def sleep(self, seconds: float) -> None:
        """Wait at most ``seconds``."""
        if self.stopping or self.child_ended:
            return
        select.select([self._read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._read, 4096)

    def _on_child(self, number: int, frame: FrameType | None) -> None:
        self.child_ended = True

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self.stopping = True
