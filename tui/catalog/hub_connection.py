"""The connection to a hub: requests with a deadline, and the token, for the hub's own origin only. This module alone
opens connections for browsing.

Every call ends by its deadline, name look-up included, and writes nothing.
"""

from __future__ import annotations

import os
import platform
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from tui import __version__
from tui.catalog.hub_errors import (
    CHECK_NETWORK,
    DEFAULT_ENDPOINT,
    hub_error,
    offline_error,
    response_error,
)
from tui.errors import HeftError, HubUnreachableError, NotAllowedError
from tui.paths import Paths
from tui.plain_text import clean_line
from tui.settings import Settings

if TYPE_CHECKING:
    import httpx2

LONGEST_CALL = 15.0
"""No call takes longer than this many seconds, whatever the settings say."""

ANSWER_LIMIT = 64_000_000
"""Bytes of JSON that are read before an answer counts as not a hub's."""

_LOG_IN = "run `hf auth login` again or correct HF_TOKEN"
_TRUE = ("1", "on", "yes", "true")

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class Question:
    """One request: a path below the hub's address, and what its errors shall name."""

    path: str
    query: tuple[tuple[str, str], ...] = ()
    repo: str = ""
    revision: str = ""
    limit: int = ANSWER_LIMIT
    start: int | None = None
    """First byte of a range of ``limit`` bytes; None asks for the whole."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came, and the path of the next page where there is one."""

    content: bytes
    following: str = ""


class HubConnection:
    """Asks one hub for bytes, as the environment names it when this object is made (HF_ENDPOINT, HF_TOKEN, HF_HOME,
    HF_HUB_OFFLINE). Every call ends by its deadline."""

    def __init__(self, paths: Paths, settings: Settings, environment: Mapping[str, str] | None = None) -> None:
        env = dict(os.environ if environment is None else environment)
        self.paths = paths
        self.endpoint = (env.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        self.seconds = max(0.5, min(settings.hub.timeout, LONGEST_CALL - 1))
        self.offline = (env.get("HF_HUB_OFFLINE") or env.get("TRANSFORMERS_OFFLINE") or "").lower() in _TRUE
        self._environment = env
        self._client: httpx2.Client | None = None
        self._lock = threading.Lock()

    def get(self, question: Question, deadline: float | None = None) -> Reply:
        """The hub's answer, by ``deadline`` (``time.monotonic``; else within the seconds of the settings)."""
        if self.offline:
            raise offline_error()
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            shown = clean_line(self.endpoint, 80)
            raise HubUnreachableError(
                f"HF_ENDPOINT is {shown!r}, not an address", f"unset it for {DEFAULT_ENDPOINT}", passing=False
            )
        deadline = deadline or time.monotonic() + self.seconds
        try:
            return _within(deadline, lambda: self._fetch(question, deadline))
        except TimeoutError:
            raise HubUnreachableError(
                f"{self.endpoint} did not answer within {self.seconds:g} s", CHECK_NETWORK
            ) from None

    def _fetch(self, question: Question, deadline: float) -> Reply:
        import httpx2

        url = httpx2.URL(self.endpoint + question.path)
        if question.query:
            url = url.copy_with(params=question.query)
        headers = self.request_headers() | _range_header(question)
        for attempt in (1, 2):
            left = deadline - time.monotonic()
            timeout = httpx2.Timeout(max(0.1, left), connect=max(0.1, min(5.0, left)))
            try:
                with self._session().stream("GET", url, headers=headers, timeout=timeout) as answer:
                    if answer.status_code >= 400:
                        if answer.status_code in (500, 502, 503, 504) and attempt == 1:
                            time.sleep(min(0.3, max(0.0, left / 4)))
                            continue
                        raise response_error(answer, question.repo, question.revision)
                    if question.start and answer.status_code != 206:
                        raise HubUnreachableError(f"{self.endpoint} does not give parts of files", CHECK_NETWORK)
                    content = _read(answer, question.limit, deadline)
                    return Reply(content, _following(answer, urlsplit(self.endpoint).path))
            except HeftError:
                raise
            except (httpx2.RemoteProtocolError, httpx2.ReadError) as error:
                if attempt == 2:  # once is what an idle connection that the server has closed looks like
                    raise hub_error(error, question.repo, question.revision) from None
            except httpx2.TimeoutException:
                raise TimeoutError from None
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
                raise hub_error(error, question.repo, question.revision) from None
        raise AssertionError("the second attempt returns or raises")

    def _session(self) -> httpx2.Client:
        import httpx2

        with self._lock:
            if self._client is None:
                # Redirects lose the token when they leave the hub's origin (httpx2 strips it).
                self._client = httpx2.Client(follow_redirects=True, max_redirects=5)
            return self._client

    def request_headers(self) -> dict[str, str]:
        """Who asks, and the token where there is one; for this hub's own origin only."""
        headers = {"user-agent": f"heft/{__version__}; python/{platform.python_version()}"}
        token = self._token()
        if token:
            if not token.isascii() or not token.isprintable() or " " in token:
                raise NotAllowedError("the stored token is not a token: it has spaces or strange characters", _LOG_IN)
            headers["authorization"] = f"Bearer {token}"
        return headers

    def _token(self) -> str:
        env = self._environment
        if (env.get("HF_HUB_DISABLE_IMPLICIT_TOKEN") or "").lower() in _TRUE:
            return ""
        token = (env.get("HF_TOKEN") or env.get("HUGGING_FACE_HUB_TOKEN") or "").strip()
        if token:
            return token
        cache = env.get("XDG_CACHE_HOME") or "~/.cache"
        home = env.get("HF_HOME") or f"{cache}/huggingface"
        file = Path(os.path.expandvars(env.get("HF_TOKEN_PATH") or f"{home}/token")).expanduser()
        try:
            return file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            return ""

    def close(self) -> None:
        """Drop open connections; the object stays usable."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()


def _range_header(question: Question) -> dict[str, str]:
    if question.start is None:
        return {}
    last = question.start + question.limit - 1
    return {"range": f"bytes={question.start}-{last}", "accept-encoding": "identity"}


def _read(answer: httpx2.Response, limit: int, deadline: float) -> bytes:
    content = bytearray()
    for chunk in answer.iter_bytes():
        content += chunk
        if len(content) >= limit:
            return bytes(content[:limit])
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(content)


def _following(answer: httpx2.Response, prefix: str) -> str:
    # The next page is asked of our endpoint, wherever the link points: a mirror may not rewrite it, and the token must
    # not follow it to another server.
    parts = urlsplit(answer.links.get("next", {}).get("url") or "")
    return parts.path.removeprefix(prefix) + "?" + parts.query if parts.path and parts.query else ""


def _within(deadline: float, work: Callable[[], _Answer]) -> _Answer:
    # A thread, because looking a name up and a server that sends one byte at a time know no other deadline. It is left
    # behind when the time is up; its own timeouts end it soon after.
    outcome: queue.SimpleQueue[tuple[_Answer | None, BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            outcome.put((work(), None))
        except BaseException as error:
            outcome.put((None, error))

    threading.Thread(target=run, name="hub", daemon=True).start()
    try:
        answer, error = outcome.get(timeout=max(0.0, deadline - time.monotonic()) + 0.2)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]
