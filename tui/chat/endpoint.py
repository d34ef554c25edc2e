"""Where a chat goes: anything that speaks the OpenAI protocol, named by its base URL.

This module alone knows how a base URL becomes an address; ``providers`` holds what differs from the protocol.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tui.chat.providers import Provider, provider_of
from tui.errors import UsageError


@dataclass(frozen=True, slots=True)
class Endpoint:
    """``base_url`` is ``unix:/path.sock`` or ``http(s)://...``; ``price_in`` and ``price_out`` are US dollars per
    million tokens, ``own_price`` when the user wrote them down, ``price_source`` whence. ``context`` counts
    the tokens that prompt and answer may have together, ``kind`` names the server (see ``providers``), ``has_template``
    is False for a host whose model only continues text. The key never shows in a representation and goes to
    ``base_url``'s own origin alone."""

    name: str
    base_url: str
    model: str = ""
    api_key: str = field(default="", repr=False)
    price_in: float | None = None
    price_out: float | None = None
    local: bool = False
    kind: str = ""
    context: int | None = None
    has_template: bool = True
    own_price: bool = False
    price_source: str = ""
    price_date: str = ""

    @property
    def socket(self) -> str:
        """Path of the Unix socket; empty for an endpoint that is reached over TCP."""
        return self.base_url.removeprefix("unix:").removeprefix("//") if self.base_url.startswith("unix:") else ""

    @property
    def host(self) -> str:
        """Host name of a TCP endpoint, in lower case; empty for a Unix socket."""
        return "" if self.socket else (urlsplit(self.base_url).hostname or "").lower()

    @property
    def is_loopback(self) -> bool:
        """Reached without leaving this machine, so proxies do not apply."""
        if self.socket or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def url(self, path: str) -> str:
        """The address of ``path`` ("chat/completions") under the base URL.

        A base URL without a path gets ``/v1``; one with a path is taken as it stands (``/v1beta/openai``). Raises
        ``UsageError`` when it is not an address.
        """
        if self.socket:
            return f"http://localhost/v1/{path}"
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(
                f"{self.base_url!r} is not the address of an endpoint", "write https://host/v1 or unix:/path"
            )
        folder = parts.path.rstrip("/").removesuffix("/chat/completions") or "/v1"
        return f"{parts.scheme}://{parts.netloc}{folder}/{path}"

    @property
    def root(self) -> str:
        """The address above ``/v1``, where servers keep what is not in the protocol; without a slash at its end."""
        if self.socket:
            return "http://localhost"
        return self.url("").removesuffix("/").removesuffix("/v1")

    @property
    def provider(self) -> Provider | None:
        """The commercial API behind it; None for any other server."""
        return None if self.socket else provider_of(self.host)

    @property
    def takes_stream_options(self) -> bool:
        """Whether usage can be asked for in a stream."""
        return self.provider is None or self.provider.counts_streams

    @property
    def limit_name(self) -> str:
        """What the longest answer is called."""
        return self.provider.limit_name if self.provider else "max_tokens"

    @property
    def takes_local_sampling(self) -> bool:
        """Whether ``top_k``, ``min_p`` and ``repetition_penalty``, which are not in the protocol, may be sent."""
        return self.provider is None
