"""The way the real hub is reached: TLS, directly and through a proxy's tunnel."""

from __future__ import annotations

import select
import shutil
import socket
import socketserver
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local_hub import LocalHub, safetensors
from tui.errors import HubUnreachableError
from tui.jobs.job import Kind
from tui.workers import download, transfer_connection
from tui.workers.reporter import Reporter

REPO = "org/model"
SPEC = {"model": REPO, "repo": REPO, "revision": ""}

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the test's certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    subprocess.run([*command.split(), "-addext", names], cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def secure_hub(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    monkeypatch.setattr(transfer_connection, "_trusted", None)
    with LocalHub(certificate) as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        hub.add_repo(REPO, {"config.json": b"{}", "model.safetensors": safetensors(5_000_000)})
        yield hub


def test_bytes_come_over_tls(
    secure_hub: LocalHub, certificate: Path, monkeypatch: pytest.MonkeyPatch, reporter: Callable[..., Reporter]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure_hub.fault("GET /cdn/", "drop", after=1_000_000, times=1)
    result = download.run(reporter(Kind.DOWNLOAD, SPEC))
    assert (Path(result["path"]) / "model.safetensors").stat().st_size == 5_000_000
    assert all(url.startswith("https://") for url in (secure_hub.url, secure_hub.cdn_url))


def test_a_certificate_that_nobody_signed_is_refused_at_once(
    secure_hub: LocalHub, reporter: Callable[..., Reporter]
) -> None:
    with pytest.raises(HubUnreachableError, match="certificate") as caught:
        download.run(reporter(Kind.DOWNLOAD, SPEC))
    assert "SSL_CERT_FILE" in caught.value.hint
    connector = transfer_connection.Connector(secure_hub.url, {}, 5)
    with pytest.raises(HubUnreachableError, match=r"127.0.0.1 cannot be trusted: self.signed certificate"):
        connector.get(secure_hub.url + "/api/models", 0, 1, whole=True)


def test_a_tunnel_through_a_proxy(
    secure_hub: LocalHub, certificate: Path, monkeypatch: pytest.MonkeyPatch, reporter: Callable[..., Reporter]
) -> None:
    asked: list[bytes] = []

    class Tunnel(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = b""
            while b"\r\n\r\n" not in head:
                head += self.connection.recv(4096)
            asked.append(head)
            host, port = head.split()[1].decode().rsplit(":", 1)
            with socket.create_connection((host, int(port))) as far:
                self.connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                ends = {self.connection: far, far: self.connection}
                while ready := select.select(list(ends), [], [], 10)[0]:
                    for end in ready:
                        if not (data := end.recv(65536)):
                            return
                        ends[end].sendall(data)

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel) as proxy:
        proxy.daemon_threads = True
        threading.Thread(target=proxy.serve_forever, args=(0.05,), daemon=True).start()
        monkeypatch.setenv("https_proxy", f"http://user:secret@127.0.0.1:{proxy.server_address[1]}")
        result = download.run(reporter(Kind.DOWNLOAD, SPEC))
        proxy.shutdown()
    assert (Path(result["path"]) / "model.safetensors").stat().st_size == 5_000_000
    assert {head.split()[1].rsplit(b":", 1)[0] for head in asked} == {b"127.0.0.1", b"localhost"}
    assert all(b"Basic dXNlcjpzZWNyZXQ=" in head for head in asked)
    assert not any("proxy-authorization" in request.headers for request in secure_hub.requests)


def test_a_proxy_of_another_kind_is_named(
    secure_hub: LocalHub, monkeypatch: pytest.MonkeyPatch, reporter: Callable[..., Reporter]
) -> None:
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:1")
    connector = transfer_connection.Connector(secure_hub.url, {}, 5)
    with pytest.raises(HubUnreachableError, match=r"the proxy 127\.0\.0\.1 is of the kind socks5"):
        connector.get(secure_hub.url + "/x", 0, 1, whole=True)
