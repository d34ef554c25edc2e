"""What of a conversation is sent when its model cannot read all of it: the newest messages that fit, and never less
than the last question. What is left out stays on the disk and on the screen.

Tokens are known where an answer was counted; the rest is estimated at the rate of the conversation itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.chat.conversation import Message

BYTES_PER_TOKEN = 3.8
"""Of UTF-8, where nothing of the conversation was counted yet; English text of the usual vocabularies."""

ROLE_TOKENS = 5
"""What a template adds around a message."""

ANSWER_TOKENS = 512
"""Room that is kept for an answer whose length is not limited, or a quarter of a small context."""


@dataclass(frozen=True, slots=True)
class Window:
    """``messages`` are sent, the first ``left_out`` of the conversation are not; ``tokens`` is about what is sent."""

    messages: tuple[Message, ...]
    left_out: int
    tokens: int


def counted_tokens(messages: Sequence[Message]) -> int | None:
    """Tokens of the conversation up to and with its last counted answer; None when nobody counted."""
    place, tokens = _last_count(messages)
    return None if place < 0 else tokens


def estimate_tokens(text: str, bytes_per_token: float = BYTES_PER_TOKEN) -> int:
    """About how many tokens ``text`` has."""
    return round(len(text.encode("utf-8", "replace")) / bytes_per_token) if text else 0


def bytes_per_token(messages: Sequence[Message]) -> float:
    """UTF-8 bytes that a token of this conversation takes, from what was counted of it."""
    place, tokens = _last_count(messages)
    said = sum(len(message.content.encode("utf-8", "replace")) for message in messages[: place + 1])
    spent = tokens - ROLE_TOKENS * (place + 1)
    return min(8.0, max(1.0, said / spent)) if place >= 0 and spent > 20 and said else BYTES_PER_TOKEN


def used_tokens(messages: Sequence[Message], system: str = "") -> int:
    """About how many tokens the whole conversation has."""
    place, tokens = _last_count(messages)
    rate = bytes_per_token(messages)
    if place < 0:
        tokens = estimate_tokens(system, rate) + (ROLE_TOKENS if system else 0)
    return tokens + sum(estimate_tokens(message.content, rate) + ROLE_TOKENS for message in messages[place + 1 :])


def window(messages: Sequence[Message], context: int | None, system: str = "", max_tokens: int | None = None) -> Window:
    """The newest messages that leave room for an answer of ``max_tokens`` in ``context`` tokens (None: no limit is
    known). What is left out ends before a question, so that the rest begins with one."""
    total = used_tokens(messages, system)
    if context is None:
        return Window(tuple(messages), 0, total)
    room = context - min(max_tokens or ANSWER_TOKENS, max(1, context // 4))
    rate = bytes_per_token(messages)
    left_out = 0
    questions = [place for place, message in enumerate(messages) if message.role == "user"]
    for place in questions[1:]:
        if total <= room:
            break
        total -= sum(estimate_tokens(message.content, rate) + ROLE_TOKENS for message in messages[left_out:place])
        left_out = place
    return Window(tuple(messages[left_out:]), left_out, max(0, total))


def _last_count(messages: Sequence[Message]) -> tuple[int, int]:
    """Place of the last answer that a server counted with the whole conversation before it, and the tokens up to it."""
    for place in range(len(messages) - 1, -1, -1):
        usage = messages[place].usage
        prompt, tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
        trusted = not usage.get("estimated") and not messages[place].facts.get("left_out")
        if trusted and isinstance(prompt, int) and isinstance(tokens, int):
            return place, prompt + tokens
    return -1, 0
