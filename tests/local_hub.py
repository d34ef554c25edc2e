"""A Hugging Face hub on this machine: the real protocol for the real client, with faults by rule.

Standard library only. ``LocalHub`` serves the API and ``resolve`` on 127.0.0.1 and the bytes of large files on a
"CDN" of another origin (``localhost``, another port), by links that are signed and expire, as the real one does.

    with LocalHub() as hub:
        commit = hub.add_repo("org/name", {"config.json": b"{}", "model.safetensors": Synthetic(10_000_000)})
        hub.fault("GET /cdn/", "drop", after=7_000_000, times=2)
        ...                                   # with HF_ENDPOINT=hub.url, see hub.environment
        assert hub.bytes_sent("GET /cdn/") == 10_000_000
"""

from __future__ import annotations

import hashlib
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

import yaml

from tests.hub_content import Blob, Synthetic, chunks_of, safetensors

__all__ = ["LocalHub", "Synthetic", "safetensors"]

LOGIN_PAGE = b"<!DOCTYPE html><html><body>Welcome to the airport. Please log in.</body></html>"


@dataclass
class Repo:
    """A repository: ``commits`` maps a sha to its files, ``refs`` a branch to a sha. ``readers`` are the tokens that
    may read a gated or private one. ``facts`` go into the model info as they are."""

    id: str
    gated: bool | str = False
    private: bool = False
    readers: frozenset[str] = frozenset()
    facts: dict[str, Any] = field(default_factory=dict)
    commits: dict[str, dict[str, Blob]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong for requests whose "METHOD path" matches. ``skip`` requests pass first, then ``times`` fail."""

    pattern: re.Pattern[str]
    kind: str
    times: int | None = None
    skip: int = 0
    after: int = 0
    code: int = 503
    retry_after: str = ""
    delta: int = 0
    rate: int = 0
    at: int = 0
    hits: int = 0


@dataclass
class Request:
    """One line of the log. ``sent`` counts body bytes, headers are lower-case."""

    line: str
    headers: dict[str, str]
    origin: str
    status: int = 0
    sent: int = 0
    at: float = field(default_factory=time.monotonic)


class LocalHub:
    """The server. ``tokens`` maps a known token to its user. A link to the CDN is good for ``link_seconds``. With a
    ``certificate`` (a PEM file with its key) it speaks TLS."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.certificate = certificate
        self.repos: dict[str, Repo] = {}
        self.tokens: dict[str, str] = {}
        self.faults: list[Fault] = []
        self.requests: list[Request] = []
        self.link_seconds = 3600.0
        self.page_size = 1000
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self._servers: list[ThreadingHTTPServer] = []

    def __enter__(self) -> LocalHub:
        for origin in ("hub", "cdn"):
            server = _Server(("127.0.0.1", 0), _Handler)
            server.hub, server.origin = self, origin
            if self.certificate is not None:
                trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                trust.load_cert_chain(self.certificate)
                server.socket = trust.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
            self._servers.append(server)
            threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        for server in self._servers:
            server.shutdown()
            server.server_close()

    @property
    def url(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._servers[0].server_port}"

    @property
    def cdn_url(self) -> str:
        return f"{self._scheme}://localhost:{self._servers[1].server_port}"

    @property
    def _scheme(self) -> str:
        return "https" if self.certificate else "http"

    @property
    def environment(self) -> dict[str, str]:
        """What points a process at this hub and at no proxy."""
        return {"HF_ENDPOINT": self.url, "NO_PROXY": "*", "no_proxy": "*"}

    def add_repo(
        self,
        repo: str,
        files: Mapping[str, bytes | Path | Synthetic] | Path,
        *,
        branch: str = "main",
        gated: bool | str = False,
        private: bool = False,
        readers: tuple[str, ...] = (),
        **facts: Any,
    ) -> str:
        """Commit ``files`` (the whole content, or a folder) to ``branch``; returns the commit. ``facts`` are fields
        of the model info: downloads, likes, tags, pipeline_tag, cardData, config, safetensors, ..."""
        if isinstance(files, Path):
            files = {str(item.relative_to(files)): item for item in sorted(files.rglob("*")) if item.is_file()}
        blobs = {name: Blob.of(name, source) for name, source in files.items()}
        entry = self.repos.setdefault(repo, Repo(repo))
        entry.gated, entry.private, entry.readers = gated, private, frozenset(readers)
        entry.facts |= facts
        story = f"{repo} {len(entry.commits)} " + " ".join(f"{name}:{blob.etag}" for name, blob in blobs.items())
        commit = hashlib.sha1(story.encode()).hexdigest()
        entry.commits[commit] = blobs
        entry.refs[branch] = commit
        return commit

    def fault(self, pattern: str, kind: str, **details: Any) -> Fault:
        """Add a rule. Kinds: status (code, retry_after), hang, refuse, drop, rst, stall (each ``after`` body bytes),
        slow (rate), content_length (delta), corrupt (at: a byte of the file; answers without it do not count), norange
        (with ``after``: and drop), junk."""
        rule = Fault(re.compile(pattern), kind, **details)
        self.faults.append(rule)
        return rule

    def matching(self, pattern: str) -> list[Request]:
        """The requests whose "METHOD path" matches."""
        return [request for request in list(self.requests) if re.search(pattern, request.line)]

    def bytes_sent(self, pattern: str) -> int:
        """Body bytes of the answers to matching requests."""
        return sum(request.sent for request in self.matching(pattern))

    def fault_for(self, line: str) -> Fault | None:
        with self.lock:
            for rule in self.faults:
                if rule.pattern.search(line):
                    rule.hits += 1
                    if rule.hits > rule.skip and (rule.times is None or rule.hits <= rule.skip + rule.times):
                        return rule
        return None

    def info(self, repo: Repo, commit: str, blobs: bool) -> dict[str, Any]:
        """The model info document."""
        files = repo.commits[commit]
        tags = list(repo.facts.get("tags", ()))
        siblings = [{"rfilename": name} | (_sizes(blob) if blobs else {}) for name, blob in sorted(files.items())]
        return {
            "_id": commit[:24], "id": repo.id, "modelId": repo.id, "author": repo.id.split("/")[0], "sha": commit,
            "private": repo.private, "gated": repo.gated, "disabled": False, "downloads": 0, "likes": 0,
            "trendingScore": 0, "library_name": "transformers", "pipeline_tag": "text-generation",
            "createdAt": "2026-01-01T00:00:00.000Z", "lastModified": "2026-02-01T00:00:00.000Z",
            "usedStorage": sum(blob.size for blob in files.values()), "spaces": [],
        } | repo.facts | {"tags": tags, "siblings": siblings}  # fmt: skip


def _sizes(blob: Blob) -> dict[str, Any]:
    sizes: dict[str, Any] = {"size": blob.size, "blobId": blob.git_id}
    if blob.is_lfs:
        sizes["lfs"] = {"sha256": blob.sha256, "size": blob.size, "pointerSize": 135}
    return sizes


def _eval_results(files: Mapping[str, Blob]) -> list[dict[str, Any]]:
    """The entries of ``.eval_results/*.yaml``, each beside the name of its file; a file that is none says so."""
    found: list[dict[str, Any]] = []
    for name, blob in sorted(files.items()):
        if not re.fullmatch(r"\.eval_results/[^/]+\.yaml", name) or not isinstance(blob.source, bytes):
            continue
        entries = yaml.safe_load(blob.source)
        if not isinstance(entries, list):
            found.append({"filename": name, "error": "it is not a list of results"})
            continue
        found += [{"filename": name, "data": entry} for entry in entries]
    return found


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    hub: LocalHub
    origin: str

    def handle_error(self, *_: object) -> None:
        """Clients that go away are what these tests are about."""


class _Refused(Exception):
    def __init__(self, status: int, code: str = "", message: str = "", commit: str = "") -> None:
        self.status, self.code, self.message, self.commit = status, code, message, commit


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_GET

    def _serve(self) -> None:
        self.hub = self.server.hub
        self.fault: Fault | None = None
        self.sent_head = False
        line = f"{self.command} {self.path}"
        self.record = Request(line, {name.lower(): value for name, value in self.headers.items()}, self.server.origin)
        self.hub.requests.append(self.record)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.fault = self.hub.fault_for(line)
        try:
            if self._strike():
                return
            self._route(body)
        except _Refused as refused:
            headers = {
                "X-Error-Code": refused.code,
                "X-Error-Message": refused.message,
                "X-Repo-Commit": refused.commit,
            }
            self._answer(refused.status, json.dumps({"error": refused.message}).encode(), headers)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _strike(self) -> bool:
        """Carry out a fault that needs no answer; True when the request is over."""
        kind = self.fault.kind if self.fault else ""
        if kind == "status" and self.fault:
            headers = {"Retry-After": self.fault.retry_after}
            self._answer(self.fault.code, b'{"error":"a fault by rule"}', headers)
        elif kind == "junk":
            self._answer(200, LOGIN_PAGE, {"Content-Type": "text/html"})
        elif kind == "hang":
            self.hub.closing.wait()
            self.close_connection = True
        elif kind == "refuse":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        else:
            return False
        return True

    def _route(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if self.server.origin == "cdn":
            return self._cdn(path, query)
        path = path.removeprefix("/datasets") if "/resolve" in path else path  # data sets are repositories like others
        if path == "/api/whoami-v2":
            return self._whoami()
        if path == "/api/models":
            return self._search(query)
        if found := re.fullmatch(r"/api/resolve-cache/models/(.+?/.+?)/([0-9a-f]{40})/(.+)", path):
            repo, commit = self._repo(found[1], found[2], files=True)
            return self._content(self._blob(repo, commit, found[3]), {"X-Repo-Commit": commit})
        if found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/([^/]+)(?:/([^/]+)(/.*)?)?)?", path):
            return self._api(found[1], found[2] or "", found[3] or "", query, body)
        if found := re.fullmatch(r"/([^/]+/[^/]+)/(?:resolve|raw)/([^/]+)/(.+)", path):
            return self._resolve(found[1], found[2], found[3])
        raise _Refused(404, message="no such page")

    def _token(self) -> str:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ").strip()
        if token and token not in self.hub.tokens:
            raise _Refused(401, message="Invalid credentials in Authorization header")
        return token

    def _repo(self, repo_id: str, revision: str, *, files: bool = False) -> tuple[Repo, str]:
        token, repo = self._token(), self.hub.repos.get(repo_id)
        if repo is None or (repo.private and token not in repo.readers):
            raise _Refused(404 if token else 401, "RepoNotFound", "Repository not found")
        if files and repo.gated and token not in repo.readers:
            words = f"Access to model {repo_id} is restricted. You must have access to it and be authenticated."
            raise _Refused(403 if token else 401, "GatedRepo", words)
        commit = repo.refs.get(revision, revision)
        if commit not in repo.commits:
            raise _Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo, commit

    def _blob(self, repo: Repo, commit: str, path: str) -> Blob:
        blob = repo.commits[commit].get(path)
        if blob is None:
            raise _Refused(404, "EntryNotFound", "Entry not found", commit)
        return blob

    def _whoami(self) -> None:
        token = self._token()
        if not token:
            raise _Refused(401, message="Invalid username or password.")
        auth = {"type": "access_token", "accessToken": {"displayName": "test", "role": "read"}}
        self._json(
            {"type": "user", "id": "1", "name": self.hub.tokens[token], "fullname": "", "orgs": [], "auth": auth}
        )

    def _search(self, query: dict[str, list[str]]) -> None:
        token = self._token()
        found = []
        for repo in self.hub.repos.values():
            if repo.private and token not in repo.readers:
                continue
            found.append(self.hub.info(repo, next(reversed(repo.commits)), blobs=False))
        text = query.get("search", [""])[0].casefold()
        found = [info for info in found if text in info["id"].casefold()]
        if author := query.get("author"):
            found = [info for info in found if info["author"] == author[0]]
        for tag in query.get("filter", []):
            found = [
                info
                for info in found
                if {*tag.split(",")} <= {*info["tags"], info["pipeline_tag"], info["library_name"]}
            ]
        if task := query.get("pipeline_tag"):
            found = [info for info in found if info["pipeline_tag"] == task[0]]
        if bounds := query.get("num_parameters"):
            found = [info for info in found if _in_bounds(info, bounds[0])]
        if gated := query.get("gated"):
            found = [info for info in found if bool(info["gated"]) == (gated[0].lower() == "true")]
        found.sort(key=lambda info: info.get(query.get("sort", ["downloads"])[0], 0) or 0, reverse=True)
        start = int(query.get("cursor", ["0"])[0])
        size = min(self.hub.page_size, int(query.get("limit", ["1000"])[0]))
        headers = {}
        if start + size < len(found):
            more = urlencode(query | {"cursor": [str(start + size)]}, doseq=True)
            headers["Link"] = f'<{self.hub.url}/api/models?{more}>; rel="next"'
        page = [self._shown(info, query) for info in found[start : start + size]]
        self._json(page, headers)

    def _shown(self, info: dict[str, Any], query: dict[str, list[str]]) -> dict[str, Any]:
        if expand := query.get("expand"):
            if "evalResults" in expand:  # the real hub sends them to those alone that ask for them
                repo = self.hub.repos[info["id"]]
                info = info | {"evalResults": _eval_results(repo.commits[info["sha"]])}
            return {name: info[name] for name in ("_id", "id", "modelId", *expand) if name in info}
        hidden = () if "full" in query else ("siblings", "sha", "lastModified", "usedStorage")
        return {name: value for name, value in info.items() if name not in hidden}

    def _api(self, repo_id: str, verb: str, revision: str, query: dict[str, list[str]], body: bytes) -> None:
        repo, commit = self._repo(repo_id, revision or "main")
        if verb in ("", "revision"):
            info = self.hub.info(repo, commit, blobs="blobs" in query)
            self._json(self._shown(info, query) if "expand" in query else info)
        elif verb == "tree":
            self._json([_entry(name, blob) for name, blob in sorted(repo.commits[commit].items())])
        elif verb == "paths-info":
            form = parse_qs(body.decode()) if not body.startswith(b"{") else json.loads(body)
            self._json([_entry(name, blob) for name, blob in repo.commits[commit].items() if name in form["paths"]])
        elif verb == "refs":
            branches = [
                {"name": name, "ref": f"refs/heads/{name}", "targetCommit": sha} for name, sha in repo.refs.items()
            ]
            self._json({"branches": branches, "tags": [], "converts": []})
        elif verb == "commits":
            listed = [
                {"id": sha, "title": "commit", "message": "", "date": "2026-01-01T00:00:00.000Z", "authors": []}
                for sha in repo.commits
            ]
            self._json(listed[::-1])
        elif verb == "auth-check":
            self._repo(repo_id, "main", files=True)
            self._json({})
        else:
            raise _Refused(404, message="no such page")

    def _resolve(self, repo_id: str, revision: str, path: str) -> None:
        repo, commit = self._repo(repo_id, revision, files=True)
        blob = self._blob(repo, commit, path)
        headers = {"X-Repo-Commit": commit, "X-Linked-Size": str(blob.size), "X-Linked-Etag": f'"{blob.etag}"'}
        if blob.is_lfs:
            expires = time.time() + self.hub.link_seconds
            headers["Location"] = f"{self.hub.cdn_url}/cdn/{repo_id}/{blob.sha256}?expires={expires:.3f}&signature=x"
            self._answer(302, b"", headers)
        else:  # the real hub answers with a relative redirect to its own cache
            headers["Location"] = f"/api/resolve-cache/models/{repo_id}/{commit}/{quote(path)}"
            self._answer(307, b"", headers)

    def _cdn(self, path: str, query: dict[str, list[str]]) -> None:
        sha256 = path.rsplit("/", 1)[-1]
        if float(query.get("expires", ["0"])[0]) < time.time():
            raise _Refused(403, message="AccessDenied: the link has expired")
        for repo in self.hub.repos.values():
            for blobs in repo.commits.values():
                for blob in blobs.values():
                    if blob.sha256 == sha256 and blob.is_lfs:
                        return self._content(blob, {})
        raise _Refused(404, message="NoSuchKey")

    def _content(self, blob: Blob, headers: dict[str, str]) -> None:
        start, end, status = 0, blob.size, 200
        wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if wanted and not (self.fault and self.fault.kind == "norange"):
            if not wanted[1]:
                start = max(0, blob.size - int(wanted[2]))
            else:
                start, end = int(wanted[1]), min(blob.size, int(wanted[2]) + 1 if wanted[2] else blob.size)
            if start >= blob.size:
                return self._answer(416, b"", {"Content-Range": f"bytes */{blob.size}"})
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{blob.size}"
        if self.fault and self.fault.kind == "corrupt" and not start <= self.fault.at < end:
            with self.hub.lock:
                self.fault.hits -= 1
            self.fault = None
        delta = self.fault.delta if self.fault and self.fault.kind == "content_length" else 0
        headers |= {"ETag": f'"{blob.etag}"', "Accept-Ranges": "bytes", "Content-Length": str(end - start + delta)}
        self._head(status, headers)
        if self.command != "HEAD":
            self._send(blob, start, end)
            self.close_connection = self.close_connection or bool(delta)

    def _send(self, blob: Blob, start: int, end: int) -> None:
        kind, rule = (self.fault.kind, self.fault) if self.fault else ("", None)
        limit = (
            rule.after if rule and (kind in ("drop", "rst", "stall") or (kind == "norange" and rule.after)) else None
        )
        self.wfile.flush()
        if isinstance(blob.source, Path) and rule is None:
            with blob.source.open("rb") as file:
                self.record.sent += self.connection.sendfile(file, start, end - start)
            return
        for whole in chunks_of(blob.source, start, end):
            piece = _flipped(whole, rule.at - start) if rule and kind == "corrupt" else whole
            if limit is not None:
                piece = piece[: limit - self.record.sent]
            step = max(1, rule.rate // 20) if rule and kind == "slow" else len(piece) or 1
            for at in range(0, len(piece), step):
                self.connection.sendall(piece[at : at + step])
                self.record.sent += len(piece[at : at + step])
                if kind == "slow" and self.hub.closing.wait(0.05):
                    return
            start += len(piece)
            if limit is not None and self.record.sent >= limit:
                return self._break_off(kind)

    def _break_off(self, kind: str) -> None:
        self.close_connection = True
        if kind == "stall":
            self.hub.closing.wait()
        elif kind == "rst":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def _json(self, document: Any, headers: dict[str, str] | None = None) -> None:
        self._answer(200, json.dumps(document).encode(), {"Content-Type": "application/json"} | (headers or {}))

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))})
        if self.fault and self.fault.kind in ("drop", "rst", "stall"):
            self.wfile.write(body[: self.fault.after])
            self._break_off(self.fault.kind)
        elif self.command != "HEAD":
            self.wfile.write(body)
            self.record.sent += len(body)

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.record.status = status
        self.send_response(status)
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()


def _flipped(piece: bytes | memoryview, at: int) -> bytes | memoryview:
    if not 0 <= at < len(piece):
        return piece
    flipped = bytearray(piece)
    flipped[at] ^= 0xFF
    return bytes(flipped)


def _in_bounds(info: dict[str, Any], bounds: str) -> bool:
    number = (info.get("safetensors") or {}).get("total") or 0
    for part in bounds.split(","):
        name, _, value = part.partition(":")
        bound = float(value[:-1]) * {"K": 1e3, "M": 1e6, "B": 1e9}[value[-1]]
        if number < bound if name == "min" else number > bound:
            return False
    return number > 0


def _entry(name: str, blob: Blob) -> dict[str, Any]:
    entry: dict[str, Any] = {"type": "file", "path": name, "size": blob.size, "oid": blob.git_id}
    if blob.is_lfs:
        entry["lfs"] = {"oid": blob.sha256, "size": blob.size, "pointerSize": 135}
    return entry
