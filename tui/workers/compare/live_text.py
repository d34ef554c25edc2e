"""Shows answers while they stream: one thread writes what came to the file of trials, a few times a second."""

from __future__ import annotations

import threading
from typing import Any

from tui.compare.asking import Sofar, counted_tokens
from tui.compare.trial_store import TrialStore

WRITE_SECONDS = 0.2


class LiveText:
    """The attempts that stream now."""

    def __init__(self, store: TrialStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._news: dict[int, dict[str, Any]] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live text", daemon=True)
        self._thread.start()

    def show(self, attempt_id: int, sofar: Sofar, cost: int | None, prompt_tokens: int) -> None:
        """What has come of an attempt; with what it has cost, in case this process does not live to say it."""
        values = {
            "text": sofar.reader.text,
            "thinking": sofar.reader.thinking,
            "time_to_first_token": sofar.first,
            "prompt_tokens": prompt_tokens,
            "completion_tokens": counted_tokens(sofar),
            "counted": 1,
            "cost": cost,
        }
        with self._lock:
            self._news[attempt_id] = values

    def over(self, attempt_id: int) -> None:
        """Whatever is still to be written about an attempt is old news."""
        with self._lock:
            self._news.pop(attempt_id, None)

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join(2)

    def _run(self) -> None:
        while not self._closing.wait(WRITE_SECONDS):
            with self._lock:
                news, self._news = self._news, {}
            if news:
                self._store.stream(news)
