"""One turn of a chat: the question is kept, the answer is streamed and kept while it grows.

Blocks until the answer is over, so front ends run it in a thread. A file of chats that cannot be written never stops
an answer; the turn says so and goes on. Several turns may run at once, with different endpoints.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tui.chat.answer import Answer, AnswerReader
from tui.chat.answer_writer import AnswerWriter
from tui.chat.client import ChatClient
from tui.chat.context_window import window
from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.cost import cost_of
from tui.chat.endpoint import Endpoint
from tui.chat.transcript_store import TranscriptStore
from tui.errors import EndpointError, HeftError, StoreError

Sink = Callable[[str, str], None]
"""Takes what came: its role ("thinking", "assistant" or "notice") and the text. Called from the turn's thread."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked. ``messages`` are the conversation so far and end with the question; ``question`` is set when it
    was not kept yet. What is new is kept beside the message ``beside`` (0: at the end). With ``go_on`` the last
    message, which is an answer, is continued. ``facts`` are kept with the conversation."""

    endpoint: Endpoint
    messages: tuple[Message, ...]
    parameters: Parameters
    system: str = ""
    conversation: int = 0
    question: Message | None = None
    beside: int = 0
    go_on: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TurnOver:
    """What came of it: the conversation as it is kept now (0 when it could not be), and the answer. ``endpoint_gone``
    says that the connection broke or was refused: the host may have died."""

    conversation: int
    messages: tuple[Message, ...]
    answer: Message
    not_kept: str = ""
    endpoint_gone: bool = False


def take_turn(
    open_store: Callable[[], TranscriptStore], turn: Turn, sink: Sink, stop: threading.Event, client: ChatClient
) -> TurnOver:
    """Ask, stream into ``sink`` until the end or ``stop``, and keep everything."""
    conversation, writer, not_kept = _begin(open_store, turn, stop)
    reader = AnswerReader()
    sent = window(turn.messages, turn.endpoint.context, turn.system, turn.parameters.max_tokens)
    problem, gone = "", False
    try:
        for delta in client.stream(_messages(turn, sent.messages), turn.parameters, stop, go_on=turn.go_on):
            reader.read(delta)
            for role, text in (("thinking", delta.thinking), ("assistant", delta.text), ("notice", delta.notice)):
                if text:
                    sink(role, text)
            if writer is not None and (delta.text or delta.thinking):
                writer.append(delta.text, delta.thinking)
    except HeftError as error:
        problem = " — ".join(part for part in (error.summary, error.hint) if part)
        gone = isinstance(error, EndpointError) and not hasattr(error, "status")
    answer = reader.answer()
    if "prompt_tokens" not in answer.usage:
        answer = replace(answer, usage={**answer.usage, "prompt_tokens": sent.tokens, "estimated": True})
    facts = _answer_facts(turn, answer, sent.left_out)
    state = MessageState.FAILED if problem else MessageState.STOPPED if stop.is_set() else MessageState.COMPLETE
    message = _message(turn, answer, state, problem, facts)
    if writer is not None:
        try:
            writer.finish(answer, state, problem, facts)
            message = replace(message, id=writer.message_id)
            kept = open_store().conversation(conversation).messages
            return TurnOver(conversation, kept, message, endpoint_gone=gone)
        except HeftError as error:
            not_kept = error.summary
    before = turn.messages[:-1] if turn.go_on else turn.messages
    return TurnOver(conversation, (*before, message), message, not_kept, gone)


def _messages(turn: Turn, messages: Sequence[Message]) -> list[Message]:
    """What is sent: the system prompt, and no empty messages or two of one role in a row, which templates refuse."""
    found = [Message("system", turn.system)] if turn.system else []
    for message in messages:
        if not message.content:
            continue
        if found and found[-1].role == message.role != "system":
            found[-1] = Message(message.role, f"{found[-1].content}\n\n{message.content}")
        else:
            found.append(Message(message.role, message.content))
    return found


def _answer_facts(turn: Turn, answer: Answer, left_out: int) -> dict[str, Any]:
    endpoint = turn.endpoint
    facts: dict[str, Any] = {
        "endpoint": endpoint.name,
        "model": answer.model or endpoint.model,
        "parameters": turn.parameters.chosen(),
    }
    facts |= {name: turn.facts[name] for name in ("build", "revision", "recipe") if turn.facts.get(name)}
    before = turn.messages[-1].facts if turn.go_on else {}
    if answer.thinking_seconds or before.get("thinking_seconds"):
        facts["thinking_seconds"] = round(answer.thinking_seconds + float(before.get("thinking_seconds") or 0), 3)
        facts["thinking_tokens"] = answer.thinking_tokens + int(before.get("thinking_tokens") or 0)
    cost = cost_of(endpoint, answer.usage)
    if cost is not None:
        facts["cost"] = round(cost.dollars + float(before.get("cost") or 0), 9)
        facts["cost_source"] = cost.source
    if left_out:
        facts["left_out"] = left_out
    return facts


def _message(turn: Turn, answer: Answer, state: MessageState, problem: str, facts: Mapping[str, Any]) -> Message:
    begun = turn.messages[-1] if turn.go_on else Message("assistant", "")
    return Message(
        "assistant",
        begun.content + answer.text,
        thinking=begun.thinking + answer.thinking,
        state=state,
        finish_reason=answer.finish_reason,
        usage=answer.usage,
        time_to_first_token=answer.time_to_first_token,
        tokens_per_second=answer.tokens_per_second,
        problem=problem,
        facts=facts,
    )


def _begin(
    open_store: Callable[[], TranscriptStore], turn: Turn, stop: threading.Event
) -> tuple[int, AnswerWriter | None, str]:
    """Keep the question and open the answer; on a file that cannot be written, the reason instead."""
    try:
        store = open_store()
        conversation = turn.conversation
        if not conversation:
            earlier: Sequence[Message] = [message for message in turn.messages if message is not turn.question]
            conversation = store.start(turn.endpoint.name, turn.parameters, facts=turn.facts, messages=earlier).id
        elif turn.beside:
            store.branch_before(conversation, turn.beside)
        if turn.question is not None:
            store.add(conversation, turn.question)
        store.set_endpoint(conversation, turn.endpoint.name, turn.facts)
        last = turn.messages[-1]
        if turn.go_on and last.id:
            return conversation, store.continue_answer(conversation, last, stop), ""
        return conversation, store.answer(conversation, {"endpoint": turn.endpoint.name}, stop), ""
    except StoreError as error:
        return turn.conversation, None, error.summary
