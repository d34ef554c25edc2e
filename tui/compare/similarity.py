"""How like two texts are in meaning, where an embedding model is at hand: the cosine of their vectors.

The model is an endpoint of the user's that answers ``/embeddings`` (``[compare] embeddings`` names it); nothing is
embedded without one.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import refusal
from tui.chat.exchange import Exchange, Head
from tui.errors import EndpointError

_LIMIT = 64_000_000
_CONNECT, _SILENCE = 10.0, 60.0


def embed(endpoint: Endpoint, texts: Sequence[str]) -> list[list[float]]:
    """A vector for each text, asked for in one request. Raises ``EndpointError``."""
    body = json.dumps({"model": endpoint.model, "input": list(texts), "encoding_format": "float"}).encode()
    head, found = Head(0, {}), bytearray()
    exchange = Exchange(endpoint, "POST", endpoint.url("embeddings"), body, _CONNECT, _SILENCE)
    try:
        for item in exchange.receive(None):
            if isinstance(item, Head):
                head = item
            elif item is not None:
                found += item
            if len(found) > _LIMIT:
                raise EndpointError(f"{endpoint.name} sent too much to be embeddings")
    except EndpointError:
        raise
    except Exception as error:
        raise EndpointError(f"{endpoint.name}: {type(error).__name__}", "check the address") from None
    finally:
        exchange.leave()
    if head.status != 200:
        raise refusal(endpoint, head.status, head.headers, bytes(found))
    return _vectors(bytes(found), len(texts), endpoint)


def similarity(one: Sequence[float], other: Sequence[float]) -> float:
    """The cosine of the angle between two vectors; 0 when one has no length."""
    lengths = math.sqrt(sum(value * value for value in one)) * math.sqrt(sum(value * value for value in other))
    return sum(left * right for left, right in zip(one, other, strict=True)) / lengths if lengths else 0.0


def _vectors(body: bytes, count: int, endpoint: Endpoint) -> list[list[float]]:
    try:
        rows: list[dict[str, Any]] = sorted(json.loads(body)["data"], key=lambda row: row["index"])
        vectors = [[float(value) for value in row["embedding"]] for row in rows]
    except (ValueError, KeyError, TypeError):
        vectors = []
    if len(vectors) != count or len({len(vector) for vector in vectors}) > 1:
        raise EndpointError(f"{endpoint.name} sent something that is not {count} embeddings", "check its model")
    return vectors
