"""Reads one answer out of a stream: events of the protocol, or a whole JSON answer where the server does not stream."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tui.chat.answer import Cleaner, Delta
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import EndpointGoneError, refusal, refusal_in_stream
from tui.chat.exchange import Head
from tui.chat.server_sent_events import Event, EventParser, EventTooLongError
from tui.chat.thinking import ThinkingSplitter
from tui.errors import EndpointError
from tui.plain_text import clean_line

BODY_LIMIT = 32_000_000
"""Bytes of an answer that is not streamed."""


class StreamReading:
    """Reads one answer: the head first, then events, or a whole JSON answer where the server does not stream."""

    def __init__(self, endpoint: Endpoint, started: float) -> None:
        self.endpoint = endpoint
        self.started = started
        self.is_done = False
        self.has_begun = False
        self._head = Head(0, {})
        self._parser = EventParser()
        self._body = bytearray()
        self._text, self._thinking = Cleaner(), Cleaner()
        self._splitter = ThinkingSplitter()
        self._finished = False

    @property
    def _streams(self) -> bool:
        return self._head.status == 200 and "json" not in self._head.headers.get("content-type", "")

    def take(self, item: Head | bytes | None) -> Iterator[Delta]:
        """Read what came."""
        if isinstance(item, Head):
            self._head = item
        elif item is not None and self._streams:
            for event in self._parser.feed(item):
                yield from self._event(event)
                if self.is_done:
                    return
        elif item is not None:
            self._body += item
            if len(self._body) > BODY_LIMIT:
                raise EventTooLongError

    def ended(self) -> Iterator[Delta]:
        """The body is over; raises when the answer is not."""
        if self._head.status != 200:
            raise refusal(self.endpoint, self._head.status, self._head.headers, bytes(self._body))
        if not self._streams:
            value = json_object(bytes(self._body), self.endpoint)
            yield from self._chunk(value)
        if not self._finished:
            name = self.endpoint.name or self.endpoint.base_url
            hint = "load the model again" if self.endpoint.local else "try again"
            raise EndpointGoneError(f"{name} went away in the middle of the answer", hint)
        yield from self._flushed()

    def _event(self, event: Event) -> Iterator[Delta]:
        if event.comment is not None:
            if event.comment.strip():
                yield Delta(notice=clean_line(event.comment, 100), at=self._now())
            return
        if event.data.strip() == "[DONE]":
            self.is_done = True
            yield from self._flushed()
            return
        try:
            value = json.loads(event.data)
        except ValueError:
            raise EndpointGoneError(
                f"{self.endpoint.name} sent a broken piece: {clean_line(event.data, 80)}", "try again"
            ) from None
        if event.name == "error" and isinstance(value, dict):
            value.setdefault("error", value.get("message") or "error")
        if isinstance(value, dict):
            yield from self._chunk(value)

    def _chunk(self, value: Mapping[str, Any]) -> Iterator[Delta]:
        if value.get("error"):
            raise refusal_in_stream(self.endpoint, value["error"])
        self.has_begun = True
        choices = value.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
        piece = choice.get("delta") or choice.get("message") or {}
        said = self._text.feed(_text_of(piece.get("content")) or _text_of(choice.get("text")))
        text, thought = self._splitter.feed(said)
        thinking = thought + self._thinking.feed(_text_of(piece.get("reasoning_content") or piece.get("reasoning")))
        reason = clean_line(str(choice.get("finish_reason") or ""), 40)
        self._finished = self._finished or bool(reason)
        usage = _usage_of(value["usage"]) if isinstance(value.get("usage"), dict) else None
        if usage is not None and isinstance(value.get("timings"), dict):
            usage["timings"] = _usage_of(value["timings"])
        if text or thinking or reason or usage is not None:
            model = clean_line(str(value.get("model") or ""), 200)
            yield Delta(text, thinking, reason, usage, model=model, at=self._now())

    def _flushed(self) -> Iterator[Delta]:
        text, thought = self._splitter.feed(self._text.end())
        rest, more = self._splitter.end()
        text, thinking = text + rest, thought + more + self._thinking.end()
        if text or thinking:
            yield Delta(text, thinking, at=self._now())

    def _now(self) -> float:
        return time.monotonic() - self.started


def _text_of(content: Any) -> str:
    """Text of a content field, which is a string, null or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    return ""


def _usage_of(usage: Mapping[str, Any]) -> dict[str, Any]:
    """The counts of a usage object and of the objects in it; anything else in there is left out."""
    counts: dict[str, Any] = {}
    for name, value in usage.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            counts[clean_line(name, 60)] = value
        elif isinstance(value, dict):
            counts[clean_line(name, 60)] = _usage_of(value)
    return counts


def json_object(body: bytes, endpoint: Endpoint) -> dict[str, Any]:
    """The object in ``body``; raises ``EndpointError`` when it is none."""
    try:
        value = json.loads(body)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise EndpointError(f"{endpoint.name} answered with something that is not JSON", "check the base URL")
    return value
