"""What an endpoint's refusals, silences and deaths mean to a person. All are ``EndpointError``."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from tui.chat.endpoint import Endpoint
from tui.errors import EndpointError
from tui.plain_text import clean_line


class EndpointUnreachableError(EndpointError):
    """Nobody answers at the address."""


class EndpointTimeoutError(EndpointError):
    """The endpoint was silent for longer than the limit."""


class EndpointGoneError(EndpointError):
    """The connection ended before the answer did; what came before it is kept."""


class EndpointRefusedError(EndpointError):
    """The endpoint answered with an error. ``status`` is the HTTP status (0 inside a stream), ``code`` its own word."""

    def __init__(self, summary: str, hint: str = "", *, status: int = 0, code: str = "") -> None:
        super().__init__(summary, hint)
        self.status = status
        self.code = code


class KeyRefusedError(EndpointRefusedError):
    """The key is missing, wrong or not enough."""

    exit_code = 4


class ModelUnknownError(EndpointRefusedError):
    """The endpoint has no such model or no such address."""

    exit_code = 3


class RateLimitedError(EndpointRefusedError):
    """Too many requests, or no credit; ``retry_after`` is in seconds where the endpoint said."""

    def __init__(self, summary: str, hint: str = "", *, code: str = "", retry_after: float | None = None) -> None:
        super().__init__(summary, hint, status=429, code=code)
        self.retry_after = retry_after


def refusal(endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes) -> EndpointRefusedError:
    """The error for an HTTP answer that is not 200. ``headers`` have names in lower case."""
    words, code = words_of(body)
    words = without_key(endpoint, words)
    said = f": {words}" if words else ""
    name = endpoint.name or endpoint.base_url
    if 300 <= status < 400:
        target = clean_line(headers.get("location", "elsewhere"), 200)
        return EndpointRefusedError(
            f"{name} redirects to {target}; keys and chats are not sent there",
            "set the base URL to the new address if you trust it",
            status=status,
        )
    if status in (401, 403):
        hint = "check the key" if endpoint.api_key else "this endpoint wants a key: name its variable in key_env"
        return KeyRefusedError(f"{name} refused the key ({status}){said}", hint, status=status, code=code)
    if status == 404:
        return ModelUnknownError(
            f"{name} does not know {endpoint.model or 'this address'} (404){said}",
            "check the model's name and the base URL",
            status=status,
            code=code,
        )
    if status == 413 or code == "context_length_exceeded":
        hint = "shorten the conversation, or load the model with a longer context"
        return EndpointRefusedError(f"too long for {name}{said}", hint, status=status, code=code)
    if status == 429:
        wait = retry_after(headers.get("retry-after", ""))
        hint = f"try again in {math.ceil(wait)} s" if wait is not None else "wait, or check the account's credit"
        return RateLimitedError(f"{name} asks to slow down (429){said}", hint, code=code, retry_after=wait)
    hint = "the fault is on its side; try again" if status >= 500 else ""
    return EndpointRefusedError(f"{name} answered {status}{said}", hint, status=status, code=code)


def refusal_in_stream(endpoint: Endpoint, error: Any) -> EndpointRefusedError:
    """The error for an ``error`` object that arrived inside a stream."""
    words, code = _words_of_object(error)
    name = endpoint.name or endpoint.base_url
    words = without_key(endpoint, words) or "no reason given"
    return EndpointRefusedError(f"{name} stopped: {words}", "", code=code)


def without_key(endpoint: Endpoint, words: str) -> str:
    """``words`` without the endpoint's key, which some servers and libraries repeat in their complaints."""
    return words.replace(endpoint.api_key, "[hidden]") if endpoint.api_key else words


def words_of(body: bytes) -> tuple[str, str]:
    """Message and code of an error body: OpenAI's shape, its relatives, or plain text."""
    try:
        value = json.loads(body)
    except ValueError:
        text = body.decode("utf-8", "replace")
        return ("" if text.lstrip().startswith("<") else clean_line(text, 300)), ""
    if isinstance(value, list) and value:
        value = value[0]
    if isinstance(value, dict):
        return _words_of_object(value.get("error", value))
    return clean_line(str(value), 300), ""


def _words_of_object(error: Any) -> tuple[str, str]:
    if not isinstance(error, dict):
        return clean_line(str(error or ""), 300), ""
    message = error.get("message") or error.get("detail") or error.get("error") or ""
    if not isinstance(message, str):
        message = json.dumps(message)
    code = error.get("code") or error.get("type") or ""
    return clean_line(message, 300), clean_line(str(code), 60)


def retry_after(value: str) -> float | None:
    """Seconds of a Retry-After header, which holds seconds or a date; None when it holds neither."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError):
        return None
