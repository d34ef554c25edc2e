"""Keys take their turn: one is offered only when the one before it has done what it does.

Textual hands each key to the widget that has the focus when the key arrives. Over a slow line keys come in bursts, and
a fast typist is ahead of every program; then the letters after "/" would be commands of the list instead of text in
the field, because the focus had not moved yet.
"""

from __future__ import annotations

import time
from collections import deque

from textual import events
from textual.app import App
from textual.message import Message
from textual.widget import Widget

PATIENCE = 1.0
"""Seconds after which the next key goes out although the one before it was never told to be done."""

LOOK_AGAIN = 0.05
"""Seconds between two looks at whether the widget that had the key is still there to tell."""


class KeySettled(Message):
    """Follows a key on its way through the widgets; where it arrives, the key has been before. It goes the way twice:
    the second time it follows what the key's action asked the widgets for."""

    def __init__(self, target: Widget, *, second: bool = False) -> None:
        super().__init__()
        self.target, self.second = target, second
        self._sender = target


class TypeAhead(App[int]):
    """An app whose keys wait for each other."""

    _key_offered = 0.0
    _key_under_way: KeySettled | None = None

    def __init__(self) -> None:
        super().__init__()
        self._keys_waiting: deque[events.Key] = deque()

    async def on_event(self, event: events.Event) -> None:
        """Offer a key, or let it wait for the one before it."""
        if not isinstance(event, events.Key) or event.is_forwarded:
            await super().on_event(event)
        elif self._key_under_way is not None:
            self._keys_waiting.append(event)
            if len(self._keys_waiting) == 1:
                await self._look()
        else:
            await self._offer(event)

    async def _offer(self, key: events.Key) -> None:
        target = self.focused or self.screen
        await super().on_event(key)
        marker = KeySettled(target)
        self._key_offered, self._key_under_way = time.monotonic(), marker
        if not target.post_message(marker):
            self._settle(marker)

    def on_key_settled(self, marker: KeySettled) -> None:
        """The key has been everywhere; what it called later, such as a change of focus, comes before the next."""
        if marker is not self._key_under_way:
            return
        if not marker.second:
            self._key_under_way = second = KeySettled(marker.target, second=True)
            if marker.target.post_message(second):
                return
            marker = second
        self._settle(marker)

    def _settle(self, marker: KeySettled) -> None:
        if marker is self._key_under_way:
            self.call_later(self._next, marker)

    async def _next(self, marker: KeySettled) -> None:
        if marker is not self._key_under_way:
            return
        if not self.screen.is_mounted and time.monotonic() - self._key_offered < PATIENCE:
            self.call_later(self._next, marker)  # a dialog opens: the next key is for it
            return
        self._key_under_way = None
        if self._keys_waiting:
            await self._offer(self._keys_waiting.popleft())

    async def _look(self) -> None:
        """Keys wait: where the widget that has the marker went away with its screen, nobody will tell of it."""
        marker = self._key_under_way
        if marker is not None and time.monotonic() - self._key_offered >= PATIENCE:
            self._key_under_way = None
            if self._keys_waiting:
                await self._offer(self._keys_waiting.popleft())
        elif marker is not None and not (marker.target.is_attached and marker.target.is_running):
            self._settle(marker)
        if self._keys_waiting:
            self.set_timer(LOOK_AGAIN, self._look)
