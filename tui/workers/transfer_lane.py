"""One connection of a transfer: asks for parts, writes what comes, and knows what to do when it does not.

Whatever the network does, bytes that came are kept, the next request goes on behind them, and only what no patience
can cure ends the transfer, in words a person can act on.
"""

from __future__ import annotations

import time

from tui.catalog.hub_errors import response_error
from tui.errors import HubUnreachableError
from tui.plain_text import clean_line
from tui.quantities import duration_text
from tui.workers.transfer_board import Board, Task, Wanted
from tui.workers.transfer_connection import Answer, Connector, LinkBroken, origin_of
from tui.workers.transfer_pace import Pace, Patience, asked_wait
from tui.workers.transfer_parts import BLOCK, PartFile, page_buffer

BUFFER_SIZE = 2 << 20
"""Bytes that one connection holds in memory."""

FLUSH_SECONDS = 0.1
"""A slow connection writes what it has this often."""

REAL_PROGRESS = 64 << 10
"""An answer that brought less than this counts as a failure, so that a broken server is not asked in a tight loop."""

PLAIN_SIZE = 50_000_000_000
"""Larger files the hub need not hand out over plain HTTP (huggingface_hub: ``constants.MAX_HTTP_DOWNLOAD_SIZE``)."""

_TRY_AGAIN = (408, 416, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524)
_LINK_EXPIRED = (400, 401, 403, 404, 410)


class AnswerUseless(Exception):
    """The answer is no use now; ``seconds`` is how long the server asks to wait, None when it does not say."""

    def __init__(self, words: str, seconds: float | None = None) -> None:
        super().__init__(words)
        self.seconds = seconds


class PlainRefused(Exception):
    """``file`` is too large for plain HTTP, and the hub or its storage refused it."""

    def __init__(self, file: Wanted) -> None:
        super().__init__(f"{file.name} was refused over plain HTTP")
        self.file = file


