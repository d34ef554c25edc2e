"""Writes one answer to one client, whole or streamed, and notices when the client goes away."""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

from tui.workers.host.desk import Desk, Ending, Ticket
from tui.workers.host.replies import Reply, event
from tui.workers.host.request import RefusedError, Request
from tui.workers.host.text_stream import Piece

PATIENCE = 0.1
"""Seconds between two looks at whether a waiting client is still there."""

QUIET_SECONDS = 1.0
"""Silence after which the headers go out with a keep-alive, so that a client knows that it is heard."""

KEEP_ALIVE_SECONDS = 5.0


class Client(BaseHTTPRequestHandler):
    """The connection of one client, to which whole JSON objects are written."""

    def refuse(self, error: RefusedError) -> None:
        """Say why there is no answer; a client that is gone misses it."""
        headers = {"Retry-After": "1"} if error.status == 503 else {}
        with contextlib.suppress(OSError):
            self.send(error.status, error.body, headers)

    def send(self, status: int, value: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        """One JSON object; raises ``OSError`` when the client is gone."""
        body = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Answering:
    """Writes one answer to one client."""

    def __init__(self, handler: Client, desk: Desk, ticket: Ticket, reply: Reply, request: Request) -> None:
        self._handler = handler
        self._desk = desk
        self._ticket = ticket
        self._reply = reply
        self._request = request
        self._streaming = False
        self._last = time.monotonic()
        self._pieces: list[Piece] = []

    def run(self) -> None:
        """Wait for pieces and write them; raises ``OSError`` when the client is gone."""
        while True:
            try:
                item = self._ticket.pieces.get(timeout=PATIENCE)
            except queue.Empty:
                self._wait()
                continue
            if isinstance(item, Piece):
                self._piece(item)
            elif isinstance(item, Ending):
                return self._end(item)
            else:
                return self._fail(item)

    def _wait(self) -> None:
        if _is_gone(self._handler.connection):
            raise ConnectionResetError
        silence = time.monotonic() - self._last
        if self._request.stream and silence > (KEEP_ALIVE_SECONDS if self._streaming else QUIET_SECONDS):
            self._open()
            self._write(f": {self._notice()}\n\n".encode())

    def _notice(self) -> str:
        before = self._desk.before(self._ticket)
        if before:
            return f"waiting, {before} before you"
        return f"reading the prompt, {self._ticket.read} of {len(self._ticket.ids)} tokens"

    def _piece(self, piece: Piece) -> None:
        if self._request.stream:
            self._open()
            self._write(event(self._reply.piece(piece)))
        else:
            self._pieces.append(piece)
            if _is_gone(self._handler.connection):
                raise ConnectionResetError

    def _end(self, ending: Ending) -> None:
        if not self._request.stream:
            self._handler.send(200, self._reply.whole(self._pieces, ending))
            return
        self._open()
        data = b"".join(event(each) for each in self._reply.ending(ending))
        if self._request.include_usage:
            data += event(self._reply.usage(ending))
        self._write(data + b"data: [DONE]\n\n")
        self._handler.wfile.write(b"0\r\n\r\n")

    def _fail(self, error: RefusedError) -> None:
        if not self._streaming:
            self._handler.refuse(error)
            return
        self._write(event(error.body) + b"data: [DONE]\n\n")
        self._handler.wfile.write(b"0\r\n\r\n")

    def _open(self) -> None:
        if self._streaming:
            return
        self._streaming = True
        handler = self._handler
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream; charset=utf-8")
        handler.send_header("Cache-Control", "no-cache")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        opening = self._reply.opening(self._request.answers)
        if opening:
            self._write(b"".join(event(each) for each in opening))

    def _write(self, data: bytes) -> None:
        self._handler.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        self._last = time.monotonic()


def _is_gone(connection: socket.socket) -> bool:
    """Whether the other side has closed; costs two microseconds."""
    try:
        if not select.select([connection], [], [], 0)[0]:
            return False
        return connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
