"""HTTP for one host: the protocol's paths on a Unix socket in a private folder, and on a port where one is asked for.

A connection's thread validates, queues and writes; it never touches the model. A client that goes away is noticed
while waiting as well as while writing, and its answer ends within a token.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import socketserver
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from tui import __version__
from tui.workers.host.answering import Answering, Client
from tui.workers.host.desk import Desk
from tui.workers.host.replies import Reply
from tui.workers.host.request import RefusedError, parse_request

BODY_LIMIT = 32_000_000
SOCKET_SECONDS = 60.0
"""A client that neither sends nor reads for so long is gone."""


class Host:
    """What the connections need: the desk once it is there, the model's names and the state."""

    def __init__(self, build: str, names: frozenset[str], key: str = "") -> None:
        self.build = build
        self.names = names
        self.key = key
        self.desk: Desk | None = None
        self.status: Callable[[], dict[str, Any]] = lambda: {"build": build, "loading": True}
        self.answering = 0
        self.created = int(time.time())

    def ready_desk(self) -> Desk:
        """The desk; raises ``RefusedError`` while the model loads."""
        if self.desk is None:
            raise RefusedError(503, f"{self.build} is loading", code="loading")
        return self.desk

    def drain(self, seconds: float) -> None:
        """Give the connections that still write up to ``seconds`` to say their last word."""
        deadline = time.monotonic() + seconds
        while self.answering > 0 and time.monotonic() < deadline:
            time.sleep(0.01)

    def counted(self, body: bytes) -> dict[str, Any]:
        """How many tokens the text in ``content`` (or ``prompt``) has; raises ``RefusedError``."""
        engine = self.ready_desk().engine
        try:
            value = json.loads(body)
            text = value.get("content") or value.get("prompt") or ""
        except (ValueError, AttributeError, RecursionError):
            text = None
        if not isinstance(text, str):
            raise RefusedError(400, "content must be a text", param="content", code="invalid_value")
        request = parse_request(json.dumps({"prompt": text}).encode(), chat=False)
        return {"count": len(engine.ids(request)) if text else 0}

    def models(self) -> dict[str, Any]:
        """The list of the one model, with what a client may want to know of it."""
        model: dict[str, Any] = {
            "id": self.build,
            "object": "model",
            "created": self.created,
            "owned_by": "heft",
        }
        if self.desk is not None:
            model["max_model_len"] = self.desk.engine.context
            model["chat_template"] = self.desk.engine.has_template
        return {"object": "list", "data": [model]}


class _UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _PortServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 32

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


def listen_on_socket(host: Host, path: Path) -> socketserver.BaseServer:
    """Serve on a Unix socket that only this user can open; a stale one is replaced. Raises ``OSError``."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    before = os.umask(0o177)
    try:
        server = _UnixServer(str(path), _handler(host, needs_key=False))
    finally:
        os.umask(before)
    threading.Thread(target=server.serve_forever, args=(0.1,), name="socket", daemon=True).start()
    return server


def listen_on_port(host: Host, port: int) -> socketserver.BaseServer:
    """Serve on a port of this machine, to whoever knows the key. Raises ``OSError`` when the port is taken."""
    server = _PortServer(("127.0.0.1", port), _handler(host, needs_key=True))
    threading.Thread(target=server.serve_forever, args=(0.1,), name="port", daemon=True).start()
    return server


def _handler(host: Host, *, needs_key: bool) -> type[BaseHTTPRequestHandler]:
    return type("Handler", (_Handler,), {"host": host, "needs_key": needs_key})


class _Handler(Client):
    protocol_version = "HTTP/1.1"
    server_version = f"heft/{__version__}"
    sys_version = ""
    timeout = SOCKET_SECONDS
    wbufsize = 0
    host: Host
    needs_key: bool

    def do_GET(self) -> None:
        """Health, models and status."""
        path = self.path.partition("?")[0]
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "/health": self._health,
            "/v1/models": self.host.models,
            "/v1/heft/status": self.host.status,
        }
        if path not in answers:
            return self.refuse(RefusedError(404, f"there is nothing at {path[:100]}", code="not_found"))
        if path != "/health" and not self._is_allowed():
            return None
        try:
            self.send(200, answers[path]())
        except RefusedError as error:
            self.refuse(error)
        return None

    def do_POST(self) -> None:
        """Answers, whole or streamed."""
        try:
            body = self._body()
            path = self.path.partition("?")[0]
            if path == "/tokenize":
                if self._is_allowed():
                    self.send(200, self.host.counted(body))
                return
            if path not in ("/v1/chat/completions", "/v1/completions"):
                raise RefusedError(404, f"there is nothing at {path[:100]}", code="not_found")
            if not self._is_allowed():
                return
            request = parse_request(body, chat=path == "/v1/chat/completions")
            if request.model and request.model not in self.host.names:
                raise RefusedError(
                    404,
                    f"this host serves {self.host.build}, not {request.model[:200]}",
                    param="model",
                    code="model_not_found",
                )
            desk = self.host.ready_desk()
            ticket = desk.submit(request)
        except RefusedError as error:
            self.refuse(error)
            return
        self.host.answering += 1
        try:
            Answering(self, desk, ticket, Reply(self.host.build, chat=request.is_chat), request).run()
        except OSError:
            self.close_connection = True
        finally:
            ticket.gone.set()
            self.host.answering -= 1

    def _health(self) -> dict[str, Any]:
        self.host.ready_desk()
        return {"status": "ok"}

    def _body(self) -> bytes:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit():
            self.close_connection = True
            raise RefusedError(411, "send the body with a Content-Length", code="length_required")
        if int(length) > BODY_LIMIT:
            self.close_connection = True
            raise RefusedError(413, f"the body has {length} bytes, {BODY_LIMIT} are read", code="body_too_large")
        return self.rfile.read(int(length))

    def _is_allowed(self) -> bool:
        given = self.headers.get("Authorization", "").encode()
        if not self.needs_key or hmac.compare_digest(given, f"Bearer {self.host.key}".encode()):
            return True
        self.refuse(RefusedError(401, "the key is missing or wrong", code="invalid_api_key"))
        return False

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged: they hold what people say."""

    def address_string(self) -> str:
        """A Unix socket's client has no address."""
        return "local"