class Lane:
    """Fetches the board's tasks of ``repo`` from ``endpoint`` until there are none left."""

    def __init__(
        self, board: Board, connector: Connector, pace: Pace, patience: Patience, endpoint: str, repo: str
    ) -> None:
        self._board, self._connector, self._pace, self._patience = board, connector, pace, patience
        self._hub = origin_of(endpoint)
        self._repo = repo
        self._buffer = page_buffer(BUFFER_SIZE)
        self._gained = 0

    def run(self) -> None:
        """Work until the board has nothing more; raises what ends the transfer."""
        try:
            while (task := self._board.next_task()) is not None:
                try:
                    self._fetch(task)
                finally:
                    self._board.give_back(task, self)
        finally:
            self._connector.close()

    def abort(self) -> None:
        """From another thread: end a blocked read now."""
        self._connector.abort()

    def _fetch(self, task: Task) -> None:
        failures = 0
        stop = self._board.stop
        while not (stop.is_set() or task.file.held or task.parts.is_complete(task.part)):
            if stop.wait(self._board.quiet_until - time.monotonic()):
                return
            self._gained, trouble, asked = 0, "", None
            try:
                if not self._ask(task):
                    return
            except LinkBroken as error:
                trouble = clean_line(str(error), 200)
                if "crawls" in trouble:
                    task.file.location = ""  # perhaps the hub names a better storage this time
            except AnswerUseless as error:
                trouble, asked = str(error), error.seconds
            if task.parts.is_complete(task.part) or stop.is_set():
                return
            failures = 0 if self._gained >= REAL_PROGRESS else failures + 1
            if failures > 2:
                task.file.location = ""  # the storage may have moved: ask the hub again
            if failures or asked is not None:
                self._be_patient(trouble, asked, failures)

    def _ask(self, task: Task) -> bool:
        """One request; False when another connection streams this file, because the server knows no ranges."""
        file = task.file
        start, end = task.parts.missing(task.part)
        all_of_it = (start, end) == (0, file.size)
        answer = self._connector.get(file.location or file.url, start, end, whole=all_of_it)
        try:
            if answer.status_code not in (200, 206):
                self._refused(answer, file)
            file.refused = 0
            position = self._position(answer, file, start)
            if answer.url != file.url:
                file.location = answer.url  # the next part need not be redirected
            if answer.status_code == 200 and not all_of_it:
                if not self._board.may_stream(file, self):
                    return False
                end = file.size
            self._receive(answer, task, position, end)
        finally:
            answer.close()
        return True

    def _position(self, answer: Answer, file: Wanted, start: int) -> int:
        """Where the body of ``answer`` begins in the file; raises ``AnswerUseless`` when it is not this file at all."""
        if answer.status_code == 200:
            kind = clean_line(answer.headers.get("content-type", "no type"), 40)
            is_page = kind.startswith("text/html") and not file.name.endswith((".html", ".htm"))
            if is_page or (answer.length is not None and answer.length < file.size // 2):
                file.location = ""
                raise AnswerUseless(f"something else than the file was sent ({kind}); a login page of the network?")
            return 0
        said = answer.headers.get("content-range", "")
        span, _, total = said.removeprefix("bytes ").partition("/")
        first = span.partition("-")[0]
        if not first.isdigit() or int(first) != start or (total.isdigit() and int(total) != file.size):
            file.location = ""
            raise AnswerUseless(f"bytes {start}- of {file.size} were asked for, {clean_line(said, 60)!r} was sent")
        return start

    def _receive(self, answer: Answer, task: Task, position: int, end: int) -> None:
        parts, filled, flushed = task.parts, 0, time.monotonic()
        self._board.pulse.forget(self)
        buffer = self._buffer[position % BLOCK :]  # bytes lie in memory as they will in the blocks of the disk
        try:
            while position + filled < end and not self._board.stop.is_set() and not task.file.held:
                room = min(len(buffer) - filled, end - position - filled)
                number = answer.receive(buffer[filled : filled + self._pace.step(room)])
                if number == 0:
                    raise LinkBroken(f"{_host_of(answer.url)}: the answer ended early")
                filled += number
                self._pace.take(number)
                now = time.monotonic()
                if self._board.pulse.crawls(self, number, now):
                    raise LinkBroken(f"{_host_of(answer.url)}: it crawls")
                if filled == len(buffer) or now - flushed > FLUSH_SECONDS:
                    full, filled, flushed = filled, 0, now
                    self._write(parts, position, buffer[:full])
                    position += full
                    buffer = self._buffer[position % BLOCK :]
        finally:
            if filled:  # also after a reset: what came is good until the checksum says otherwise
                self._write(parts, position, buffer[:filled])

    def _write(self, parts: PartFile, position: int, data: memoryview) -> None:
        fresh = parts.write(position, data)
        self._gained += fresh
        self._board.moved(len(data), fresh)

    def _refused(self, answer: Answer, file: Wanted) -> None:
        status = answer.status_code
        at_hub = origin_of(answer.url) == self._hub
        file.location = ""
        if file.size > PLAIN_SIZE and 400 <= status < 500 and status not in _TRY_AGAIN:
            file.refused += 1  # a link may just have expired; the hub's own word on who may read is another matter
            if file.refused > 1 and not answer.headers.get("x-error-code"):
                raise PlainRefused(file)
            if at_hub and not answer.headers.get("x-error-code"):
                raise AnswerUseless(f"{_host_of(answer.url)} answered {status}")
        if not at_hub and status in _LINK_EXPIRED:
            raise AnswerUseless(f"{_host_of(answer.url)} refused the link ({status})")
        if status in _TRY_AGAIN or status < 400:
            raise AnswerUseless(f"{_host_of(answer.url)} answered {status}", asked_wait(answer.headers))
        raise response_error(answer, self._repo)

    def _be_patient(self, trouble: str, asked: float | None, failures: int) -> None:
        """Wait after ``trouble``; raises when there is no more hope."""
        board, now = self._board, time.monotonic()
        silent = now - (board.last_byte or board.started)
        allowed = self._patience.silence if board.last_byte else self._patience.start
        if silent > allowed or (asked or 0) > self._patience.longest_asked:
            waited = f" for {duration_text(silent)}" if silent > allowed else ""
            hint = f"it asks to wait {duration_text(asked)}; " if asked else ""
            raise HubUnreachableError(
                f"the download got no further{waited}: {trouble}", f"{hint}what came is kept: retry goes on from there"
            )
        seconds = asked if asked is not None else self._patience.wait(failures)
        if asked is not None:
            board.quiet_until = max(board.quiet_until, now + asked)
        board.note = f"{trouble}; trying again in {duration_text(max(1, seconds))}"
        board.stop.wait(seconds)


def _host_of(url: str) -> str:
    return clean_line(origin_of(url)[1], 80)
