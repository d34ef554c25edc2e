"""Server-sent events, read from bytes as they come.

Lines end at LF or CRLF and nowhere else: a token may hold U+2028 or any other character that ``str.splitlines`` would
split at. Text is decoded a whole line at a time, so a character cut by a chunk's border stays whole.
"""

from __future__ import annotations

from dataclasses import dataclass

EVENT_LIMIT = 8_000_000
"""Bytes of one event; more is not an answer but a fault."""


class EventTooLongError(Exception):
    """One event grew past ``EVENT_LIMIT`` bytes."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, or a comment (a keep-alive) when ``comment`` is set."""

    data: str = ""
    name: str = ""
    comment: str | None = None


class EventParser:
    """Turns chunks of bytes into events, whatever the borders of the chunks."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._searched = 0
        self._data: list[str] = []
        self._name = ""
        self._size = 0
        self._begun = False

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes; return the events that they complete. Raises ``EventTooLongError``."""
        self._rest += chunk
        events: list[Event] = []
        while True:
            end = self._rest.find(b"\n", self._searched)
            if end < 0:
                self._searched = len(self._rest)
                break
            line = bytes(self._rest[:end]).removesuffix(b"\r")
            del self._rest[: end + 1]
            self._searched = 0
            event = self._line(line)
            if event is not None:
                events.append(event)
        if len(self._rest) + self._size > EVENT_LIMIT:
            raise EventTooLongError
        return events

    def _line(self, line: bytes) -> Event | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            event = Event("\n".join(self._data), self._name) if self._data else None
            self._data, self._name, self._size = [], "", 0
            return event
        self._size += len(line)
        field, _, value = line.decode("utf-8", "replace").partition(":")
        value = value.removeprefix(" ")
        if not field:
            return Event(comment=value)
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None
