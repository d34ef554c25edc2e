"""What is said: messages, the parameters of an answer, and a conversation. Frozen, so that they may cross threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from typing import Any


class MessageState(StrEnum):
    """Where a message stands; an answer that did not end by itself keeps its text and says so."""

    STREAMING = "streaming"
    COMPLETE = "complete"
    STOPPED = "stopped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``role`` is "system", "user" or "assistant". ``thinking`` is what a reasoning model wrote before its
    answer; it is kept apart and never sent back. ``usage`` counts tokens, the two times are in seconds. ``versions``
    are the ids of all messages at this place of the conversation, this one among them, oldest first. ``facts`` tell
    what made an answer: endpoint, model, seconds of thinking, cost in US dollars, parameters."""

    role: str
    content: str
    thinking: str = ""
    id: int = 0
    state: MessageState = MessageState.COMPLETE
    finish_reason: str = ""
    usage: Mapping[str, Any] = field(default_factory=dict)
    time_to_first_token: float | None = None
    tokens_per_second: float | None = None
    problem: str = ""
    created: datetime | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    versions: tuple[int, ...] = ()

    @property
    def is_streaming(self) -> bool:
        """Somebody writes it now: this process or another one."""
        return self.state is MessageState.STREAMING


@dataclass(frozen=True, slots=True)
class Parameters:
    """How an answer is drawn. None (and the empty tuple) leaves a choice to the endpoint and is not sent."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    repetition_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None

    def chosen(self) -> dict[str, Any]:
        """Only what was chosen, as plain values."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {
            name: list(value) if name == "stop" else value for name, value in values.items() if value not in (None, ())
        }

    @classmethod
    def from_chosen(cls, values: Mapping[str, Any]) -> Parameters:
        """The reverse of ``chosen``; names that this version does not know are left out."""
        known = {item.name for item in fields(cls)}
        kept: dict[str, Any] = {name: value for name, value in values.items() if name in known}
        if "stop" in kept:
            kept["stop"] = tuple(kept["stop"])
        return cls(**kept)


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it was when it was read. ``facts`` tell what answered: model, build, revision, recipe,
    versions. ``messages`` are those of the branch that is shown; they may be left empty in lists, where
    ``message_count`` holds all the same."""

    id: int
    title: str
    endpoint: str
    messages: tuple[Message, ...]
    parameters: Parameters
    created: datetime
    updated: datetime
    facts: Mapping[str, Any] = field(default_factory=dict)
    forked_from: int | None = None
    message_count: int = 0
