"""Keeps a streaming answer on the disk as it grows, and knows whether the process that wrote one still lives."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tui.chat.answer import Answer
from tui.chat.conversation import Message, MessageState
from tui.chat.transcript_rows import json_text
from tui.errors import StoreError


class AnswerKeeper(Protocol):
    """What the writer needs of the store."""

    def write_answer(self, message_id: int, changes: Mapping[str, Any]) -> bool:
        """Change columns of a message; true when somebody asked for its end."""


class AnswerWriter:
    """Writes one streaming answer, at most ``delay`` seconds behind, whether or not more text comes. ``begun`` is what
    the answer held before; ``stop`` is set when another process asked for its end."""

    def __init__(
        self,
        store: AnswerKeeper,
        conversation_id: int,
        message_id: int,
        delay: float = 0.5,
        *,
        stop: threading.Event | None = None,
        begun: Message | None = None,
    ) -> None:
        self.conversation_id = conversation_id
        self.message_id = message_id
        self._store = store
        self._delay = delay
        self._lock = threading.Lock()
        self._stop = stop
        self._text = [begun.content] if begun else []
        self._thinking = [begun.thinking] if begun else []
        self._timer: threading.Timer | None = None
        self._over = False

    def append(self, text: str, thinking: str = "") -> None:
        """Take a piece; it is on the disk ``delay`` seconds later."""
        with self._lock:
            self._text.append(text)
            self._thinking.append(thinking)
            if self._timer is None and not self._over:
                self._timer = threading.Timer(self._delay, self._write)
                self._timer.daemon = True
                self._timer.start()

    def finish(
        self,
        answer: Answer | None = None,
        state: MessageState = MessageState.COMPLETE,
        problem: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Write what is left, the state and, where there is one, what the answer added up to; ``facts`` replace those
        that it began with."""
        with self._lock:
            self._over = True
            if self._timer is not None:
                self._timer.cancel()
            changes: dict[str, Any] = {"state": state.value, "problem": problem, "writer": "", **self._so_far()}
            changes |= {"stop_asked": 0} if facts is None else {"stop_asked": 0, "facts": json_text(facts)}
            if answer is not None:
                changes |= {
                    "finish_reason": answer.finish_reason,
                    "usage": json_text(answer.usage),
                    "time_to_first_token": answer.time_to_first_token,
                    "tokens_per_second": answer.tokens_per_second,
                }
            self._store.write_answer(self.message_id, changes)

    def _write(self) -> None:
        with self._lock:
            self._timer = None
            if not self._over:
                with contextlib.suppress(StoreError):  # a full disk must not end the answer; finish() says so
                    asked = self._store.write_answer(self.message_id, self._so_far())
                    if asked and self._stop is not None:
                        self._stop.set()

    def _so_far(self) -> dict[str, Any]:
        return {"content": "".join(self._text), "thinking": "".join(self._thinking)}


def this_process() -> str:
    """A mark of this process that no later one can bear."""
    return f"{os.uname().nodename}:{os.getpid()}:{_started(os.getpid())}"


def process_lives(writer: str) -> bool:
    """Whether the process with the mark ``writer`` is still there; a mark of another machine counts as living."""
    host, _, rest = writer.partition(":")
    pid, _, started = rest.partition(":")
    if host != os.uname().nodename or not pid.isdigit():
        return host not in ("", os.uname().nodename)  # another machine settles its own
    return bool(started) and _started(int(pid)) == started


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks, so that a reused pid is not taken for the old process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
