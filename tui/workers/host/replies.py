"""The shapes of the protocol's answers, whole and in pieces."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import Any

from tui.workers.host.desk import Ending
from tui.workers.host.text_stream import Chance, Piece


class Reply:
    """Makes the JSON of one answer of ``model``; ``chat`` chooses between the two shapes of the protocol."""

    def __init__(self, model: str, *, chat: bool) -> None:
        self._chat = chat
        self._head = {
            "id": ("chatcmpl-" if chat else "cmpl-") + secrets.token_hex(12),
            "created": int(time.time()),
            "model": model,
        }

    def opening(self, answers: int = 1) -> list[dict[str, Any]]:
        """The first events of a chat, which name the role of each of ``answers`` answers."""
        said = {"delta": {"role": "assistant", "content": ""}}
        return [self._chunk(said, index) for index in range(answers)] if self._chat else []

    def piece(self, piece: Piece) -> dict[str, Any]:
        """One event with text or thinking."""
        if not self._chat:
            return self._chunk({"text": piece.text}, piece.index, chances=piece.chances)
        delta = {"reasoning_content": piece.thinking, "content": piece.text}
        said = {"delta": {name: text for name, text in delta.items() if text}}
        return self._chunk(said, piece.index, chances=piece.chances)

    def ending(self, ending: Ending) -> list[dict[str, Any]]:
        """The events with the finish reasons."""
        said: dict[str, Any] = {"delta": {}} if self._chat else {"text": ""}
        return [self._chunk(said, index, reason) for index, reason in enumerate(ending.reasons)]

    def usage(self, ending: Ending) -> dict[str, Any]:
        """The last event, where the client asked for the counts."""
        return {**self._head, "object": self._object(".chunk"), "choices": [], **_counts(ending)}

    def whole(self, pieces: list[Piece], ending: Ending) -> dict[str, Any]:
        """The answers in one document."""
        choices = [
            self._choice([piece for piece in pieces if piece.index == index], index, reason)
            for index, reason in enumerate(ending.reasons)
        ]
        return {**self._head, "object": self._object(""), "choices": choices, **_counts(ending)}

    def _choice(self, pieces: list[Piece], index: int, reason: str) -> dict[str, Any]:
        text = "".join(piece.text for piece in pieces)
        thinking = "".join(piece.thinking for piece in pieces)
        said: dict[str, Any] = {"text": text}
        if self._chat:
            said = {"message": {"role": "assistant", "content": text}}
            if thinking:
                said["message"]["reasoning_content"] = thinking
        chances = [chance for piece in pieces for chance in piece.chances]
        return {"index": index, **said, "logprobs": self._logprobs(chances), "finish_reason": reason}

    def _chunk(
        self, said: dict[str, Any], index: int, reason: str | None = None, chances: Sequence[Chance] = ()
    ) -> dict[str, Any]:
        choice = {"index": index, **said, "logprobs": self._logprobs(chances), "finish_reason": reason}
        return {**self._head, "object": self._object(".chunk"), "choices": [choice]}

    def _logprobs(self, chances: Sequence[Chance]) -> dict[str, Any] | None:
        if not chances:
            return None
        if self._chat:
            rows = [
                {
                    **_token(each.text, each.logprob),
                    "top_logprobs": [_token(text, logprob) for text, logprob in each.others],
                }
                for each in chances
            ]
            return {"content": rows}
        return {
            "tokens": [each.text for each in chances],
            "token_logprobs": [each.logprob for each in chances],
            "top_logprobs": [dict(each.others) for each in chances],
            "text_offset": [],
        }

    def _object(self, suffix: str) -> str:
        return f"chat.completion{suffix}" if self._chat else "text_completion"


def _token(text: str, logprob: float) -> dict[str, Any]:
    """A token that is a part of a character only has no text of its own, and then no bytes are told."""
    return {"token": text, "logprob": logprob, "bytes": None if "\ufffd" in text else list(text.encode())}


def event(value: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


def _counts(ending: Ending) -> dict[str, Any]:
    return {
        "usage": {
            "prompt_tokens": ending.prompt_tokens,
            "completion_tokens": ending.completion_tokens,
            "total_tokens": ending.prompt_tokens + ending.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": ending.cached_tokens},
        },
        "timings": {
            "prefill_seconds": round(ending.prefill_seconds, 6),
            "decode_seconds": round(ending.decode_seconds, 6),
        },
    }
