"""Conversations on a real file: what is kept, when, and what happens to the answers of processes that died."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.patience import patient
from tui.chat.answer import Answer
from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.transcript_export import export_markdown
from tui.chat.transcript_store import UNDO_SECONDS, TranscriptStore
from tui.errors import NotFoundError, StoreError

Until = Callable[..., object]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[TranscriptStore]:
    store = TranscriptStore(tmp_path / "chats.db")
    yield store
    store.close()


def test_a_conversation_comes_back_as_it_was_said(store: TranscriptStore, tmp_path: Path) -> None:
    parameters = Parameters(temperature=0.2, seed=7, stop=("END",))
    begun = store.start("starter", parameters, facts={"model": "heft-starter", "revision": "abc"})
    store.add(begun.id, Message("user", "  What is\nGPTQ? "))
    writer = store.answer(begun.id)
    writer.append("A way ")
    writer.append("to quantize.", thinking="hm")
    writer.finish(Answer("", {"completion_tokens": 4}, "stop", 0.5, 20.0))
    store.close()
    read = TranscriptStore(tmp_path / "chats.db").conversation(begun.id)
    assert read.title == "What is GPTQ?"
    assert read.parameters == parameters
    assert read.facts == {"model": "heft-starter", "revision": "abc"}
    assert [(m.role, m.content, m.thinking, m.state) for m in read.messages] == [
        ("user", "  What is\nGPTQ? ", "", MessageState.COMPLETE),
        ("assistant", "A way to quantize.", "hm", MessageState.COMPLETE),
    ]
    assert read.messages[1].usage == {"completion_tokens": 4}
    assert (read.messages[1].time_to_first_token, read.messages[1].tokens_per_second) == (0.5, 20.0)


def test_the_file_is_private(store: TranscriptStore) -> None:
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_streaming_answer_is_on_the_disk_within_a_second_though_nothing_more_comes(
    store: TranscriptStore, until: Until
) -> None:
    conversation = store.start("x")
    writer = store.answer(conversation.id)
    writer.append("first piece")
    began = time.monotonic()
    other = sqlite3.connect(store.path)
    until(lambda: other.execute("SELECT content FROM message").fetchone()[0] == "first piece", 5)
    assert time.monotonic() - began < patient(1.5)
    assert other.execute("SELECT state FROM message").fetchone()[0] == "streaming"
    writer.finish(state=MessageState.STOPPED)
    assert store.conversation(conversation.id).messages[0].state is MessageState.STOPPED


def test_the_answer_of_a_killed_process_is_kept_and_marked(tmp_path: Path, until: Until) -> None:
    path = tmp_path / "chats.db"
    code = (
        "import sys, time; from pathlib import Path; from tui.chat.transcript_store import TranscriptStore\n"
        f"store = TranscriptStore(Path({str(path)!r})); c = store.start('x'); w = store.answer(c.id)\n"
        "w.append('half an ans'); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        until(lambda: path.exists() and _contents(path) == ["half an ans"], 20)
        live = TranscriptStore(path)
        assert live.conversation(1).messages[0].state is MessageState.STREAMING, "its writer lives: hands off"
        live.close()
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    message = TranscriptStore(path).conversation(1).messages[0]
    assert (message.content, message.state, message.finish_reason) == (
        "half an ans",
        MessageState.STOPPED,
        "interrupted",
    )


def _contents(path: Path) -> list[str]:
    try:
        with sqlite3.connect(path) as connection:
            return [row[0] for row in connection.execute("SELECT content FROM message")]
    except sqlite3.Error:
        return []


def test_deleting_can_be_undone_until_its_time_is_over(store: TranscriptStore, tmp_path: Path) -> None:
    kept, gone = store.start("x", title="kept"), store.start("x", title="gone")
    store.delete(gone.id)
    assert [item.title for item in store.conversations()] == ["kept"]
    with pytest.raises(NotFoundError):
        store.conversation(gone.id)
    store.restore(gone.id)
    assert {item.title for item in store.conversations()} == {"kept", "gone"}
    store.delete(gone.id)
    with sqlite3.connect(store.path) as raw:
        raw.execute("UPDATE conversation SET deleted = ? WHERE id = ?", (time.time() - UNDO_SECONDS - 1, gone.id))
    reopened = TranscriptStore(tmp_path / "chats.db")
    with pytest.raises(NotFoundError):
        reopened.restore(gone.id)
    assert reopened.conversation(kept.id).title == "kept"


def test_a_fork_goes_its_own_way(store: TranscriptStore) -> None:
    source = store.start("x", title="trunk")
    first = store.add(source.id, Message("user", "one"))
    store.add(source.id, Message("assistant", "two"))
    branch = store.fork(source.id, upto=first.id)
    store.add(branch.id, Message("assistant", "other"))
    assert [m.content for m in store.conversation(branch.id).messages] == ["one", "other"]
    assert [m.content for m in store.conversation(source.id).messages] == ["one", "two"]
    assert store.conversation(branch.id).forked_from == source.id


def test_asking_again_stands_beside_what_came_after(store: TranscriptStore) -> None:
    begun = store.start("x")
    store.add(begun.id, Message("user", "one"))
    second = store.add(begun.id, Message("assistant", "two"))
    store.add(begun.id, Message("user", "three"))
    store.branch_before(begun.id, second.id)
    assert [m.content for m in store.conversation(begun.id).messages] == ["one"]


def test_search_finds_any_part_of_a_word_in_any_script(store: TranscriptStore) -> None:
    begun = store.start("x", title="Straße")
    store.add(begun.id, Message("user", "quantization of 量子化 models, 100% ÄHNLICH"))
    for wanted in ("antiz", "子化", "100%", "ähnlich", "strasse"):
        assert [found.message.role for found in store.search(wanted)] == ["user"], wanted
    assert store.search("absent") == []
    assert store.search("  ") == []
    assert "量子化" in store.search("子化")[0].excerpt
    store.delete(begun.id)
    assert store.search("antiz") == []


def test_renaming_and_other_changes_of_a_missing_conversation_are_refused(store: TranscriptStore) -> None:
    begun = store.start("x", title="old")
    store.rename(begun.id, " new \n name ")
    assert store.conversation(begun.id).title == "new name"
    for change in (
        lambda: store.rename(99, "x"),
        lambda: store.delete(99),
        lambda: store.add(99, Message("user", "x")),
    ):
        with pytest.raises(NotFoundError):
            change()


def test_a_newer_schema_and_a_damaged_file_are_refused_with_words(tmp_path: Path) -> None:
    newer = tmp_path / "newer.db"
    TranscriptStore(newer).close()
    with sqlite3.connect(newer) as raw:
        raw.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match="newer Heft"):
        TranscriptStore(newer)
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="cannot be used") as caught:
        TranscriptStore(damaged)
    assert str(damaged) in caught.value.hint


def test_markdown_says_what_is_needed_to_ask_the_same_again(store: TranscriptStore) -> None:
    facts = {"model": "m", "revision": "r1", "recipe": "gptq-4bit-g128", "versions": {"torch": "2.13"}}
    begun = store.start("m", Parameters(seed=3, temperature=0.5), 'a "title": --- x', facts)
    store.add(begun.id, Message("user", "show code"))
    writer = store.answer(begun.id)
    writer.append("```python\nprint(1)", thinking="let me\n\nsee")
    writer.finish(state=MessageState.FAILED, problem="the host died")
    page = store.export_markdown(begun.id)
    head = page.split("---\n")[1]
    values = {name: json.loads(value) for name, _, value in (line.partition(": ") for line in head.splitlines())}
    assert values["title"] == 'a "title": --- x'
    assert (values["model"], values["revision"], values["recipe"], values["seed"]) == ("m", "r1", "gptq-4bit-g128", 3)
    assert values["parameters"] == {"temperature": 0.5, "seed": 3}
    assert values["versions"]["torch"] == "2.13" and values["versions"]["heft"]
    assert "> let me\n>\n> see" in page
    assert "```python\nprint(1)\n```\n\n*(failed: the host died)*" in page, "a cut fence is closed"


def test_json_holds_the_messages_in_the_protocols_shape(store: TranscriptStore) -> None:
    begun = store.start("m")
    store.add(begun.id, Message("user", "漢字"))
    text = store.export_json(begun.id)
    assert "漢字" in text
    assert json.loads(text)["messages"][0]["role"] == "user"


def test_a_closed_fence_stays_as_it_is(store: TranscriptStore) -> None:
    begun = store.start("m", messages=[Message("assistant", "````\n```\n````\nend")])
    assert export_markdown(begun).count("````") == 2


def test_two_processes_write_at_once(store: TranscriptStore) -> None:
    begun = store.start("x")
    code = (
        "import sys; from pathlib import Path; from tui.chat.transcript_store import TranscriptStore\n"
        "from tui.chat.conversation import Message\n"
        f"store = TranscriptStore(Path({str(store.path)!r}))\n"
        f"for n in range(50): store.add({begun.id}, Message('user', f'{{sys.argv[1]}}-{{n}}'))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, name], env=os.environ) for name in "ab"]
    assert [process.wait(60) for process in running] == [0, 0]
    assert len(store.conversation(begun.id).messages) == 100


def test_opening_the_file_again_keeps_the_locks_on_it(store: TranscriptStore) -> None:
    """Closing any descriptor of an open file drops SQLite's locks: who leaves next would delete the log."""
    begun = store.start("x")
    again = TranscriptStore(store.path)
    code = (
        "import sys; from pathlib import Path; from tui.chat.transcript_store import TranscriptStore\n"
        f"store = TranscriptStore(Path({str(store.path)!r}))\n"
        f"print(len(store.conversation({begun.id}).messages)); store.close()\n"
    )
    for said in range(1, 4):
        store.add(begun.id, Message("user", f"{said}"))
        seen = subprocess.run([sys.executable, "-c", code], env=os.environ, check=True, capture_output=True, text=True)
        assert seen.stdout.strip() == f"{said}"
    again.close()
