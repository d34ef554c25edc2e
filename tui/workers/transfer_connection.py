"""HTTP for moving bytes: one thread's connections, with redirects, proxies and the rule of where the token may go.

http.client reads straight into one buffer, which costs a quarter of the CPU of the client libraries (see
``tests/benchmarks/download.py``). What the network does wrong comes out as ``LinkBroken``, so that it can never be
taken for a full disk.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import socket
import ssl
import threading
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from tui.errors import HubUnreachableError

_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5


class LinkBroken(Exception):
    """The network failed: refused, reset, silent, or not HTTP. ``str()`` says where and how."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for; ``headers`` in lower case."""

    url: str
    headers: Mapping[str, str]


class Answer:
    """A response whose body is read into the caller's buffer. ``length`` counts body bytes, None when not said."""

    def __init__(self, request: Request, response: http.client.HTTPResponse, link: http.client.HTTPConnection) -> None:
        self.request = request
        self.url = request.url
        self.status_code = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.length = response.length
        self._response = response
        self._link = link
        self._left = response.length

    def receive(self, buffer: memoryview) -> int:
        """Read what is there now, at least one byte, into ``buffer``; 0 at the end. Raises ``LinkBroken``."""
        try:
            if self._left is None:
                return self._response.readinto(buffer)
            if self._left == 0:
                return 0
            # readinto of the response itself would wait for a full buffer: no progress, and a late cancel
            number = self._response.fp.readinto1(buffer[: self._left])
            self._left -= number
            return number
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            raise LinkBroken(_trouble(self.url, error)) from error

    def close(self) -> None:
        """Be done with this answer; the connection is kept only when the body was read to its end."""
        whole = self._left == 0
        with contextlib.suppress(OSError, ValueError):
            self._response.close()
        if not whole:
            self._link.close()


