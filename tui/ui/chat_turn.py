"""What stands between the thread that reads an answer and the event loop that draws it."""

from __future__ import annotations

import threading


class StreamBuffer:
    """What came and was not drawn yet: written by the thread that reads, emptied by the event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._parts: list[tuple[str, str]] = []

    def put(self, role: str, text: str) -> None:
        """Text of "thinking", "assistant" or "notice" came."""
        with self._lock:
            self._parts.append((role, text))

    def take(self) -> list[tuple[str, str, int]]:
        """Everything since the last call, pieces of the same role joined, and how many pieces they were."""
        with self._lock:
            parts, self._parts = self._parts, []
        joined: list[tuple[str, list[str]]] = []
        for role, text in parts:
            if joined and joined[-1][0] == role != "notice":
                joined[-1][1].append(text)
            else:
                joined.append((role, [text]))
        return [(role, "".join(texts), len(texts)) for role, texts in joined]
