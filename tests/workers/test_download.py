"""What a download leaves behind: a cache that every other tool is content with, a build, or a reason in words."""

from __future__ import annotations

import fcntl
import hashlib
import http.server
import os
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.local_hub import LocalHub, Synthetic, safetensors
from tests.patience import patient
from tui.catalog.library import Library
from tui.catalog.provenance import read_provenance
from tui.errors import BuildBrokenError, HeftError, HubUnreachableError, NotAllowedError, NotFoundError
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.starter import MODEL_ID, starter_folder
from tui.workers import download
from tui.workers.reporter import Reporter

REPO = "org/model"
TOKEN = "hf_aTokenThatMustNotLeak"
FILES = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": safetensors(3_000_000),
    "pytorch_model.bin": Synthetic(3_000_000, seed=1),
    "onnx/model.onnx": Synthetic(500_000, seed=2),
    ".gitattributes": b"*.safetensors filter=lfs\n",
    "README.md": b"# A card\n",
}

Download = Callable[..., dict]


@pytest.fixture
def pull(reporter: Callable[..., Reporter]) -> Download:
    def run(repo: str = REPO, revision: str = "", **more: str) -> dict:
        return download.run(reporter(Kind.DOWNLOAD, {"model": repo, "repo": repo, "revision": revision, **more}))

    return run


def test_huggingface_hub_is_content_with_the_cache(hub: LocalHub, pull: Download, paths: Paths) -> None:
    commit = hub.add_repo(REPO, FILES)
    result = pull()
    assert result["revision"] == commit
    assert result["bytes"] == 23 + 3_000_000 + 9
    from huggingface_hub import HfApi, scan_cache_dir, snapshot_download

    scan = scan_cache_dir(paths.hub_cache)
    assert not scan.warnings
    (repo,) = scan.repos
    (revision,) = repo.revisions
    assert (repo.repo_id, revision.commit_hash, set(revision.refs)) == (REPO, commit, {"main"})
    assert {file.file_name for file in revision.files} == {"config.json", "model.safetensors", "README.md"}
    # constants were read when huggingface_hub was imported, so the hub's address is given here
    verified = HfApi(endpoint=hub.url).verify_repo_checksums(REPO, cache_dir=paths.hub_cache)
    assert (verified.checked_count, verified.mismatches) == (3, [])
    assert set(verified.missing_paths) == {"pytorch_model.bin", "onnx/model.onnx", ".gitattributes"}
    sent = len(hub.matching("GET .*/(cdn|resolve)"))
    patterns = ["*.json", "*.safetensors", "*.md"]
    again = snapshot_download(REPO, cache_dir=paths.hub_cache, endpoint=hub.url, allow_patterns=patterns)
    assert again == result["path"]
    assert len(hub.matching("GET .*/(cdn|resolve)")) == sent, "the client fetched again what is there"
    assert snapshot_download(REPO, cache_dir=paths.hub_cache, local_files_only=True, allow_patterns=patterns) == again


def test_what_the_client_has_fetched_is_not_fetched_again(hub: LocalHub, pull: Download, paths: Paths) -> None:
    hub.add_repo(REPO, FILES)
    from huggingface_hub import hf_hub_download

    hf_hub_download(REPO, "model.safetensors", cache_dir=paths.hub_cache, endpoint=hub.url)
    sent = hub.bytes_sent("GET /cdn/")
    pull()
    assert hub.bytes_sent("GET /cdn/") == sent


def test_a_second_run_asks_one_question_and_is_quick(hub: LocalHub, pull: Download) -> None:
    hub.add_repo(REPO, FILES)
    first = pull()
    before = len(hub.requests)
    begun = time.monotonic()
    assert pull() == first
    assert time.monotonic() - begun < patient(2)
    assert [request.line for request in hub.requests[before:]] == [f"GET /api/models/{REPO}?blobs=true"]


def test_a_new_commit_costs_its_new_files_only(hub: LocalHub, pull: Download, paths: Paths) -> None:
    first = hub.add_repo(REPO, FILES)
    pull()
    second = hub.add_repo(REPO, FILES | {"config.json": b'{"model_type": "gpt2"}'})
    before = len(hub.requests)
    result = pull()
    assert result["revision"] == second
    assert not [request for request in hub.requests[before:] if "/cdn/" in request.line]
    assert (Path(result["path"]) / "config.json").read_bytes() == b'{"model_type": "gpt2"}'
    assert (paths.hub_cache / "models--org--model/refs/main").read_text() == second
    old = pull(revision=first)
    assert (Path(old["path"]) / "config.json").read_bytes() == b'{"model_type": "llama"}'
    assert (paths.hub_cache / "models--org--model/refs/main").read_text() == second


