"""An endpoint that speaks the OpenAI protocol over HTTP: it streams what the test tells it to say."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class TalkingEndpoint:
    """Answers every chat with ``pieces``; ``hold`` keeps the stream open after them until it is set."""

    def __init__(
        self, pieces: Sequence[str], *, thinking: Sequence[str] = (), status: int = 200, pause: float = 0.0
    ) -> None:
        self.pieces = list(pieces)
        self.thinking = list(thinking)
        self.status = status
        self.pause = pause
        self.problem = "the model is asleep"
        self.broken = False
        self.hold: threading.Event | None = None
        self.asked: list[dict[str, Any]] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                endpoint._reply(self, 200, {"object": "list", "data": [{"id": "talker", "object": "model"}]})

            def do_POST(self) -> None:
                endpoint._answer(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def close(self) -> None:
        """Stop."""
        if self.hold:
            self.hold.set()
        self._server.shutdown()
        self._server.server_close()

    def break_off(self) -> None:
        """Die in the middle of the answer that is held."""
        self.broken = True
        if self.hold:
            self.hold.set()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers["Content-Length"])
        self.asked.append(json.loads(handler.rfile.read(length)))
        if self.status != 200:
            self._reply(handler, self.status, {"error": {"message": self.problem}})
            return
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.close_connection = True
        try:
            for name, pieces in (("reasoning_content", self.thinking), ("content", self.pieces)):
                for piece in pieces:
                    self._send(handler, {"choices": [{"index": 0, "delta": {name: piece}}]})
                    time.sleep(self.pause)
            if self.hold is not None:
                self.hold.wait(30)
            if self.broken:
                return
            self._send(handler, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
            usage = {"prompt_tokens": 7, "completion_tokens": len(self.pieces), "total_tokens": 7 + len(self.pieces)}
            self._send(handler, {"choices": [], "usage": usage})
            handler.wfile.write(b"data: [DONE]\n\n")
        except OSError:
            pass  # the reader went away, which is what stopping does

    @staticmethod
    def _reply(handler: BaseHTTPRequestHandler, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, chunk: dict[str, Any]) -> None:
        chunk = {"id": "c", "object": "chat.completion.chunk", "model": "talker", **chunk}
        handler.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        handler.wfile.flush()
