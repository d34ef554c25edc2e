"""``heft chats`` and ``heft endpoints`` on a real file and a real endpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.conversation import Message
from tui.chat.transcript_store import TranscriptStore
from tui.cli import main
from tui.paths import Paths


def run(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> object:
    assert main([*words, "--json"]) == code
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_chat_is_kept_listed_found_exported_and_imported(
    paths: Paths, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    talker = TalkingEndpoint(["Four ", "bits."])
    try:
        answer = run(capsys, "chat", talker.url, "How many?", "--keep", "--model", "talker")
    finally:
        talker.close()
    assert isinstance(answer, dict) and answer["text"] == "Four bits." and answer["cost"] is None
    chat = str(answer["conversation"])
    listed = run(capsys, "chats")
    assert isinstance(listed, list) and (listed[0]["title"], listed[0]["messages"]) == ("How many?", 2)
    found = run(capsys, "chats", "search", "bits")
    assert isinstance(found, list) and found[0]["role"] == "assistant"
    file = tmp_path / "chat.json"
    run(capsys, "chats", "export", chat, str(file))
    copy = run(capsys, "chats", "import", str(file))
    assert isinstance(copy, dict) and copy["messages"] == 2 and str(copy["id"]) != chat
    shown = run(capsys, "chats", "show", chat)
    assert isinstance(shown, dict) and [one["content"] for one in shown["messages"]] == ["How many?", "Four bits."]


def test_renaming_forking_deleting_and_restoring(paths: Paths, capsys: pytest.CaptureFixture[str]) -> None:
    store = TranscriptStore(paths.chats)
    chat = store.start("x", title="old", messages=[Message("user", "q")]).id
    store.close()
    renamed = run(capsys, "chats", "rename", str(chat), "new")
    assert isinstance(renamed, dict) and renamed["title"] == "new"
    forked = run(capsys, "chats", "fork", str(chat))
    assert isinstance(forked, dict) and forked["forked_from"] == chat
    run(capsys, "chats", "delete", str(chat))
    run(capsys, "chats", "show", str(chat), code=3)
    gone = run(capsys, "chats", "--deleted")
    assert isinstance(gone, list) and [one["id"] for one in gone] == [chat]
    run(capsys, "chats", "restore", str(chat))
    run(capsys, "chats", "show", str(chat))


def test_endpoints_say_what_runs_and_which_keys_are_missing(
    paths: Paths, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    talker = TalkingEndpoint(["x"])
    monkeypatch.setattr("tui.chat.probe.LOCAL_SERVERS", ())
    monkeypatch.setenv("OLLAMA_HOST", talker.url.removesuffix("/v1"))
    monkeypatch.setenv("MISTRAL_API_KEY", "secret-of-mistral")
    try:
        rows = run(capsys, "endpoints")
        models = run(capsys, "endpoints", "models", talker.url)
    finally:
        talker.close()
    assert isinstance(rows, list) and rows[0]["models"] == ["talker"]
    states = {row["name"]: row["state"] for row in rows}
    assert states["OpenAI"] == "set OPENAI_API_KEY" and states["Mistral"] == "key found"
    assert "secret-of-mistral" not in json.dumps(rows)
    assert models == [{"id": "talker", "context": None, "loaded": None, "bytes": None}]
    run(capsys, "endpoints", "models", "openai", code=4)
