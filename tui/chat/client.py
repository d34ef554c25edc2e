"""The streaming client: one code path for hosts of ours, Ollama, vLLM, llama-server and the commercial APIs.

It owns its reading of the stream because the ready-made clients split tokens at U+2028, send stored tokens to foreign
addresses or take seconds to import. A key goes to its endpoint's own origin; redirects are refused.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any

from tui.chat.answer import Answer, AnswerReader, Delta
from tui.chat.conversation import Message, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import (
    EndpointGoneError,
    EndpointTimeoutError,
    EndpointUnreachableError,
    KeyRefusedError,
    ModelUnknownError,
    RateLimitedError,
    refusal,
    without_key,
)
from tui.chat.exchange import Exchange, Head
from tui.chat.providers import local_server
from tui.chat.server_sent_events import EventTooLongError
from tui.chat.stream_reading import BODY_LIMIT, StreamReading, json_object
from tui.errors import EndpointError
from tui.plain_text import clean_line

__all__ = ["Answer", "AnswerReader", "ChatClient", "Delta"]

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 300.0
"""Longest silence in a stream; a host of ours sends a keep-alive more often than that."""

PATIENCE_SECONDS = 60.0
"""A wait that an endpoint asks for (Retry-After) is kept up to this long, then the refusal is passed on."""

TRIES = 3
GO_ON = "Go on exactly where you stopped, without repeating anything."
"""Asks a server that cannot continue a message by itself to go on with its last one."""


class ChatClient:
    """Speaks to one endpoint. Every method may block; errors are ``EndpointError`` with words for people."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = SILENCE_SECONDS,
        tries: int = TRIES,
    ) -> None:
        if endpoint.api_key and not (endpoint.api_key.isascii() and endpoint.api_key.isprintable()):
            raise KeyRefusedError(f"the key of {endpoint.name} holds characters that no key has", "copy it again")
        self.endpoint = endpoint
        self._timeouts = (connect_timeout, read_timeout)
        self._tries = tries

    def health(self) -> bool:
        """Whether the endpoint answers and is ready; takes at most five seconds."""
        path = "http://localhost/health" if self.endpoint.socket else self.endpoint.url("models")
        try:
            head, _ = self.fetch(path, timeout=5.0)
        except EndpointError:
            return False
        return head.status == 200

    def models(self) -> list[str]:
        """The names of the models that the endpoint offers."""
        head, body = self.fetch(self.endpoint.url("models"))
        if head.status != 200:
            raise refusal(self.endpoint, head.status, head.headers, body)
        value = json_object(body, self.endpoint)
        rows = value.get("data") or value.get("models") or []
        return [clean_line(str(row.get("id") or row.get("name"))) for row in rows if isinstance(row, dict)]

    def ask(self, messages: Sequence[Message], parameters: Parameters | None = None) -> Answer:
        """The whole answer at once; streams underneath, so the times are true."""
        reader = AnswerReader()
        for delta in self.stream(messages, parameters or Parameters()):
            reader.read(delta)
        return reader.answer()

    def stream(
        self,
        messages: Sequence[Message],
        parameters: Parameters,
        stop: threading.Event | None = None,
        *,
        go_on: bool = False,
    ) -> Iterator[Delta]:
        """Yield the answer as it comes. Setting ``stop``, or closing the iterator, closes the connection at once.

        With ``go_on`` the last message is an answer that was cut, and what comes continues it. Deltas come with text,
        with a notice while the endpoint lets us wait, and last with the usage. An endpoint that asks to slow down is
        asked again when it said. Raises ``EndpointError``; what was yielded before stays true.
        """
        for number in range(1, self._tries + 1):
            try:
                yield from self._stream_once(messages, parameters, stop, go_on)
                return
            except RateLimitedError as error:
                wait = error.retry_after
                if wait is None or wait > PATIENCE_SECONDS or number == self._tries:
                    raise
                yield from _waited(wait, stop)
                if stop is not None and stop.is_set():
                    return

    def count_tokens(self, text: str) -> int | None:
        """How many tokens ``text`` has for the endpoint's model; None where it does not tell."""
        path = local_server(self.endpoint.kind).counts
        if not path:
            return None
        body = json.dumps({"model": self.endpoint.model, "content": text, "prompt": text}).encode()
        try:
            head, answer = self.fetch(f"{self.endpoint.root}{path}", timeout=5.0, body=body)
            value = json_object(answer, self.endpoint)
        except EndpointError:
            return None
        count, tokens = value.get("count"), value.get("tokens")
        if head.status != 200:
            return None
        return count if isinstance(count, int) else len(tokens) if isinstance(tokens, list) else None

    def _stream_once(
        self, messages: Sequence[Message], parameters: Parameters, stop: threading.Event | None, go_on: bool
    ) -> Iterator[Delta]:
        model = self.endpoint.model or self._first_model()
        body = json.dumps(self._request(model, messages, parameters, go_on)).encode()
        exchange = Exchange(self.endpoint, "POST", self.endpoint.url("chat/completions"), body, *self._timeouts)
        started = time.monotonic()
        reading = StreamReading(self.endpoint, started)
        try:
            for item in exchange.receive(stop):
                yield from reading.take(item)
                if reading.is_done:
                    return
            if stop is None or not stop.is_set():
                yield from reading.ended()
        except EndpointError:
            raise
        except Exception as error:
            raise self._translated(error, reading.has_begun) from None
        finally:
            exchange.leave()

    def _request(
        self, model: str, messages: Sequence[Message], parameters: Parameters, go_on: bool = False
    ) -> dict[str, Any]:
        endpoint = self.endpoint
        how = local_server(endpoint.kind).continues if go_on else ""
        if go_on and not how:
            messages = [*messages, Message("user", GO_ON)]
        values = parameters.chosen()
        if "max_tokens" in values:
            values[endpoint.limit_name] = values.pop("max_tokens")
        if not endpoint.takes_local_sampling:
            for name in ("top_k", "min_p", "repetition_penalty"):
                values.pop(name, None)
        request = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
            **values,
        }
        if how not in ("", "last"):
            request[how] = True
        if how == "continue_final_message":
            request["add_generation_prompt"] = False
        if endpoint.takes_stream_options:
            request["stream_options"] = {"include_usage": True}
        return request

    def _first_model(self) -> str:
        models = self.models()
        if not models:
            raise ModelUnknownError(f"{self.endpoint.name} offers no model", "name one in the endpoint's settings")
        return models[0]

    def fetch(self, url: str, timeout: float | None = None, body: bytes | None = None) -> tuple[Head, bytes]:
        """A whole answer of the endpoint's own origin, with whatever status; raises ``EndpointError`` without one."""
        connect, read = self._timeouts
        if timeout is not None:
            connect, read = min(connect, timeout), min(read, timeout)
        deadline = time.monotonic() + read + connect
        head = Head(0, {})
        answer = bytearray()
        method = "GET" if body is None else "POST"
        try:
            for item in Exchange(self.endpoint, method, url, body, connect, read).receive(None):
                if isinstance(item, Head):
                    head = item
                elif item is not None:
                    answer += item
                if len(answer) > BODY_LIMIT or time.monotonic() > deadline:
                    raise EndpointTimeoutError(f"{self.endpoint.name} did not finish its answer")
        except EndpointError:
            raise
        except Exception as error:
            raise self._translated(error, head.status != 0) from None
        return head, bytes(answer)

    def _translated(self, error: Exception, begun: bool) -> EndpointError:
        import httpx2

        name, endpoint = self.endpoint.name or self.endpoint.base_url, self.endpoint
        words = without_key(endpoint, clean_line(str(error), 200))
        reload_hint = "load the model again" if endpoint.local else "try again"
        if isinstance(error, EventTooLongError):
            return EndpointGoneError(f"{name} sent something that is not an answer", "check the base URL")
        if isinstance(error, httpx2.ConnectTimeout | httpx2.ConnectError):
            where = endpoint.socket or endpoint.base_url
            hint = "the host has ended; load the model again" if endpoint.local else "check the address and the network"
            return EndpointUnreachableError(f"nobody answers at {where}: {words or type(error).__name__}", hint)
        if isinstance(error, httpx2.TimeoutException):
            return EndpointTimeoutError(f"{name} was silent for {self._timeouts[1]:g} s", reload_hint)
        if isinstance(error, httpx2.TransportError):
            when = "in the middle of the answer" if begun else "before it answered"
            return EndpointGoneError(f"{name} went away {when}: {words}", reload_hint)
        return EndpointError(f"{name}: {type(error).__name__}: {words}", "check the base URL")


def _waited(seconds: float, stop: threading.Event | None) -> Iterator[Delta]:
    """Wait as long as the endpoint asked, saying so once a second."""
    until = time.monotonic() + seconds
    stop = stop or threading.Event()
    while (left := until - time.monotonic()) > 0:
        yield Delta(notice=f"asked to slow down: again in {left:.0f} s")
        if stop.wait(min(1.0, left)):
            return