class Connector:
    """The connections of one thread. ``headers`` (with the token) go to ``endpoint``'s origin and nowhere else;
    ``timeout`` is seconds of silence."""

    def __init__(self, endpoint: str, headers: Mapping[str, str], timeout: float) -> None:
        self._home = origin_of(endpoint)
        self._headers = dict(headers)
        self._timeout = timeout
        self._links: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._lock = threading.Lock()
        self._aborted = False
        self._socket: socket.socket | None = None

    def get(self, url: str, start: int, end: int, whole: bool) -> Answer:
        """Ask for the bytes ``start`` to ``end`` (exclusive) of ``url``, following redirects; ``whole`` asks without a
        range. The answer may have any status. Raises ``LinkBroken`` or ``HubUnreachableError`` (certificates, proxy).
        """
        for _ in range(_MOST_REDIRECTS + 1):
            answer = self._ask(url, {} if whole else {"range": f"bytes={start}-{end - 1}"})
            target = answer.headers.get("location")
            if answer.status_code not in _REDIRECTS or not target:
                return answer
            answer.close()
            following = urljoin(url, target)
            if not following.startswith("https:") and not (following.startswith("http:") and url.startswith("http:")):
                raise LinkBroken("redirected to an address that is not safe to follow")
            url = following
        raise LinkBroken(f"redirected more than {_MOST_REDIRECTS} times")

    def abort(self) -> None:
        """From another thread: break every connection, so that a blocked read ends now."""
        with self._lock:
            self._aborted = True
            sockets = [link.sock for link in self._links.values()] + [self._socket]
        for each in sockets:
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close what is open."""
        for link in self._links.values():
            link.close()
        self._links.clear()

    def _ask(self, url: str, extra: Mapping[str, str]) -> Answer:
        parts = urlsplit(url)
        headers = {"accept-encoding": "identity", **extra}
        for name, value in self._headers.items():
            if name != "authorization" or origin_of(url) == self._home:
                headers[name] = value
        request = Request(url, headers)
        link, target, proxy_headers = self._link(parts)
        fresh = link.sock is None
        try:
            return self._send(link, target, headers | proxy_headers, request)
        except (ConnectionError, http.client.BadStatusLine) as error:
            link.close()
            if fresh:
                raise LinkBroken(_trouble(url, error)) from error
        except ssl.SSLCertVerificationError as error:
            raise HubUnreachableError(
                f"{parts.hostname} cannot be trusted: {error.verify_message}",
                "a proxy that replaces certificates? Set SSL_CERT_FILE to its CA",
                passing=False,
            ) from None
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            link.close()
            raise LinkBroken(_trouble(url, error)) from error
        try:  # an idle connection that the server had closed: once more on a new one
            return self._send(link, target, headers | proxy_headers, request)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            link.close()
            raise LinkBroken(_trouble(url, error)) from error

    def _send(
        self, link: http.client.HTTPConnection, target: str, headers: Mapping[str, str], request: Request
    ) -> Answer:
        with self._lock:
            if self._aborted:
                raise LinkBroken("stopped")
        link.request("GET", target, headers=dict(headers))
        self._socket = link.sock  # http.client forgets it when the server will close the connection
        return Answer(request, link.getresponse(), link)

    def _link(self, parts: SplitResult) -> tuple[http.client.HTTPConnection, str, dict[str, str]]:
        host, port = parts.hostname or "", parts.port
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = proxy_for(parts.scheme, parts.netloc.rpartition("@")[2])
        key = (f"{parts.scheme}://{host}:{port}", proxy.geturl() if proxy else "")
        proxy_headers = _proxy_headers(proxy)
        if proxy and parts.scheme == "http":
            target = parts._replace(fragment="").geturl()
        link = self._links.get(key)
        if link is None:
            link = self._new_link(parts.scheme, host, port, proxy)
            with self._lock:
                self._links[key] = link
        return link, target, proxy_headers if proxy and parts.scheme == "http" else {}

    def _new_link(
        self, scheme: str, host: str, port: int | None, proxy: SplitResult | None
    ) -> http.client.HTTPConnection:
        if proxy is not None and proxy.scheme != "http":
            raise HubUnreachableError(
                f"the proxy {proxy.hostname} is of the kind {proxy.scheme}, which downloads cannot use",
                "set HTTPS_PROXY to an http:// proxy",
            )
        near, near_port = (proxy.hostname or "", proxy.port or 80) if proxy else (host, port)
        if scheme != "https":
            return http.client.HTTPConnection(near, near_port, timeout=self._timeout)
        link = http.client.HTTPSConnection(near, near_port, timeout=self._timeout, context=_trust())
        if proxy is not None:
            link.set_tunnel(host, port or 443, headers=_proxy_headers(proxy))
        return link


def origin_of(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of ``url``."""
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def proxy_for(scheme: str, host: str) -> SplitResult | None:
    """The proxy that the environment names for this scheme and ``host[:port]``, None for the direct way."""
    proxies = urllib.request.getproxies_environment()
    address = proxies.get(scheme) or proxies.get("all")
    if not address or urllib.request.proxy_bypass(host):
        return None
    return urlsplit(address if "://" in address else f"http://{address}")


def _trouble(url: str, error: BaseException) -> str:
    """Who failed and how, in few words."""
    return f"{origin_of(url)[1]}: {_reason(error)}"


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "stalled, no answer in time"
    if isinstance(error, socket.gaierror):
        return f"its address was not found ({error.strerror})"
    if isinstance(error, http.client.RemoteDisconnected):
        return "the connection was closed without an answer"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return str(error) or type(error).__name__


def _proxy_headers(proxy: SplitResult | None) -> dict[str, str]:
    if proxy is None or not proxy.username:
        return {}
    login = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"proxy-authorization": "Basic " + base64.b64encode(login.encode()).decode()}


_trust_lock = threading.Lock()
_trusted: ssl.SSLContext | None = None


def _trust() -> ssl.SSLContext:
    """The same certificates that browsing the hub trusts."""
    global _trusted
    with _trust_lock:
        if _trusted is None:
            import httpx2

            _trusted = httpx2.create_ssl_context()
            _trusted.set_alpn_protocols(["http/1.1"])
        return _trusted
