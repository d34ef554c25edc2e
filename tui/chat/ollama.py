"""What Ollama does besides the protocol: pull a model, and take one out of memory. Its own downloads resume."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from tui.chat.client import ChatClient
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import EndpointGoneError, ModelUnknownError, refusal, words_of
from tui.chat.exchange import Exchange, Head
from tui.errors import EndpointError
from tui.plain_text import clean_line

CONNECT_SECONDS, SILENCE_SECONDS = 5.0, 120.0


@dataclass(frozen=True, slots=True)
class Pulled:
    """How far a pull is: ``done`` of ``total`` bytes of the layer that is loaded now, ``rate`` in bytes per second."""

    status: str
    done: int = 0
    total: int = 0
    rate: float | None = None


def pull(endpoint: Endpoint, model: str, stop: threading.Event | None = None) -> Iterator[Pulled]:
    """Let Ollama pull ``model``; yields its progress. Setting ``stop`` ends the pull; what came stays with Ollama.
    Raises ``EndpointError``."""
    body = json.dumps({"model": model, "stream": True}).encode()
    exchange = Exchange(endpoint, "POST", f"{endpoint.root}/api/pull", body, CONNECT_SECONDS, SILENCE_SECONDS)
    head, rest, refused, success = Head(0, {}), b"", b"", False
    pace = _Pace()
    try:
        for item in exchange.receive(stop):
            if isinstance(item, Head):
                head = item
            elif item is not None and head.status == 200:
                *lines, rest = (rest + item).split(b"\n")
                for line in lines:
                    pulled = _progress(model, line, pace)
                    success = success or pulled.status == "success"
                    yield pulled
            elif item is not None:
                refused += item
    except EndpointError:
        raise
    except Exception as error:
        raise EndpointGoneError(f"Ollama went away: {clean_line(str(error), 200)}", "start it and pull again") from None
    if stop is not None and stop.is_set():
        return
    if head.status != 200:
        raise refusal(endpoint, head.status, head.headers, refused)
    if not success:
        raise EndpointGoneError(f"Ollama stopped in the middle of {model}", "pull again; it goes on where it was")


def unload(endpoint: Endpoint, model: str) -> None:
    """Take ``model`` out of Ollama's memory now. Raises ``EndpointError``."""
    client = ChatClient(endpoint, connect_timeout=CONNECT_SECONDS)
    body = json.dumps({"model": model, "keep_alive": 0}).encode()
    head, answer = client.fetch(f"{endpoint.root}/api/generate", timeout=30.0, body=body)
    if head.status != 200:
        raise refusal(endpoint, head.status, head.headers, answer)


def _progress(model: str, line: bytes, pace: _Pace) -> Pulled:
    try:
        value = json.loads(line or b"{}")
    except ValueError:
        value = {}
    if value.get("error"):
        words = words_of(line)[0]
        raise ModelUnknownError(f"Ollama cannot pull {model}: {words}", "its library is at ollama.com/library")
    done, total = value.get("completed") or 0, value.get("total") or 0
    status = clean_line(str(value.get("status") or ""), 80)
    return Pulled(status, int(done), int(total), pace.rate(status, int(done)))


class _Pace:
    """Bytes per second since a layer began."""

    def __init__(self) -> None:
        self._layer, self._from, self._at = "", 0, 0.0

    def rate(self, layer: str, done: int) -> float | None:
        now = time.monotonic()
        if layer != self._layer:
            self._layer, self._from, self._at = layer, done, now
        return (done - self._from) / (now - self._at) if now - self._at > 0.5 else None
