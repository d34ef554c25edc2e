"""Answers that outlive the program that asked for them.

A small process of its own asks, reads the stream and keeps it, and passes on what comes. When the program that asked is
gone, however it went, the answer goes on there and stands in the chat in the end; then the process leaves, too. It
holds no more than the answer: when the endpoint stops or unloads its model, that is the end, and what came is kept.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import tui
from tui.chat.client import ChatClient
from tui.chat.conversation import Message, MessageState
from tui.chat.transcript_store import TranscriptStore
from tui.chat.turn import Sink, Turn, TurnOver, take_turn

OUTLIVE_SECONDS = 3600.0
"""How long an answer may go on after the program that asked for it is gone."""

_STOP_SECONDS = 0.05
_HEAD = struct.Struct("<I")


class AnsweringProcesses:
    """Takes turns in processes of their own; one that is idle waits for the next turn.

    ``chats`` is the file of conversations, ``log`` takes what a process says when it breaks; ``outlive`` is how many
    seconds an answer may go on after this process is gone.
    """

    def __init__(self, chats: Path, log: Path, outlive: float = OUTLIVE_SECONDS) -> None:
        self._words = [str(chats.absolute()), str(outlive)]
        self._log = log
        self._lock = threading.Lock()
        self._idle: _Answering | None = None
        self.can_start = True
        """Whether the last start of a process went well."""

    def prepare(self) -> None:
        """Start one now, so that the next turn need not wait for that."""
        with self._lock:
            if self._idle is None:
                self._idle = self._started()

    def take_turn(self, turn: Turn, sink: Sink, stop: threading.Event) -> TurnOver | None:
        """As ``tui.chat.turn.take_turn``; None when no process can be started."""
        with self._lock:
            answering, self._idle = self._idle, None
        if answering is None or not answering.is_alive():
            answering = self._started()
        if answering is None:
            return None
        over = answering.take_turn(turn, sink, stop)
        with self._lock:
            is_kept = self._idle is None and answering.is_alive()
            if is_kept:
                self._idle = answering
        if not is_kept:
            answering.leave()
        return over

    def _started(self) -> _Answering | None:
        try:
            started = _Answering(self._words, self._log)
        except OSError:
            started = None
        self.can_start = started is not None
        return started

    def close(self) -> None:
        """Let the idle one leave; one that answers goes on and leaves by itself."""
        with self._lock:
            if self._idle is not None:
                self._idle.leave()
                self._idle = None


class _Answering:
    """One such process, seen from outside."""

    def __init__(self, words: Sequence[str], log: Path) -> None:
        parts = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
        code = [Path(tui.__file__).resolve().parent.parent, *(Path(part).absolute() for part in parts)]
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tui.chat.answering", *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, code))},
                start_new_session=True,
            )
        self._has_ended = False

    def is_alive(self) -> bool:
        return not self._has_ended and self._process.poll() is None

    def leave(self) -> None:
        with contextlib.suppress(OSError):
            self._stdin.close()
        self._stdout.close()
        threading.Thread(target=self._process.wait, daemon=True).start()  # reaps it

    def take_turn(self, turn: Turn, sink: Sink, stop: threading.Event) -> TurnOver:
        came: dict[str, list[str]] = {"assistant": [], "thinking": []}
        with contextlib.suppress(OSError):
            send(self._stdin, turn)
        is_told = False
        for item in self._received():
            if stop.is_set() and not is_told:
                is_told = True
                with contextlib.suppress(OSError):
                    send(self._stdin, None)
            if isinstance(item, TurnOver):
                return item
            if item is not None:
                role, text = item
                came.get(role, []).append(text)
                sink(role, text)
        self._has_ended = True
        return _broken_off(turn, "".join(came["assistant"]), "".join(came["thinking"]))

    def _received(self) -> Iterator[Any]:
        """What comes, and None now and then while nothing does; ends when the process has ended."""
        buffer = bytearray()
        stdout = self._stdout.fileno()
        while True:
            if select.select([stdout], [], [], _STOP_SECONDS)[0]:
                data = os.read(stdout, 65536)
                if not data:
                    return
                buffer += data
            while len(buffer) >= _HEAD.size:
                end = _HEAD.size + _HEAD.unpack_from(buffer)[0]
                if len(buffer) < end:
                    break
                yield pickle.loads(buffer[_HEAD.size : end])
                del buffer[:end]
            yield None

    @property
    def _stdin(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout


def send(stream: IO[bytes], item: object) -> None:
    """Write one pickled item behind its length in bytes; both ends of the pipe are this program."""
    data = pickle.dumps(item)
    stream.write(_HEAD.pack(len(data)) + data)
    stream.flush()


def received(stream: IO[bytes]) -> Iterator[Any]:
    """Every item of ``send`` until the other end is gone."""
    while len(head := stream.read(_HEAD.size)) == _HEAD.size:
        size = _HEAD.unpack(head)[0]
        if len(data := stream.read(size)) < size:
            return
        yield pickle.loads(data)


def _broken_off(turn: Turn, text: str, thinking: str) -> TurnOver:
    """What is left when the process was killed: what it passed on; what it kept stands in the file of chats."""
    before = turn.messages[:-1] if turn.go_on else turn.messages
    begun = turn.messages[-1] if turn.go_on else Message("assistant", "")
    problem = "the process that kept this answer was killed — r asks again"
    answer = Message(
        "assistant",
        begun.content + text,
        thinking=begun.thinking + thinking,
        state=MessageState.FAILED,
        problem=problem,
    )
    return TurnOver(turn.conversation, (*before, answer), answer)


def main(chats: str, outlive: str) -> None:
    """Take the turns that stdin asks for, one after the other, until it ends, and finish the last one within
    ``outlive`` seconds; runs as a process of its own."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not come between
    import httpx2  # noqa: F401 - loaded while nobody waits

    turns: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
    news: queue.SimpleQueue[object] = queue.SimpleQueue()
    stop = threading.Event()
    open_store = _store_opener(Path(chats))

    def listen() -> None:
        for item in received(sys.stdin.buffer):
            if item is None:
                stop.set()
            else:
                stop.clear()
                turns.put(item)
        turns.put(None)
        ending = threading.Timer(float(outlive), stop.set)
        ending.daemon = True
        ending.start()

    def tell() -> None:
        with contextlib.suppress(OSError):  # nobody listens any more; the answer goes on
            while True:
                send(out, news.get())

    for work in (listen, tell):
        threading.Thread(target=work, daemon=True).start()
    while (turn := turns.get()) is not None:
        client = ChatClient(turn.endpoint)
        news.put(take_turn(open_store, turn, lambda role, text: news.put((role, text)), stop, client))
    os._exit(0)  # the threads hold nothing, and a pipe that nobody reads must not be flushed


def _store_opener(chats: Path) -> Any:
    """Opens the file of chats at the first use, and again when that failed."""
    found: list[TranscriptStore] = []

    def open_store() -> TranscriptStore:
        if not found:
            found.append(TranscriptStore(chats))
        return found[0]

    return open_store


if __name__ == "__main__":
    main(*sys.argv[1:])
