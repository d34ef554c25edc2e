"""Gives a fetched file its name, when its bytes are the ones the hub's listing promised, and not before.

A wrong checksum does not tell which bytes are wrong, so the parts are fetched again one after the other, over what is
there, until one comes otherwise than before and the whole is right.

One thread hashes behind the front of the oldest file while the connections go on, and another reads ahead of it: the
disk answers late while it is being written to. A resumed file is hashed from its start in the same way, so nothing but
the bytes themselves has to survive a kill.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue

from tui.errors import HeftError
from tui.plain_text import clean_line
from tui.quantities import bytes_text
from tui.workers.transfer_board import Board, Wanted
from tui.workers.transfer_parts import PartFile, page_buffer

CORRUPT_ANSWERS = 3
"""A file whose checksum was wrong this often is refused."""

_BUFFER_SIZE = 2 << 20
_BUFFERS = 3
_AHEAD_SIZE = 8 << 20
"""Smaller files are not worth a thread that reads ahead."""


class ChecksumError(HeftError):
    """The hub keeps sending other bytes than it promised."""


Filled = tuple[memoryview, int]
"""A buffer and how many bytes of it are filled."""


class _ReadAhead:
    """What ``pieces`` fills, in its order, filled by a thread as far ahead as there are ``buffers``; a buffer is used
    again when the next one is asked for. Raises what ``pieces`` raises."""

    def __init__(
        self, buffers: Sequence[memoryview], pieces: Callable[[Callable[[], memoryview]], Iterator[Filled]]
    ) -> None:
        self._free: SimpleQueue[memoryview] = SimpleQueue()
        self._full: SimpleQueue[Filled | BaseException | None] = SimpleQueue()
        self._pieces = pieces
        for buffer in buffers:
            self._free.put(buffer)
        threading.Thread(target=self._fill, name="read ahead", daemon=True).start()

    def __iter__(self) -> Iterator[Filled]:
        while (piece := self._full.get()) is not None:
            if isinstance(piece, BaseException):
                raise piece
            yield piece
            self._free.put(piece[0])

    def _fill(self) -> None:
        try:
            for piece in self._pieces(self._free.get):
                self._full.put(piece)
            self._full.put(None)
        except BaseException as error:
            self._full.put(error)


class Checker:
    """Hashes, names and, where the bytes are wrong, discards the files of ``board``."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._buffers = [page_buffer(_BUFFER_SIZE) for _ in range(_BUFFERS)]
        self._buffer = self._buffers[0]

    def run(self) -> None:
        """Work until every file is whole; raises ``ChecksumError`` or ``OSError``."""
        board = self._board
        while not board.stop.is_set() and not board.is_whole:
            file = next((file for file in board.files if file.parts is not None and not file.whole), None)
            if file is not None and file.parts is not None:
                self._check(file, file.parts)
                continue
            with board.changed:
                board.changed.wait(0.2)

    def _check(self, file: Wanted, parts: PartFile) -> None:
        state = file.new_checksum()
        hashed = self._follow(parts, state)
        if hashed < file.size:
            return  # the transfer is being stopped
        if state.hexdigest() == file.checksum:
            self._name(file, parts)
        else:
            self._mend(file, parts)

    def _follow(self, parts: PartFile, state: hashlib._Hash) -> int:
        """Feed ``state`` with the file as it comes; returns the bytes hashed, fewer than all only after a stop."""
        hashed = 0
        if parts.size < _AHEAD_SIZE:
            for buffer, number in self._as_it_comes(parts, lambda: self._buffers[0]):
                state.update(buffer[:number])
                hashed += number
            return hashed
        ahead = _ReadAhead(self._buffers, lambda free: self._as_it_comes(parts, free))
        for buffer, number in ahead:
            state.update(buffer[:number])
            hashed += number
        return hashed

    def _as_it_comes(self, parts: PartFile, free: Callable[[], memoryview]) -> Iterator[Filled]:
        """The file from its start, each piece as soon as it lies on the disk, until its end or the stop."""
        position, buffer = 0, free()
        while position < parts.size and not self._board.stop.is_set():
            front = parts.front
            number = parts.read(position, front, buffer) if position < front else 0
            if number:
                position += number
                yield buffer, number
                buffer = free()
            else:  # nothing new, or less than a block
                self._wait_beyond(parts, front)

    def _name(self, file: Wanted, parts: PartFile) -> None:
        parts.finish(file.place.blob)
        file.place.unlock()
        self._board.mark_whole(file)

    def _mend(self, file: Wanted, parts: PartFile) -> None:
        """Fetch a file of several parts again, part by part, until one of them comes otherwise and makes it right."""
        self._refuse_after_three(file)
        if len(parts.parts) == 1:
            self._board.start_afresh(file, parts)
            return
        known = {part: self._digest(parts, part) for part in parts.parts}
        self._board.fetch_again(file, parts)
        while not self._board.stop.is_set():
            came = [part for part in known if parts.is_complete(part)]
            bad = [part for part in came if known.pop(part) != self._digest(parts, part)]
            if bad:
                self._board.events.append(f"part {bad[0] + 1} of {clean_line(file.name)} came otherwise this time")
                with self._board.holding(file):
                    if not self._board.stop.is_set() and self._is_right(file, parts):
                        self._name(file, parts)
                        return
            elif not known:
                self._mend(file, parts)  # every part came again as it was, or not better: once more, then no more
                return
            else:
                with self._board.changed:
                    self._board.changed.wait(0.1)

    def _digest(self, parts: PartFile, part: int) -> bytes:
        state = hashlib.sha256()
        parts.digest(part * parts.part_size, min((part + 1) * parts.part_size, parts.size), state, self._buffer)
        return state.digest()

    def _is_right(self, file: Wanted, parts: PartFile) -> bool:
        state = file.new_checksum()
        parts.digest(0, file.size, state, self._buffer)
        return state.hexdigest() == file.checksum

    def _wait_beyond(self, parts: PartFile, position: int) -> None:
        with self._board.changed:
            if parts.front == position:
                self._board.changed.wait(0.05)  # notified when a part is complete; the time is for what comes before

    def _refuse_after_three(self, file: Wanted) -> None:
        file.corrupt += 1
        self._board.events.append(f"{clean_line(file.name)} came with a wrong checksum; what is wrong is fetched again")
        if file.corrupt >= CORRUPT_ANSWERS:
            if file.parts is not None:
                self._board.start_afresh(file, file.parts)
            raise ChecksumError(
                f"{clean_line(file.name)} ({bytes_text(file.size)}) came with a wrong checksum {file.corrupt} times",
                "the hub, a proxy or this machine's memory or disk damages data; nothing of it was kept",
            )
