"""Servers of other programs, played by scripts: what they are told apart by, and what they tell of their models."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from tests.chat.scripted_server import Seen, Step, scripted
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import EndpointRefusedError, ModelUnknownError
from tui.chat.ollama import pull, unload
from tui.chat.probe import addresses, find_running, known_endpoint, probe

MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}
SERVERS: dict[str, dict[str, Any]] = {
    "ollama": {
        "/v1/models": {"data": [{"id": "qwen3:0.6b"}, {"id": "m"}]},
        "/api/version": {"version": "0.13.1"},
        "/api/ps": {"models": [{"name": "qwen3:0.6b", "context_length": 4096}]},
        "/api/tags": {"models": [{"name": "qwen3:0.6b", "size": 523_000_000}, {"name": "m", "size": 9}]},
    },
    "lmstudio": {
        "/v1/models": MODELS,
        "/api/v0/models": {"data": [{"id": "m", "state": "loaded", "loaded_context_length": 8192}]},
    },
    "llama-server": {"/v1/models": MODELS, "/props": {"default_generation_settings": {"n_ctx": 2048}}},
    "vllm": {"/v1/models": {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 32768}]}},
    "textgen": {"/v1/models": MODELS, "/v1/internal/model/info": {"model_name": "m"}},
    "heft": {"/v1/models": {"data": [{"id": "m", "owned_by": "heft", "max_model_len": 1024}]}},
    "": {"/v1/models": MODELS},
}


def playing(pages: dict[str, Any]) -> Any:
    def script(seen: Seen) -> list[Step]:
        if seen.path not in pages:
            return [b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"]
        body = json.dumps(pages[seen.path]).encode()
        return [
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        ]

    return script


@pytest.mark.parametrize(
    ("kind", "context"),
    [("ollama", 4096), ("lmstudio", 8192), ("llama-server", 2048), ("vllm", 32768), ("heft", 1024), ("textgen", None)],
)
def test_servers_are_told_apart_and_their_context_is_known(kind: str, context: int | None) -> None:
    with scripted(playing(SERVERS[kind])) as server:
        running = probe(Endpoint("x", server.address))
        assert running.kind == kind and running.models[0].context == context
        endpoint = known_endpoint(Endpoint("x", server.address))
    assert (endpoint.kind, endpoint.model, endpoint.context) == (kind, running.models[0].id, context)


def test_an_unknown_server_is_a_plain_one() -> None:
    with scripted(playing(SERVERS[""])) as server:
        running = probe(Endpoint("x", server.address))
    assert running.kind == "" and [one.id for one in running.models] == ["m"]


def test_ollama_tells_what_is_loaded_and_how_large_it_is() -> None:
    with scripted(playing(SERVERS["ollama"])) as server:
        first, second = probe(Endpoint("x", server.address)).models
    assert (first.loaded, first.bytes, second.loaded) == (True, 523_000_000, False)


def test_who_does_not_answer_is_not_found_and_who_refuses_says_why() -> None:
    with scripted(playing({})) as server:
        assert find_running([server.address, "http://127.0.0.1:9/v1"]) == []
        with pytest.raises(EndpointRefusedError):
            probe(Endpoint("x", server.address))


def test_the_usual_addresses_and_ollama_host_are_looked_at() -> None:
    assert "http://127.0.0.1:11434/v1" in addresses({}) and "http://127.0.0.1:1234/v1" in addresses({})
    assert addresses({"OLLAMA_HOST": "box"})[0] == "http://box:11434/v1"
    assert addresses({"OLLAMA_HOST": "0.0.0.0:8099"})[0] == "http://127.0.0.1:8099/v1"
    assert addresses({"OLLAMA_HOST": "https://box/"})[0] == "https://box:11434/v1"


def lines(*rows: dict[str, Any]) -> list[Step]:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"
    return [head, *(json.dumps(row).encode() + b"\n" for row in rows)]


def test_ollama_pulls_with_progress() -> None:
    rows = (
        {"status": "pulling manifest"},
        {"status": "pulling abc", "total": 10, "completed": 4},
        {"status": "success"},
    )
    with scripted(lines(*rows)) as server:
        pulled = list(pull(Endpoint("o", server.address), "qwen3"))
    assert [(one.status, one.done, one.total) for one in pulled] == [
        ("pulling manifest", 0, 0),
        ("pulling abc", 4, 10),
        ("success", 0, 0),
    ]
    assert server.seen[0].path == "/api/pull" and server.seen[0].body["model"] == "qwen3"


def test_a_pull_that_breaks_off_or_is_refused_is_an_error_and_one_that_is_stopped_is_none() -> None:
    with (
        scripted(lines({"error": "pull model manifest: file does not exist"})) as server,
        pytest.raises(ModelUnknownError, match="does not exist"),
    ):
        list(pull(Endpoint("o", server.address), "nonsense"))
    with scripted(lines({"status": "pulling abc"})) as server, pytest.raises(Exception, match="in the middle"):
        list(pull(Endpoint("o", server.address), "qwen3"))
    stop = threading.Event()
    with scripted([*lines({"status": "pulling abc"}), "wait"]) as server:
        for _ in pull(Endpoint("o", server.address), "qwen3", stop):
            stop.set()


def test_ollama_unloads() -> None:
    with scripted(playing({"/api/generate": {"done": True}})) as server:
        unload(Endpoint("o", server.address), "qwen3")
    assert server.seen[0].body == {"model": "qwen3", "keep_alive": 0}
