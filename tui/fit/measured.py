"""What models really took on this machine: the peaks that hosts measured, beside the estimates that they confirm.

One JSON file per machine, for a number from another machine would prove nothing here. Hosts write it, so every change
is made under a lock and by renaming.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tui.fit.verdict import Measured
from tui.paths import Paths

LIMIT = 500
"""Measurements that are kept, the newest ones."""


@dataclass(frozen=True, slots=True)
class _Key:
    build: str
    engine: str
    device: str
    context: int


class MeasuredHere:
    """The measurements of this machine: one for each build, engine, device kind and context length, of the load that
    filled its cache the most."""

    def __init__(self, paths: Paths) -> None:
        self._file = paths.measurements

    def record(self, measured: Measured) -> None:
        """Keep ``measured`` in place of an earlier one of the same kind, unless that saw more tokens; a disk that
        refuses loses it, silently, for a measurement must never end a host."""
        with contextlib.suppress(OSError), self._locked():
            known = self._read()
            if any(_key(other) == _key(measured) and other.tokens > measured.tokens for other in known):
                return
            kept = [other for other in known if _key(other) != _key(measured)]
            text = json.dumps([asdict(item) for item in [*kept, measured][-LIMIT:]])
            beside = self._file.with_name(f".{secrets.token_hex(6)}")
            try:
                with beside.open("w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                beside.replace(self._file)
            finally:
                beside.unlink(missing_ok=True)

    def all(self) -> list[Measured]:
        """Every measurement, the oldest first; none when the file cannot be read."""
        return self._read()

    def of(self, builds: Iterable[str], device: str, context: int = 0) -> Measured | None:
        """The measurement of one of ``builds`` on ``device`` ("cpu" or "cuda") that says most about ``context``: of
        that length, else of the nearest. None when there is none."""
        names = set(builds)
        found = [item for item in self._read() if item.build in names and item.device == device]
        return min(reversed(found), key=lambda item: abs(item.context - context), default=None)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with self._file.with_suffix(".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> list[Measured]:
        try:
            table = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return []
        return [found for row in table if (found := _measured(row)) is not None] if isinstance(table, list) else []


def device_kind(device: str) -> str:
    """ "cpu" or "cuda", from the device of a fit ("RAM", "GPU 0 NVIDIA L4") or of torch ("cpu", "cuda:0")."""
    return "cpu" if device in ("RAM", "cpu") else "cuda"


def _key(measured: Measured) -> _Key:
    return _Key(measured.build, measured.engine, measured.device, measured.context)


def _measured(row: Any) -> Measured | None:
    try:
        found = Measured(**row)
    except TypeError:
        return None
    numbers = (found.bytes, found.tokens, found.context)
    words = (found.build, found.engine, found.device, found.source, found.at)
    fine = all(type(number) is int and number >= 0 for number in numbers) and all(type(word) is str for word in words)
    return found if fine else None
