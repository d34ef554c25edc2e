"""A conversation as a tree: versions stand side by side, nothing is overwritten, what is removed comes back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.transcript_schema import MIGRATIONS
from tui.chat.transcript_store import TranscriptStore
from tui.errors import NotFoundError, UsageError


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TranscriptStore]:
    store = TranscriptStore(tmp_path / "chats.db")
    yield store
    store.close()


def said(store: TranscriptStore, conversation: int) -> list[str]:
    return [message.content for message in store.conversation(conversation).messages]


def talk(store: TranscriptStore, *texts: str) -> tuple[int, list[Message]]:
    begun = store.start("x")
    roles = ("user", "assistant")
    return begun.id, [store.add(begun.id, Message(roles[n % 2], text)) for n, text in enumerate(texts)]


def test_another_answer_stands_beside_the_first_and_both_keep_what_followed(store: TranscriptStore) -> None:
    chat, (_, first, _, _) = talk(store, "q1", "a1", "q2", "a2")
    store.branch_before(chat, first.id)
    other = store.add(chat, Message("assistant", "a1 again"))
    assert said(store, chat) == ["q1", "a1 again"]
    shown = store.conversation(chat).messages[-1]
    assert shown.versions == (first.id, other.id)
    store.add(chat, Message("user", "q3"))
    store.show_version(chat, first.id)
    assert said(store, chat) == ["q1", "a1", "q2", "a2"]
    store.show_version(chat, other.id)
    assert said(store, chat) == ["q1", "a1 again", "q3"]


def test_the_first_question_can_be_asked_otherwise(store: TranscriptStore) -> None:
    chat, (question, _) = talk(store, "q", "a")
    store.branch_before(chat, question.id)
    store.add(chat, Message("user", "q otherwise"))
    assert said(store, chat) == ["q otherwise"]
    assert len(store.conversation(chat).messages[0].versions) == 2


def test_a_removed_message_is_skipped_and_comes_back_in_its_place(store: TranscriptStore) -> None:
    chat, (_, answer, _, _) = talk(store, "q1", "a1", "q2", "a2")
    store.remove_one(chat, answer.id)
    assert said(store, chat) == ["q1", "q2", "a2"]
    assert store.search("a1") == []
    store.restore_one(chat, answer.id)
    assert said(store, chat) == ["q1", "a1", "q2", "a2"]


def test_removing_the_last_version_shows_the_one_beside_it(store: TranscriptStore) -> None:
    chat, (_, first) = talk(store, "q", "a")
    store.branch_before(chat, first.id)
    second = store.add(chat, Message("assistant", "b"))
    store.remove_one(chat, second.id)
    assert said(store, chat) == ["q", "a"]
    store.restore_one(chat, second.id)
    assert said(store, chat) == ["q", "b"]


def test_a_fork_copies_the_branch_that_is_shown(store: TranscriptStore) -> None:
    chat, (_, first) = talk(store, "q", "a")
    store.branch_before(chat, first.id)
    store.add(chat, Message("assistant", "b"))
    copy = store.fork(chat)
    assert [message.content for message in copy.messages] == ["q", "b"]


def test_a_message_of_another_conversation_is_refused(store: TranscriptStore) -> None:
    chat, _ = talk(store, "q")
    _, (foreign,) = talk(store, "other")
    for change in (store.branch_before, store.show_version, store.remove_one):
        with pytest.raises(NotFoundError):
            change(chat, foreign.id)


def test_an_answer_goes_on_where_it_was_cut(store: TranscriptStore) -> None:
    chat, (_, answer) = talk(store, "q", "half an ")
    writer = store.continue_answer(chat, answer)
    assert store.conversation(chat).messages[-1].is_streaming
    writer.append("answer")
    writer.finish()
    message = store.conversation(chat).messages[-1]
    assert (message.content, message.state, message.id) == ("half an answer", MessageState.COMPLETE, answer.id)


def test_chats_of_the_first_version_become_one_branch(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as raw:
        for statement in MIGRATIONS[0]:
            raw.execute(statement)
        raw.execute("PRAGMA user_version = 1")
        raw.execute("INSERT INTO conversation (title, endpoint, created, updated) VALUES ('old', 'x', 1, 1)")
        for role, text in (("user", "q"), ("assistant", "a"), ("user", "q2")):
            raw.execute(
                "INSERT INTO message (conversation, role, content, state, created) VALUES (1, ?, ?, 'complete', 1)",
                (role, text),
            )
    store = TranscriptStore(path)
    assert said(store, 1) == ["q", "a", "q2"]
    store.add(1, Message("assistant", "a2"))
    assert said(store, 1) == ["q", "a", "q2", "a2"]


def test_another_process_can_ask_for_the_end(store: TranscriptStore, tmp_path: Path, until: object) -> None:
    import threading

    chat, _ = talk(store, "q")
    stop = threading.Event()
    writer = store.answer(chat, stop=stop)
    writer.append("so far")
    TranscriptStore(tmp_path / "chats.db").ask_stop(writer.message_id)
    assert stop.wait(5), "it looks with every write"
    writer.finish(state=MessageState.STOPPED)
    assert store.conversation(chat).messages[-1].content == "so far"


def test_json_comes_back_as_it_went(store: TranscriptStore) -> None:
    begun = store.start("m", title="t", facts={"system": "Be brief.", "model": "m", "revision": "r"})
    store.add(begun.id, Message("user", "q"))
    store.add(begun.id, Message("assistant", "a", thinking="hm", usage={"completion_tokens": 3}, facts={"cost": 0.1}))
    copy = store.import_text(store.export_json(begun.id))
    assert copy.id != begun.id and (copy.title, copy.endpoint) == ("t", "m")
    assert copy.facts["system"] == "Be brief." and copy.facts["revision"] == "r"
    assert [(m.role, m.content, m.thinking) for m in copy.messages] == [("user", "q", ""), ("assistant", "a", "hm")]
    assert copy.messages[1].usage == {"completion_tokens": 3} and copy.messages[1].facts == {"cost": 0.1}


def test_markdown_comes_back_as_it_went(store: TranscriptStore) -> None:
    begun = store.start(
        "m", Parameters(temperature=0.5, stop=("x",)), 'a "t"', {"system": "Be\n## User\nbrief.", "model": "m"}
    )
    texts = [
        ("user", "# A heading\n\n## User\n\nnot another message\n\\## Assistant"),
        ("assistant", "> a quote, and no thinking\n\n```\n---\n```"),
        ("user", "of old\n\n*(stopped)*"),
    ]
    for role, content in texts:
        store.add(begun.id, Message(role, content))
    store.add(begun.id, Message("assistant", "> quoted", thinking="hm\n\n> so"))
    writer = store.answer(begun.id)
    writer.append("so far")
    writer.finish(state=MessageState.FAILED, problem="the host died")
    copy = store.import_text(store.export_markdown(begun.id))
    assert copy.id != begun.id and (copy.title, copy.endpoint) == ('a "t"', "m")
    assert copy.parameters == Parameters(temperature=0.5, stop=("x",))
    assert copy.facts["system"] == "Be\n## User\nbrief."
    assert [(m.role, m.content) for m in copy.messages[:3]] == texts
    assert [(m.content, m.thinking) for m in copy.messages[3:]] == [("> quoted", "hm\n\n> so"), ("so far", "")]
    last = copy.messages[-1]
    assert (last.state, last.problem) == (MessageState.FAILED, "the host died")
    for broken in ("---\ntitle: 1\n", "---\ntitle: 1\n---\nno message", "nothing"):
        with pytest.raises(UsageError):
            store.import_text(broken)
