"""One HTTP request whose answer can be left at any moment.

A thread of its own does the blocking reads and hands over what came; the caller waits on a queue, so a stop is seen
within a few hundredths of a second even while a connection is being made or the first token is awaited. Leaving shuts
the socket down, which tells the other side at once.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tui import __version__
from tui.chat.endpoint import Endpoint

STOP_SECONDS = 0.05
"""How often a waiting caller looks whether it was told to stop."""

_WAITING_CHUNKS = 256


@dataclass(frozen=True, slots=True)
class Head:
    """Status and headers of the answer; names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]


class _Left(Exception):
    """The caller went away; the reading thread ends."""


class Exchange:
    """One request and its answer: ``receive`` yields the ``Head``, then chunks of the body; raises httpx2's errors."""

    def __init__(
        self, endpoint: Endpoint, method: str, url: str, body: bytes | None, connect_timeout: float, read_timeout: float
    ) -> None:
        self._endpoint = endpoint
        self._request = (method, url, body)
        self._timeouts = (connect_timeout, read_timeout)
        self._items: queue.Queue[Any] = queue.Queue(_WAITING_CHUNKS)
        self._left = threading.Event()
        self._socket_lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="chat-exchange", daemon=True)

    def receive(self, stop: threading.Event | None) -> Iterator[Head | bytes | None]:
        """Start and yield what comes; ends when the body does or when ``stop`` is set, and then leaves.

        While nothing comes, None is yielded every ``STOP_SECONDS``.
        """
        self._thread.start()
        try:
            while stop is None or not stop.is_set():
                try:
                    item = self._items.get(timeout=STOP_SECONDS)
                except queue.Empty:
                    yield None
                    continue
                if isinstance(item, BaseException):
                    raise item
                if item == b"":
                    return
                yield item
        finally:
            self.leave()

    def leave(self) -> None:
        """Close the connection now, whatever the reading thread is doing."""
        self._left.set()
        with self._socket_lock:
            if self._socket is not None:
                with contextlib.suppress(OSError, ValueError):
                    # not SSLSocket.shutdown, which pulls the TLS state from under the reading thread
                    socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._read_all()
            self._put(b"")
        except _Left:
            pass
        except BaseException as error:
            with contextlib.suppress(_Left):
                self._put(error)

    def _read_all(self) -> None:
        import httpx2

        endpoint = self._endpoint
        method, url, body = self._request
        connect_timeout, read_timeout = self._timeouts
        secure = url.startswith("https:")
        headers = {"Accept": "text/event-stream, application/json", "User-Agent": f"heft/{__version__}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if endpoint.api_key:
            headers["Authorization"] = f"Bearer {endpoint.api_key}"
        transport = httpx2.HTTPTransport(uds=endpoint.socket) if endpoint.socket else None
        with (
            httpx2.Client(
                transport=transport,
                verify=secure,  # building the TLS context costs time that a plain connection need not spend
                trust_env=not endpoint.is_loopback,  # the proxy that the environment names, but never for this machine
                follow_redirects=False,
                timeout=httpx2.Timeout(read_timeout, connect=connect_timeout),
            ) as client,
            client.stream(method, url, content=body, headers=headers, extensions={"trace": self._trace}) as response,
        ):
            self._put(Head(response.status_code, {name.lower(): value for name, value in response.headers.items()}))
            for chunk in response.iter_bytes():
                if chunk:
                    self._put(chunk)

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Learn the socket as soon as there is one."""
        if event.endswith((".connect_tcp.complete", ".connect_unix_socket.complete", ".start_tls.complete")):
            stream = info.get("return_value")
            found = stream.get_extra_info("socket") if stream is not None else None
            with self._socket_lock:
                self._socket = found
            if self._left.is_set():
                raise _Left

    def _put(self, item: Any) -> None:
        while not self._left.is_set():
            try:
                self._items.put(item, timeout=0.2)
                return
            except queue.Full:
                continue
        raise _Left
