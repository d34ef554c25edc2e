"""A server of server-sent events that plays a script of bytes, pauses and deaths. Standard library."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


@dataclass
class Seen:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class ScriptedServer:
    """``address`` is the base URL; ``seen`` the requests; ``closed_at`` when the client left, by ``time.monotonic``."""

    address: str
    seen: list[Seen] = field(default_factory=list)
    closed_at: list[float] = field(default_factory=list)


Step = bytes | float | str
"""Bytes to send, seconds to wait, or "die" (reset) / "wait" (until the client leaves)."""


def chunk(text: str = "", **more: Any) -> bytes:
    delta = {"content": text} if text else {}
    value = {"choices": [{"index": 0, "delta": {**delta, **more.pop("delta", {})}, **more}]}
    return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"


END = chunk(finish_reason="stop") + b"data: [DONE]\n\n"


@contextmanager
def scripted(script: Callable[[Seen], list[Step]] | list[Step], unix: str = "") -> Iterator[ScriptedServer]:
    listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
    listener.bind(unix or ("127.0.0.1", 0))
    listener.listen(8)
    address = f"unix:{unix}" if unix else f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
    server = ScriptedServer(address)

    def play(connection: socket.socket) -> None:
        with connection:
            seen = _read(connection)
            if seen is None:
                return
            server.seen.append(seen)
            for step in script(seen) if callable(script) else script:
                try:
                    if isinstance(step, bytes):
                        connection.sendall(step)
                    elif isinstance(step, float):
                        time.sleep(step)
                    elif step == "die":
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                        return
                    else:
                        connection.settimeout(20)
                        connection.recv(1)
                        server.closed_at.append(time.monotonic())
                except OSError:
                    server.closed_at.append(time.monotonic())
                    return

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=play, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield server
    finally:
        listener.close()


def _read(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        body += connection.recv(65536)
    return Seen(first.split()[1], headers, json.loads(body) if body else None)
