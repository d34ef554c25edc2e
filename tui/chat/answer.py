"""An answer as it grows: the pieces that a stream brings, and what they add up to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui.plain_text import clean


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece. ``text`` and ``thinking`` hold no control characters but newline and tab. ``at`` is in seconds since
    the request was sent. ``notice`` is a word of the host about the wait ("2 before you"); ``usage`` counts tokens."""

    text: str = ""
    thinking: str = ""
    finish_reason: str = ""
    usage: Mapping[str, Any] | None = None
    notice: str = ""
    model: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. Times are in seconds. ``usage`` is what the server counted; where it counted nothing, the pieces
    were counted instead and ``usage["estimated"]`` is true. ``finish_reason`` is "stop", "length", "stopped" (by the
    reader) or another word of the server. ``thinking_tokens`` is what the server counted, else the pieces."""

    text: str
    usage: dict[str, Any]
    finish_reason: str
    time_to_first_token: float | None
    tokens_per_second: float | None
    thinking: str = ""
    model: str = ""
    thinking_seconds: float = 0.0
    thinking_tokens: int = 0


class AnswerReader:
    """Adds deltas up."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._usage: dict[str, Any] = {}
        self._finish_reason = ""
        self._model = ""
        self._pieces = 0
        self._thoughts = 0
        self._thought_from: float | None = None
        self._thought_until = 0.0
        self._said = False
        self._first: float | None = None
        self._last = 0.0

    def read(self, delta: Delta) -> str:
        """Take a delta and return its text."""
        if delta.text or delta.thinking:
            self._pieces += 1
            self._first = delta.at if self._first is None else self._first
            self._last = delta.at
        if delta.thinking:
            self._thoughts += 1
            self._thought_from = delta.at if self._thought_from is None else self._thought_from
        if not self._said and (delta.thinking or delta.text):
            self._thought_until = delta.at
        self._said = self._said or bool(delta.text)
        self._text.append(delta.text)
        self._thinking.append(delta.thinking)
        self._finish_reason = delta.finish_reason or self._finish_reason
        self._model = delta.model or self._model
        if delta.usage is not None:
            self._usage = dict(delta.usage)
        return delta.text

    @property
    def text(self) -> str:
        """What was said so far."""
        return "".join(self._text)

    @property
    def thinking(self) -> str:
        """What was thought so far."""
        return "".join(self._thinking)

    def answer(self) -> Answer:
        """What the deltas add up to; ``finish_reason`` is "stopped" when the stream brought none."""
        usage = self._usage or {"completion_tokens": self._pieces, "estimated": True}
        tokens = usage.get("completion_tokens")
        span = self._last - self._first if self._first is not None else 0.0
        speed = (tokens - 1) / span if isinstance(tokens, int) and tokens > 1 and span > 0 else None
        speed = _told_speed(usage) or speed
        details = usage.get("completion_tokens_details")
        counted = details.get("reasoning_tokens") if isinstance(details, dict) else None
        return Answer(
            text=self.text,
            usage=usage,
            finish_reason=self._finish_reason or "stopped",
            time_to_first_token=self._first,
            tokens_per_second=speed,
            thinking=self.thinking,
            model=self._model,
            thinking_seconds=self._thought_until - self._thought_from if self._thought_from is not None else 0.0,
            thinking_tokens=counted if isinstance(counted, int) and counted else self._thoughts,
        )


def _told_speed(usage: Mapping[str, Any]) -> float | None:
    """Tokens per second by the server's own clock, which does not depend on when this process was given time to read:
    hosts of ours and llama-server tell it."""
    timings = usage.get("timings")
    if not isinstance(timings, dict):
        return None
    told, seconds = timings.get("predicted_per_second"), timings.get("decode_seconds")
    if isinstance(told, int | float) and told > 0:
        return float(told)
    tokens = usage.get("completion_tokens")
    if isinstance(seconds, int | float) and seconds > 0 and isinstance(tokens, int):
        return tokens / seconds
    return None


class Cleaner:
    """Makes pieces of foreign text harmless where a CRLF or a surrogate pair may be cut between two of them."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Clean ``piece``, holding back a last half."""
        text = self._held + piece
        self._held = ""
        if text and (text[-1] == "\r" or "\ud800" <= text[-1] <= "\udbff"):
            text, self._held = text[:-1], text[-1]
        return _joined(text)

    def end(self) -> str:
        """What was held back."""
        text, self._held = self._held, ""
        return _joined(text)


def _joined(text: str) -> str:
    if not text or text.isprintable():
        return text
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return clean(whole)
