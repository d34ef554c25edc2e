"""Moves the bytes of many files at once, over several connections, into verified blobs.

transfer_board.py       what is to fetch, and who is at it
transfer_lane.py        one connection: requests, retries, patience
transfer_connection.py  HTTP: redirects, proxies, where the token may go
transfer_parts.py       a file in parts, with its journal
transfer_checksum.py    the checksum, and the name
transfer_pace.py        bandwidth cap and waits
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence

from tui.workers.transfer_board import Board, Wanted
from tui.workers.transfer_checksum import Checker
from tui.workers.transfer_connection import Connector
from tui.workers.transfer_lane import Lane
from tui.workers.transfer_pace import Pace, Patience, Pulse


class Transfer:
    """Fetches ``files`` of ``repo``. ``headers`` (with the token) go to ``endpoint`` alone. ``limit()`` is the
    bandwidth cap in bytes per second, 0 for none; ``timeout`` seconds of silence make a connection count as stalled."""

    def __init__(
        self,
        files: Sequence[Wanted],
        *,
        repo: str,
        endpoint: str,
        headers: Mapping[str, str],
        connections: int,
        timeout: float,
        limit: Callable[[], int],
        patience: Patience,
    ) -> None:
        self.board = Board(files, Pulse(0 if limit() else timeout))  # under a cap everybody crawls at times
        pace = Pace(limit, self.board.stop)
        self._lanes = [
            Lane(self.board, Connector(endpoint, headers, timeout), pace, patience, endpoint, repo)
            for _ in range(max(1, connections))
        ]
        self._threads: list[threading.Thread] = []

    @property
    def done(self) -> int:
        """Bytes that are there, of all files."""
        return sum(file.done for file in self.board.files)

    @property
    def is_over(self) -> bool:
        """Everything is whole, or something ended the transfer."""
        return self.board.stop.is_set() or self.board.is_whole

    def start(self) -> None:
        """Begin; ``end`` says how it went."""
        for work in (Checker(self.board).run, *(lane.run for lane in self._lanes)):
            thread = threading.Thread(target=self._guard, args=(work,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def wait(self, seconds: float) -> None:
        """Sleep until the transfer is over, at most ``seconds``."""
        with self.board.changed:
            self.board.changed.wait_for(lambda: self.is_over, seconds)

    def end(self, seconds: float) -> None:
        """Stop what still runs, waiting at most ``seconds`` for it, keep what is there, and raise what went wrong."""
        self.board.stop.set()
        with self.board.changed:
            self.board.changed.notify_all()
        for lane in self._lanes:
            lane.abort()
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if not any(thread.is_alive() for thread in self._threads):
            for file in self.board.files:
                if file.parts is not None and not file.whole:
                    file.parts.close()
                    file.place.unlock()
        if self.board.error is not None:
            raise self.board.error

    def _guard(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.board.fail(error)
            for lane in self._lanes:
                lane.abort()
