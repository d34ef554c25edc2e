"""What a transfer still has to fetch, and who is at it. This module alone hands out work and takes it back.

Connections take the next missing part of the first file that has one, so files become whole in order and nothing is
fetched by two connections at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tui.plain_text import clean_line
from tui.workers.transfer_pace import Pulse
from tui.workers.transfer_parts import PartFile, bytes_there

PART_SIZE = 32 << 20
"""Bytes of one part of a large file."""

LARGE_FILE = 64_000_000
"""A file of at least this many bytes is fetched over several connections."""


class BlobPlace(Protocol):
    """Where one file goes, and the lock that keeps other programs from writing it too."""

    incomplete: Path
    blob: Path

    def lock(self) -> bool:
        """Take the lock; False when another program holds it now."""

    def unlock(self) -> None:
        """Give the lock back."""


@dataclass(eq=False)
class Wanted:
    """One file to fetch: ``url`` at the hub, ``size`` in bytes, and the ``sha256``, or the git-sha1 where git holds
    the file itself. The rest is how far it is; ``location`` is where the hub's redirect led, ``streamer`` the
    connection that fetches it from its start because the server knows no ranges, ``refused`` how often in a row it was
    refused. ``at_work`` counts the connections
    that fetch it; ``held`` tells them to let go, because its bytes are being checked."""

    name: str
    url: str
    size: int
    sha256: str
    git_sha1: str
    place: BlobPlace
    parts: PartFile | None = None
    pending: deque[int] = field(default_factory=deque)
    location: str = ""
    streamer: object = None
    corrupt: int = 0
    refused: int = 0
    at_work: int = 0
    held: bool = False
    whole: bool = False
    left_over: int = 0

    @property
    def done(self) -> int:
        """Bytes that are there."""
        if self.whole:
            return self.size
        return self.parts.done if self.parts is not None else self.left_over

    @property
    def checksum(self) -> str:
        """What ``new_checksum`` must come to, in hex."""
        return self.sha256 or self.git_sha1

    def new_checksum(self) -> hashlib._Hash:
        """An empty checksum of the kind that the hub promised."""
        return hashlib.sha256() if self.sha256 else hashlib.sha1(b"blob %d\0" % self.size)


@dataclass(frozen=True, slots=True)
class Task:
    """One part of one file, given to one connection."""

    file: Wanted
    parts: PartFile
    part: int


class Board:
    """The files of one transfer. Every change of what is pending happens under ``changed``. ``note`` says what holds
    things up now, ``events`` are lines for the log."""

    def __init__(self, files: Sequence[Wanted], pulse: Pulse | None = None) -> None:
        self.files = list(files)
        self.pulse = pulse or Pulse(0)
        self.changed = threading.Condition()
        self.stop = threading.Event()
        self.error: BaseException | None = None
        self.note = ""
        self.events: deque[str] = deque()
        self.received = 0
        self.started = time.monotonic()
        self.last_byte = 0.0
        self.quiet_until = 0.0
        for file in self.files:
            file.left_over = bytes_there(file.place.incomplete, file.size)

    @property
    def is_whole(self) -> bool:
        """Every file is there under its name."""
        return all(file.whole for file in self.files)

    def next_task(self) -> Task | None:
        """Wait for a part to fetch; None when there will be no more."""
        with self.changed:
            while not self.stop.is_set() and not self.is_whole:
                task, busy = self._look()
                if task is not None:
                    return task
                if busy:
                    self.note = f"waiting for another program that downloads {clean_line(busy)}"
                self.changed.wait(0.5)
        return None

    def give_back(self, task: Task, streamer: object) -> None:
        """A connection is done with ``task``, finished or not."""
        with self.changed:
            task.file.at_work -= 1
            if task.file.streamer is streamer:
                task.file.streamer = None
            if not task.parts.is_complete(task.part):
                task.file.pending.appendleft(task.part)
            self.note = ""
            self.changed.notify_all()

    def may_stream(self, file: Wanted, streamer: object) -> bool:
        """Whether this connection may fetch all of ``file``; False when another one is doing that."""
        with self.changed:
            if file.streamer is None:
                file.streamer = streamer
            return file.streamer is streamer

    def start_afresh(self, file: Wanted, parts: PartFile) -> None:
        """Nothing of ``file`` can be used: all of it is to fetch again."""
        with self.changed:
            parts.clear()
            file.location = ""
            file.pending = deque(parts.parts)
            self.changed.notify_all()

    def fetch_again(self, file: Wanted, parts: PartFile) -> None:
        """Something of ``file`` is wrong and nobody knows what: fetch part by part over what is there."""
        with self.changed:
            file.location = ""
            file.pending = deque(parts.doubt())
            self.changed.notify_all()

    @contextlib.contextmanager
    def holding(self, file: Wanted) -> Iterator[None]:
        """Nobody writes to ``file`` meanwhile."""
        with self.changed:
            file.held = True
            while file.at_work and not self.stop.is_set():
                self.changed.wait(0.5)
        try:
            yield
        finally:
            with self.changed:
                file.held = False
                self.changed.notify_all()

    def mark_whole(self, file: Wanted) -> None:
        """``file`` has its name."""
        with self.changed:
            file.whole = True
            self.changed.notify_all()

    def moved(self, received: int, fresh: int) -> None:
        """``received`` bytes came over the network, ``fresh`` of them were not there yet."""
        with self.changed:
            self.received += received
            if fresh:
                self.last_byte = time.monotonic()

    def fail(self, error: BaseException) -> None:
        """End the transfer because of ``error``; the first one counts."""
        with self.changed:
            if self.error is None and not self.stop.is_set():
                self.error = error
            self.stop.set()
            self.changed.notify_all()

    def _look(self) -> tuple[Task | None, str]:
        busy = ""
        for file in self.files:
            if file.parts is None and not file.whole and not self._open(file):
                busy = busy or file.name
            if file.parts is None or not file.pending or file.streamer is not None or file.held or file.whole:
                continue
            if not file.corrupt or file.at_work < max(1, len(file.parts.parts) // 8):  # the bad part may come soon
                file.at_work += 1
                return Task(file, file.parts, file.pending.popleft()), ""
        return None, busy

    def _open(self, file: Wanted) -> bool:
        """Begin ``file``; False when another program is at it. It may be whole at once, thanks to that program."""
        if not file.place.lock():
            return False
        if file.place.blob.exists() and file.place.blob.stat().st_size == file.size:
            file.place.unlock()
            file.whole = True
        else:
            part_size = PART_SIZE if file.size >= LARGE_FILE else max(1, file.size)
            file.parts = PartFile(file.place.incomplete, file.size, part_size)
            file.pending = deque(part for part in file.parts.parts if not file.parts.is_complete(part))
        self.changed.notify_all()
        return True
