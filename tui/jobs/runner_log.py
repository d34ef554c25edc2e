"""What the runner says, in a file that cannot hurt it: writing never raises, a repeated line is counted instead of
written, and the file is turned over at a fixed size, so that a full disk neither kills the runner nor is its doing."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path

from tui.plain_text import clean_line

LIMIT = 1_000_000
"""Bytes after which the file is renamed to ``.1``, over the one before it."""


class RunnerLog:
    """Appends lines to ``path``; with ``redirect``, stdout and stderr of this process go there too."""

    def __init__(self, path: Path, *, redirect: bool = False) -> None:
        self._path = path
        self._redirect = redirect
        self._descriptor = -1
        self._last = ""
        self._repeated = 0
        self._open()

    def say(self, text: str) -> None:
        """Write one line with the time."""
        line = clean_line(text, 2000)
        if line == self._last:
            self._repeated += 1
            return
        if self._repeated:
            self._write(f"(said {self._repeated} more times)")
        self._last, self._repeated = line, 0
        self._write(line)

    def close(self) -> None:
        """Close the file, unless stdout and stderr need it."""
        if self._descriptor >= 0 and not self._redirect:
            os.close(self._descriptor)
            self._descriptor = -1

    def _write(self, line: str) -> None:
        stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with contextlib.suppress(OSError):
            if self._descriptor < 0 or os.fstat(self._descriptor).st_size > LIMIT:
                self._turn_over()
            os.write(self._descriptor, f"{stamp} [{os.getpid()}] {line}\n".encode())

    def _turn_over(self) -> None:
        with contextlib.suppress(OSError):
            self._path.replace(self._path.with_name(self._path.name + ".1"))
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._open()

    def _open(self) -> None:
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)
            if self._redirect:
                os.dup2(self._descriptor, 1)
                os.dup2(self._descriptor, 2)
