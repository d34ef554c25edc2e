"""One turn: what is sent, what is kept, and what is told when it goes wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.chat.scripted_server import END, HEAD, chunk, scripted
from tui.chat.client import ChatClient
from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.transcript_store import TranscriptStore
from tui.chat.turn import Turn, TurnOver, take_turn
from tui.errors import StoreError

QUESTION = Message("user", "q")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TranscriptStore]:
    store = TranscriptStore(tmp_path / "chats.db")
    yield store
    store.close()


def usage(prompt: int, tokens: int) -> bytes:
    value = {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": tokens}}
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def taken(store: TranscriptStore, script: list[Any], **more: Any) -> tuple[TurnOver, list[tuple[str, str]], Any]:
    came: list[tuple[str, str]] = []
    with scripted(script) as server:
        endpoint = replace(Endpoint("lab", server.address, "m"), **more.pop("endpoint", {}))
        turn = Turn(endpoint, more.pop("messages", (QUESTION,)), Parameters(seed=7), question=QUESTION, **more)
        over = take_turn(
            lambda: store, turn, lambda role, text: came.append((role, text)), threading.Event(), ChatClient(endpoint)
        )
    return over, came, server.seen[0].body


def test_question_and_answer_are_kept_with_what_made_them(store: TranscriptStore) -> None:
    script = [HEAD, chunk(delta={"reasoning_content": "hm"}), 0.05, chunk("an answer"), usage(9, 2), END]
    facts = {"build": "b", "revision": "r", "system": "Be brief."}
    over, came, body = taken(
        store, script, system="Be brief.", facts=facts, endpoint={"price_in": 1e6, "price_out": 1e6, "own_price": True}
    )
    assert came == [("thinking", "hm"), ("assistant", "an answer")]
    assert body["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "q"}]
    kept = store.conversation(over.conversation)
    assert kept.facts == facts and [one.content for one in kept.messages] == ["q", "an answer"]
    made = kept.messages[1].facts
    assert (made["endpoint"], made["build"], made["revision"], made["parameters"]) == ("lab", "b", "r", {"seed": 7})
    assert made["cost"] == 11.0 and made["thinking_tokens"] == 1 and 0.02 < made["thinking_seconds"] < 5


def test_the_oldest_turns_are_left_out_and_that_is_kept(store: TranscriptStore) -> None:
    long = [Message("user", "x" * 900), Message("assistant", "y" * 900)]
    over, _, body = taken(store, [HEAD, chunk("a"), END], messages=(*long, QUESTION), endpoint={"context": 400})
    assert body["messages"] == [{"role": "user", "content": "q"}]
    assert over.answer.facts["left_out"] == 2
    assert len(store.conversation(over.conversation).messages) == 4, "nothing of it is lost"


def test_two_questions_in_a_row_are_sent_as_one(store: TranscriptStore) -> None:
    _, _, body = taken(store, [HEAD, chunk("a"), END], messages=(Message("user", "first"), QUESTION))
    assert body["messages"] == [{"role": "user", "content": "first\n\nq"}]


def test_tokens_that_nobody_counted_are_estimated_and_marked(store: TranscriptStore) -> None:
    over, _, _ = taken(store, [HEAD, chunk("a"), chunk("b"), END])
    assert over.answer.usage["estimated"] and over.answer.usage["completion_tokens"] == 2
    assert over.answer.usage["prompt_tokens"] > 0


def test_a_host_that_dies_leaves_what_came(store: TranscriptStore) -> None:
    over, _, _ = taken(store, [HEAD, chunk("half"), "die"])
    assert over.endpoint_gone and over.answer.state is MessageState.FAILED
    assert store.conversation(over.conversation).messages[-1].content == "half"


def test_an_answer_that_cannot_be_kept_still_comes(store: TranscriptStore) -> None:
    def broken() -> TranscriptStore:
        raise StoreError("the disk is full")

    with scripted([HEAD, chunk("an answer"), END]) as server:
        endpoint = Endpoint("lab", server.address, "m")
        turn = Turn(endpoint, (QUESTION,), Parameters(), question=QUESTION)
        over = take_turn(broken, turn, lambda role, text: None, threading.Event(), ChatClient(endpoint))
    assert over.answer.content == "an answer" and over.not_kept == "the disk is full"