def test_a_branch_is_a_ref_of_its_own(hub: LocalHub, pull: Download, paths: Paths) -> None:
    commit = hub.add_repo(REPO, FILES, branch="refs-test")
    result = pull(revision="refs-test")
    assert result["revision"] == commit
    assert (paths.hub_cache / "models--org--model/refs/refs-test").read_text() == commit


@pytest.mark.parametrize(
    ("token", "words", "hint"),
    [
        ("", "is gated: its terms must be accepted first, and no token is set", "/org/gated"),
        ("hf_stranger0", "is gated, and your token has no access", "/org/gated"),
        ("hf_wrongtoken", "the hub refuses the token", "settings/tokens"),
    ],
)
def test_a_gate_says_which_it_is(
    hub: LocalHub, pull: Download, monkeypatch: pytest.MonkeyPatch, token: str, words: str, hint: str
) -> None:
    hub.tokens["hf_stranger0"] = "ann"
    hub.add_repo("org/gated", FILES, gated="manual", readers=(TOKEN,))
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(NotAllowedError, match=words) as caught:
        pull("org/gated")
    assert hint in caught.value.hint
    assert token not in caught.value.summary + caught.value.hint or not token


def test_the_token_goes_to_the_hub_and_nowhere_else(
    hub: LocalHub, pull: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.tokens[TOKEN] = "ann"
    hub.add_repo("org/gated", FILES, gated="manual", private=True, readers=(TOKEN,))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    pull("org/gated")
    at_hub = [request for request in hub.requests if request.origin == "hub"]
    at_storage = [request for request in hub.requests if request.origin == "cdn"]
    assert at_hub and all(request.headers["authorization"] == f"Bearer {TOKEN}" for request in at_hub)
    assert at_storage and not any(TOKEN in str(request.headers) + request.line for request in at_storage)


@pytest.mark.parametrize(
    ("repo", "revision", "error", "words"),
    [
        ("org/none", "", NotFoundError, "the hub has no repository org/none"),
        (REPO, "v9", NotFoundError, "org/model has no revision 'v9'"),
        ("../etc", "", NotFoundError, "is not the name of a repository"),
    ],
)
def test_what_is_not_there(
    hub: LocalHub, pull: Download, repo: str, revision: str, error: type[HeftError], words: str
) -> None:
    hub.add_repo(REPO, FILES)
    with pytest.raises(error, match=words):
        pull(repo, revision)


@pytest.mark.parametrize("kind", ["hang", "refuse", "junk", "stall"])
def test_a_hub_that_does_not_answer_is_named(hub: LocalHub, pull: Download, paths: Paths, kind: str) -> None:
    paths.settings_file.write_text("[hub]\ntimeout = 1.5\n")  # 10 s unless set; never more than 15
    hub.add_repo(REPO, FILES)
    hub.fault("GET /api/", kind)
    begun = time.monotonic()
    with pytest.raises(HubUnreachableError, match=hub.url) as caught:
        pull()
    assert time.monotonic() - begun < patient(6)
    assert caught.value.hint


def test_offline_what_is_here_is_enough(hub: LocalHub, pull: Download, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_repo("heft/starter", starter_folder())
    first = pull("heft/starter")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    before = len(hub.requests)
    assert pull("heft/starter")["path"] == first["path"]
    with pytest.raises(HubUnreachableError, match="offline mode is on"):
        pull(REPO)
    assert len(hub.requests) == before


def test_a_lock_of_another_program_is_waited_for_and_its_work_is_used(
    hub: LocalHub, pull: Download, paths: Paths, until: Callable[..., object]
) -> None:
    hub.add_repo(REPO, FILES)
    weights = b"".join(FILES["model.safetensors"].chunks(0, 3_000_000))  # type: ignore[union-attr]
    name = hashlib.sha256(weights).hexdigest()
    lock = paths.hub_cache / ".locks/models--org--model" / f"{name}.lock"
    lock.parent.mkdir(parents=True)
    results: list[dict] = []
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: results.append(pull()))
        thread.start()
        config = paths.hub_cache / "models--org--model/blobs"
        until(lambda: config.is_dir() and len([p for p in config.iterdir() if "incomplete" not in p.name]) == 2)
        assert not hub.matching("GET /cdn/")
        (config / name).write_bytes(weights)
    thread.join(20)
    assert (Path(results[0]["path"]) / "model.safetensors").read_bytes() == weights
    assert not hub.matching("GET /cdn/")


def test_a_proxy_of_the_environment_is_used_and_never_sees_another_token(
    hub: LocalHub, pull: Download, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(urlsplit(self.path).netloc + " " + self.headers.get("Proxy-Authorization", ""))
            headers = {name: value for name, value in self.headers.items() if not name.lower().startswith("proxy-")}
            with urlopen(Request(self.path, headers=headers)) as answer:
                body = answer.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    hub.add_repo(REPO, FILES)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setattr("urllib.request.getproxies", dict)  # the proxy itself goes straight
    monkeypatch.setenv("http_proxy", f"http://user:secret@127.0.0.1:{server.server_port}")
    try:
        pull()
    finally:
        server.shutdown()
        server.server_close()
    hosts = {urlsplit(hub.url).netloc}
    assert hosts <= {line.split()[0] for line in seen}
    assert all("Basic dXNlcjpzZWNyZXQ=" in line for line in seen)


def test_names_that_leave_the_folder_are_refused(hub: LocalHub, pull: Download, paths: Paths) -> None:
    hub.add_repo(REPO, {"config.json": b"{}", "../../../../evil.safetensors": Synthetic(100)})
    with pytest.raises(HeftError):
        pull()
    assert not list(paths.hub_cache.rglob("evil*"))
    assert not list(paths.data.parent.rglob("evil*"))


# --- folders


def test_the_starter_becomes_a_build_of_its_own(pull: Download, paths: Paths) -> None:
    source = starter_folder()
    result = pull(str(source), model=MODEL_ID, name="heft-starter")
    folder = paths.builds / "heft-starter"
    assert result == {"build": "heft-starter", "path": str(folder), "revision": "", "bytes": result["bytes"]}
    facts = read_provenance(folder)
    assert facts["model"] == MODEL_ID and facts["repo"] == str(source) and facts["created"]
    for name, sha256 in facts["files"].items():
        assert hashlib.sha256((source / name).read_bytes()).hexdigest() == sha256
        assert (folder / name).read_bytes() == (source / name).read_bytes()
    build = Library(paths).build("heft-starter")
    assert (build.problem, build.model, build.precision) == ("", MODEL_ID, facts["precision"])
    assert [path.name for path in paths.builds.iterdir()] == ["heft-starter"]


def test_a_second_copy_touches_nothing(pull: Download, paths: Paths) -> None:
    pull(str(starter_folder()), name="heft-starter")
    before = (paths.builds / "heft-starter").stat().st_ino
    pull(str(starter_folder()), name="heft-starter")
    assert (paths.builds / "heft-starter").stat().st_ino == before
    assert [path.name for path in paths.builds.iterdir()] == ["heft-starter"]


def test_a_damaged_copy_is_made_anew(pull: Download, paths: Paths) -> None:
    pull(str(starter_folder()), name="heft-starter")
    weights = paths.builds / "heft-starter/model.safetensors"
    os.truncate(weights, 1000)
    pull(str(starter_folder()), name="heft-starter")
    assert weights.stat().st_size == (starter_folder() / "model.safetensors").stat().st_size
    assert Library(paths).build("heft-starter").problem == ""


def test_a_folder_that_is_no_model_leaves_nothing(pull: Download, paths: Paths, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/config.json").write_text("{}")
    with pytest.raises(BuildBrokenError, match="is not a whole model"):
        pull(str(tmp_path / "notes"), name="notes")
    with pytest.raises(NotFoundError, match="is gone"):
        pull(str(tmp_path / "never"), name="never")
    with pytest.raises(HeftError, match="cannot be the name"):
        pull(str(starter_folder()), name="../outside")
    assert list(paths.builds.iterdir()) == []


def test_localhost_is_another_origin_than_its_number(hub: LocalHub) -> None:
    assert urlsplit(hub.url).hostname != urlsplit(hub.cdn_url).hostname
    assert socket.gethostbyname("localhost") == "127.0.0.1"
