"""Servers of other programs in the list of who answers: chat with one, let Ollama pull and unload."""

from __future__ import annotations

import json
import time

import pytest

from tests.chat.scripted_server import END, HEAD, Seen, Step, chunk, scripted
from tests.ui.conftest import idle, screen_text
from tui.ui.app import HeftApp
from tui.ui.panes.chat_pane import ChatPane

PAGES = {
    "/v1/models": {"data": [{"id": "qwen3:0.6b"}]},
    "/api/version": {"version": "0.13.1"},
    "/api/ps": {"models": [{"name": "qwen3:0.6b", "context_length": 4096}]},
    "/api/tags": {"models": [{"name": "qwen3:0.6b", "size": 523_000_000}]},
    "/api/generate": {"done": True},
}


def ollama(seen: Seen) -> list[Step]:
    if seen.path == "/v1/chat/completions":
        return [HEAD, chunk("I am a llama."), END]
    if seen.path == "/api/pull" and seen.body["model"] == "endless":
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
        return [head, json.dumps({"status": "pulling abc", "total": 10, "completed": 5}).encode() + b"\n", "wait"]
    if seen.path == "/api/pull":
        rows = ({"status": "pulling abc", "total": 10, "completed": 5}, {"status": "success"})
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
        return [head, *(json.dumps(row).encode() + b"\n" for row in rows)]
    body = json.dumps(PAGES.get(seen.path, {})).encode()
    return [b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)]


async def test_ollama_is_found_answers_pulls_and_unloads(app: HeftApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.chat.probe.LOCAL_SERVERS", ())
    with scripted(ollama) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.address.removesuffix("/v1"))
        async with app.run_test(size=(140, 50), notifications=True) as pilot:
            await idle(pilot)
            await pilot.press("4", "e")
            await idle(pilot, lambda: "Ollama, loaded, 523 MB" in screen_text(app))
            await pilot.press(*"qwen", "enter")
            await idle(pilot, lambda: app.endpoint is not None and app.endpoint.kind == "ollama")
            assert "qwen3:0.6b" in screen_text(app) and "of 4,096 tokens" in screen_text(app)
            await pilot.press(*"Who?", "enter")
            await idle(pilot, lambda: "I am a llama." in screen_text(app) and not app.query_one(ChatPane).streaming)
            await pilot.press("escape", "e")
            await idle(pilot, lambda: "loaded" in screen_text(app) and "Ollama," in screen_text(app))
            await pilot.press("delete")
            await idle(pilot, lambda: any("has unloaded qwen3:0.6b" in note.text for note in app.notes))
            await pilot.press("escape", "e")
            await idle(pilot, lambda: "Ollama," in screen_text(app))
            await pilot.press(*"gemma3:1b")
            await idle(pilot, lambda: "let Ollama pull it" in screen_text(app))
            await pilot.press("enter")
            await idle(pilot, lambda: app.endpoint is not None and app.endpoint.model == "gemma3:1b")
        asked = [seen.body for seen in server.seen if seen.path in ("/api/pull", "/api/generate")]
    assert asked == [{"model": "qwen3:0.6b", "keep_alive": 0}, {"model": "gemma3:1b", "stream": True}]


async def test_a_pull_can_be_stopped(app: HeftApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.chat.probe.LOCAL_SERVERS", ())
    with scripted(ollama) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.address.removesuffix("/v1"))
        async with app.run_test(size=(140, 50), notifications=True) as pilot:
            await idle(pilot)
            await pilot.press("4", "e")
            await idle(pilot, lambda: "Ollama, loaded, 523 MB" in screen_text(app))
            await pilot.press(*"endless")
            await idle(pilot, lambda: "let Ollama pull it" in screen_text(app))
            await pilot.press("enter")
            deadline = time.monotonic() + 20
            while "50% of 10 B; esc stops it" not in screen_text(app):
                assert time.monotonic() < deadline, screen_text(app)
                await pilot.pause()
            await pilot.press("escape")
            await idle(pilot, lambda: any("endless is not pulled any further" in note.text for note in app.notes))
            assert not app.query_one(ChatPane).pulling and "esc stops it" not in screen_text(app)
            assert app.endpoint is None
