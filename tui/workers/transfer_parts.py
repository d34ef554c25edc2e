"""A file that is being fetched in parts, and the journal of what is there.

The journal lies behind the last byte of the data in the same file, so that the two cannot be parted, and is written
after the bytes it speaks of. A process that is killed loses at most what it had not yet written; a resumed transfer
goes on at the exact byte. That the bytes are right is not the journal's word but the checksum's, at the end.

Large files go past the page cache (O_DIRECT) where the file system can do that: copying through the cache costs
several times the CPU of everything else, and a download of 100 GB would throw out what other people's programs keep
there.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import mmap
import os
from pathlib import Path

from tui.catalog.partial_file import HEAD, MAGIC, SLOT, bytes_there, count_parts, read_journal
from tui.paths import file_system_of

__all__ = ["BLOCK", "PartFile", "bytes_there", "page_buffer"]

BLOCK = 4096
"""Writing past the page cache wants positions, lengths and addresses that are multiples of this."""

DIRECT_SIZE = 8 << 20
"""Files of at least this many bytes are written past the page cache."""

_DIRECT = frozenset({"ext4", "ext3", "xfs", "f2fs"})
"""File systems on this machine's own disks that are known to do it well."""


class PartFile:
    """``size`` bytes in parts of ``part_size``; each part fills from its start. Usable from several threads, as long
    as no two of them write the same part at once. Raises ``OSError`` for a full disk."""

    def __init__(self, path: Path, size: int, part_size: int) -> None:
        self.path = path
        self.size = size
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        journal = read_journal(self._fd, size)
        self.part_size, self._done = journal or (part_size, [0] * count_parts(size, part_size))
        self._first_open = 0
        self._direct = _open_direct(path, size)
        self._resumed = [part for part, done in enumerate(self._done) if done and not self.is_complete(part)]
        if journal is None:
            self.clear()

    @property
    def parts(self) -> range:
        """The numbers of the parts."""
        return range(len(self._done))

    @property
    def done(self) -> int:
        """Bytes that are there."""
        return sum(self._done)

    @property
    def front(self) -> int:
        """Bytes that are there without a gap from the start."""
        while self._first_open < len(self._done) and self._left(self._first_open) == 0:
            self._first_open += 1
        if self._first_open == len(self._done):
            return self.size
        return self._first_open * self.part_size + self._done[self._first_open]

    def missing(self, part: int) -> tuple[int, int]:
        """First and last-plus-one byte that ``part`` lacks."""
        start = part * self.part_size
        return start + self._done[part], min(start + self.part_size, self.size)

    def is_complete(self, part: int) -> bool:
        """Whether ``part`` lacks nothing."""
        return self._left(part) == 0

    def write(self, position: int, data: memoryview) -> int:
        """Store ``data`` at ``position``; what is there already is not written again, what follows a gap neither.
        Returns how many bytes were new."""
        gained = 0
        while data:
            part = position // self.part_size
            piece = data[: (part + 1) * self.part_size - position]
            known = part * self.part_size + self._done[part]
            if position <= known < position + len(piece):
                fresh = piece[known - position :]
                self._store(fresh, known)
                self._note(part, self._done[part] + len(fresh))
                gained += len(fresh)
            position += len(piece)
            data = data[len(piece) :]
        return gained

    def read(self, position: int, upto: int, buffer: memoryview) -> int:
        """Fill ``buffer`` from ``position``, a multiple of ``BLOCK``, as far as ``upto``, or as far as whole blocks go
        where the file goes on; returns the number of bytes."""
        if self._direct < 0:
            return os.preadv(self._fd, [buffer[: min(len(buffer), upto - position)]], position)
        known = upto if upto == self.size else upto // BLOCK * BLOCK
        if known <= position:
            return 0
        blocks = buffer[: min(len(buffer), -(-(known - position) // BLOCK) * BLOCK)]
        return max(0, min(os.preadv(self._direct, [blocks], position), known - position))

    def clear(self) -> None:
        """Forget everything: start afresh."""
        os.ftruncate(self._fd, 0)
        self._done = [0] * len(self._done)
        self._first_open = 0
        head = HEAD.pack(MAGIC, self.size, self.part_size)
        _write_all(self._fd, memoryview(head + SLOT.pack(0) * len(self._done)), self.size)

    def doubt(self) -> list[int]:
        """Mark everything as missing without forgetting it: what comes is written over what is there. Returns the
        parts in the order in which they should be fetched: first those that an earlier attempt left half done."""
        self._first_open = 0
        for part in self.parts:
            self._note(part, 0)
        return [*self._resumed, *(part for part in self.parts if part not in self._resumed)]

    def digest(self, start: int, end: int, state: hashlib._Hash, buffer: memoryview) -> None:
        """Feed ``state`` with the bytes from ``start``, a multiple of ``BLOCK``, to ``end`` as they lie on the disk."""
        while start < end:
            number = self.read(start, end, buffer)
            if number == 0:
                raise OSError(errno.EIO, f"{self.path} is shorter than its journal says")
            state.update(buffer[:number])
            start += number

    def finish(self, target: Path) -> None:
        """Cut the journal off, make the bytes durable and give them their name."""
        os.ftruncate(self._fd, self.size)
        os.fsync(self._fd)
        self.close()
        self.path.replace(target)

    def close(self) -> None:
        """Let go of the file; what is there stays for the next time."""
        for descriptor in (self._fd, self._direct):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._direct = -1

    def _store(self, data: memoryview, position: int) -> None:
        """Write ``data``; whole blocks of it past the page cache, its ragged ends through it."""
        head = min(len(data), -position % BLOCK)
        blocks = (len(data) - head) // BLOCK * BLOCK
        if self._direct < 0 or not blocks:
            _write_all(self._fd, data, position)
            return
        _write_all(self._fd, data[:head], position)
        written = 0
        with contextlib.suppress(OSError):  # a full disk shows again below; so does an address that is no multiple
            written = os.pwrite(self._direct, data[head : head + blocks], position + head) // BLOCK * BLOCK
        _write_all(self._fd, data[head + written :], position + head + written)

    def _left(self, part: int) -> int:
        start, end = self.missing(part)
        return end - start

    def _note(self, part: int, done: int) -> None:
        # The journal first: as soon as a file counts as complete, its journal may be cut off and the file closed.
        _write_all(self._fd, memoryview(SLOT.pack(done)), self.size + HEAD.size + part * SLOT.size)
        self._done[part] = done


def page_buffer(size: int) -> memoryview:
    """``size`` bytes that begin on a page, as moving past the page cache wants, in huge pages where there are some."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memoryview(memory)


def _open_direct(path: Path, size: int) -> int:
    """A descriptor that goes past the page cache, -1 where that is not for this file."""
    if size < DIRECT_SIZE or file_system_of(path.absolute()) not in _DIRECT:
        return -1
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_DIRECT)
    except OSError:
        return -1


def _write_all(descriptor: int, data: memoryview, position: int) -> None:
    while data:
        written = os.pwrite(descriptor, data, position)
        data = data[written:]
        position += written
