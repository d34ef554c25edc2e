"""What the hub's refusals mean and what to do about them: one table for our own requests and huggingface_hub's errors.

The hub answers 401 for missing, private and gated repositories alike; the header X-Error-Code tells them apart
(huggingface_hub/utils/_http.py, ``hf_raise_for_status``). Tokens never reach a message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from tui.errors import HeftError, HubUnreachableError, NotAllowedError, NotFoundError
from tui.plain_text import clean_line

DEFAULT_ENDPOINT = "https://huggingface.co"

_TOKEN = re.compile(r"hf_[A-Za-z0-9]{6,}|(?i:bearer)\s+\S+")
_RATE_LIMIT = re.compile(r"(?:^|;)\s*t=(\d+)")


def hub_error(error: BaseException, repo: str, revision: str = "") -> HeftError:
    """Translate ``error``, raised while asking the hub about ``repo``, into one that a person can act on.

    Takes huggingface_hub's and httpx2's exceptions, and those of reading an answer; returns the error, raises nothing.
    """
    if isinstance(error, HeftError):
        return error
    for link in _chain(error):
        response = getattr(link, "response", None)
        if isinstance(getattr(response, "status_code", None), int):
            return response_error(response, repo, revision)
    names = {kind.__name__ for link in _chain(error) for kind in type(link).__mro__}
    return _unanswered(error, names, repo)


def response_error(response: Any, repo: str, revision: str = "") -> HeftError:
    """Translate an httpx2 response with a status of 400 or more."""
    status: int = response.status_code
    headers: Mapping[str, str] = response.headers
    try:
        sent_token = "authorization" in response.request.headers
    except (AttributeError, RuntimeError):  # a response that was made without a request
        sent_token = False
    code = headers.get("x-error-code", "")
    words = hide_tokens(headers.get("x-error-message", ""))
    page = repository_url(repo)
    about = repo or "this search"
    if code == "GatedRepo":
        return _gated(repo, page, sent_token)
    if code == "RevisionNotFound":
        return NotFoundError(
            f"{repo} has no revision {clean_line(revision, 80)!r}",
            f"its branches and commits are at {page}/commits/main",
        )
    if code == "EntryNotFound":
        file = str(response.url).partition("/resolve/")[2].partition("/")[2].partition("?")[0]
        return NotFoundError(
            f"{repo} has no {clean_line(file, 200) or 'such file'}", f"its files are at {page}/tree/main"
        )
    if "disabled" in words and status in (401, 403, 451):
        return NotAllowedError(f"the hub has disabled access to {repo}", f"it says why at {page}")
    if status == 401 and "invalid" in words.casefold():
        return NotAllowedError(
            "the hub refuses the token: it is wrong or has expired (401)",
            f"make a new one at {endpoint_url()}/settings/tokens, then run `hf auth login` or set HF_TOKEN",
        )
    if not repo and status == 404:
        return not_a_hub(endpoint_url(), "")
    if code == "RepoNotFound" or status in (401, 404):
        private = "your token cannot see it" if sent_token else "it is private and no token is set"
        return NotFoundError(
            f"the hub has no repository {about}, or {private}",
            f"check the spelling at {page}; for a private one run `hf auth login` or set HF_TOKEN",
        )
    if status == 403:
        return NotAllowedError(
            f"the hub does not allow access to {about} (403)" + (f": {words}" if words else ""),
            f"check what your token may read at {endpoint_url()}/settings/tokens, and visit {page}",
        )
    if status == 429:
        wait = retry_after(headers)
        when = f"try again in {wait} s" if wait is not None else "try again in a few minutes"
        more = "" if sent_token else "; with a token (`hf auth login`) the limit is higher"
        return HubUnreachableError("the hub says: too many requests (429)", when + more)
    if status >= 500:
        return HubUnreachableError(
            f"the hub has a problem of its own ({status})",
            "try again later; its state is at https://status.huggingface.co",
        )
    said = f": {words}" if words else ""
    return HubUnreachableError(f"the hub refused the request for {about} ({status}){said}", passing=status == 408)


def not_a_hub(endpoint: str, answer: str) -> HubUnreachableError:
    """The error for a 200 whose body no hub would send: a captive portal, a proxy's page, another server."""
    shown = hide_tokens(answer, 60)
    return HubUnreachableError(
        f"{endpoint} answered, but not like a hub" + (f" ({shown!r})" if shown else ""),
        "a login page of the network, or a proxy? Open it in a browser, or check HF_ENDPOINT",
    )


def retry_after(headers: Mapping[str, str]) -> int | None:
    """Seconds that the hub asks to wait, from Retry-After or the RateLimit header; None when it does not say."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(int(value), 86_400)
    found = _RATE_LIMIT.search(headers.get("ratelimit", ""))
    return min(int(found[1]), 86_400) if found else None


def endpoint_url() -> str:
    """The hub's address: HF_ENDPOINT, or huggingface.co."""
    return (os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")


def repository_url(repo: str) -> str:
    """The page of ``repo`` that a person can visit."""
    return f"{endpoint_url()}/{clean_line(repo, 200)}" if repo else endpoint_url()


def hide_tokens(text: str, limit: int = 300) -> str:
    """``text`` as one harmless line with anything that looks like a token blotted out."""
    return clean_line(_TOKEN.sub("(token)", text), limit)


def _gated(repo: str, page: str, sent_token: bool) -> NotAllowedError:
    if sent_token:
        return NotAllowedError(
            f"{repo} is gated, and your token has no access to it yet",
            f"accept its terms at {page}; if you have, wait for approval, and let the token read gated repositories",
        )
    return NotAllowedError(
        f"{repo} is gated: its terms must be accepted first, and no token is set",
        f"accept its terms at {page}, then run `hf auth login` or set HF_TOKEN",
    )


def _unanswered(error: BaseException, names: set[str], repo: str) -> HeftError:
    endpoint = endpoint_url()
    said = hide_tokens(str(error).strip().partition("\n")[0])
    if "OfflineModeIsEnabled" in names:
        return offline_error()
    if "LocalTokenNotFoundError" in names:
        return NotAllowedError("a token is needed and none is stored", "run `hf auth login` or set HF_TOKEN")
    if "HFValidationError" in names:
        return NotFoundError(f"{clean_line(repo, 80)!r} is not the name of a repository", "write it like org/name")
    if names & {"FileMetadataError", "KeyError", "JSONDecodeError", "UnicodeDecodeError"}:
        return not_a_hub(endpoint, "")
    if names & {"TimeoutException", "TimeoutError"}:
        return HubUnreachableError(f"{endpoint} did not answer in time", CHECK_NETWORK)
    if names & {"SSLError", "SSLCertVerificationError"} or "CERTIFICATE_VERIFY" in said:
        return HubUnreachableError(
            f"{endpoint} cannot be trusted: {said}",
            "a proxy that replaces certificates? Set SSL_CERT_FILE to its CA",
            passing=False,
        )
    if names & {"ProxyError"}:
        return HubUnreachableError(f"the proxy refused the way to {endpoint}: {said}", "check HTTPS_PROXY and NO_PROXY")
    reason = f": {said}" if said else ""
    return HubUnreachableError(f"{endpoint} cannot be reached{reason}", CHECK_NETWORK)


def offline_error() -> HubUnreachableError:
    """The error for asking the hub while offline mode is on."""
    return HubUnreachableError(
        "offline mode is on (HF_HUB_OFFLINE), so the hub is not asked", "unset HF_HUB_OFFLINE", passing=False
    )


CHECK_NETWORK = (
    "check the network, the proxy (HTTPS_PROXY) and HF_ENDPOINT; the catalog and your builds work without it"
)


def _chain(error: BaseException) -> list[Any]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in links and len(links) < 10:
        links.append(link)
        link = link.__cause__
    return links
