"""The live hub, against a server that speaks its protocol: answers, refusals, silence, and what never leaves here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.local_hub import LocalHub, Synthetic
from tests.patience import patient
from tui.catalog.hub import Hub, hub_error
from tui.catalog.hub_answers import read_model
from tui.errors import HeftError, HubUnreachableError, NotAllowedError, NotFoundError, UsageError
from tui.paths import Paths
from tui.settings import HubSettings, Settings

TOKEN = "hf_secretsecretsecret"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        yield hub


def make_hub(paths: Paths, seconds: float = 10.0) -> Hub:
    return Hub(paths, replace(Settings(), hub=HubSettings(timeout=seconds)))


FILES: dict[str, Any] = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": Synthetic(5000),
    "README.md": b"# Hi",
}


def test_search_gives_models_in_our_words(server: LocalHub, paths: Paths) -> None:
    server.add_repo(
        "org/tiny-llama",
        FILES,
        downloads=10,
        likes=3,
        gated="auto",
        tags=["safetensors", "conversational", "license:apache-2.0"],
        safetensors={"parameters": {"BF16": 1_000_000}, "total": 1_000_000},
        config={"architectures": ["LlamaForCausalLM"], "model_type": "llama"},
    )
    server.add_repo("org/other-llama", FILES, downloads=20)
    server.add_repo("org/elephant", FILES, downloads=30)
    hub = make_hub(paths)
    found = hub.search("llama")
    assert [model.id for model in found] == ["org/other-llama", "org/tiny-llama"]
    model = found[1]
    assert (model.params, model.weights_bytes, model.shape.dtype) == (1_000_000, 2_000_000, "bfloat16")
    assert (model.kind, model.license, model.commercial_use, model.gated) == ("chat", "Apache-2.0", "yes", True)
    assert (model.downloads, model.likes, model.updated, model.released) == (10, 3, "2026-02-01", "2026-01")
    assert (model.vendor, model.name, model.source, model.formats) == ("org", "tiny-llama", "hub", ("safetensors",))
    assert hub.search("llama", limit=1) == found[:1]
    assert hub.search("nothing-like-it") == []
    assert len(hub.search("", task="text-generation")) == 3 and hub.search("", task="translation") == []


def test_search_follows_pages_but_never_to_another_server(server: LocalHub, paths: Paths) -> None:
    for number in range(7):
        server.add_repo(f"org/m{number}", FILES, downloads=number)
    server.page_size = 3
    assert [model.name for model in make_hub(paths).search("m", limit=6)] == ["m6", "m5", "m4", "m3", "m2", "m1"]
    assert len(make_hub(paths).search("m", limit=50)) == 7
    assert len(server.matching("GET /api/models")) == 2 + 3


def test_a_page_that_fails_leaves_the_first(server: LocalHub, paths: Paths) -> None:
    for number in range(4):
        server.add_repo(f"org/m{number}", FILES)
    server.page_size = 2
    server.fault("cursor=2", "status", code=500)
    assert len(make_hub(paths).search("m")) == 2


def test_repository_gives_commit_files_and_checksums(server: LocalHub, paths: Paths) -> None:
    old = server.add_repo("org/m", {"config.json": b"{}"})
    commit = server.add_repo("org/m", FILES, gated="manual")
    found = make_hub(paths).repository("org/m")
    assert (found.repo, found.commit, found.gated) == ("org/m", commit, True)
    files = {file.path: file for file in found.files}
    assert files.keys() == FILES.keys()
    weights = files["model.safetensors"]
    assert weights.size == 5000 and len(weights.sha256) == 64
    small = files["config.json"]
    assert small.sha256 == "" and len(small.blob_id) == 40 and small.size == len(FILES["config.json"])
    assert make_hub(paths).repository("org/m", old).commit == old


def test_files_are_read_and_bounded(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/m", FILES)
    hub = make_hub(paths)
    assert hub.read_file("org/m", "README.md") == b"# Hi"
    assert hub.read_file("org/m", "README.md", limit=4) == b"# Hi"
    assert len(hub.read_file("org/m", "model.safetensors")) == 5000
    with pytest.raises(UsageError, match=r"longer than 3 B"):
        hub.read_file("org/m", "README.md", limit=3)
    for path in ("../secret", "/etc/passwd", "a//b", "a\\b", "", "x\x00"):
        with pytest.raises(UsageError, match="not a path inside"):
            hub.read_file("org/m", path)


def test_browsing_writes_nothing(server: LocalHub, paths: Paths, tmp_path: Path) -> None:
    server.add_repo("org/m", FILES)
    before = sorted(tmp_path.rglob("*"))
    hub = make_hub(paths)
    hub.search("m")
    hub.repository("org/m")
    hub.read_file("org/m", "README.md")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("call", ["search", "repository", "read_file", "check_access"])
@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_a_silent_server_is_given_up(
    server: LocalHub, paths: Paths, call: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_repo("org/m", FILES)
    if fault == "hang":
        server.fault("GET", "hang")
    else:
        monkeypatch.setenv("HF_ENDPOINT", start_dripping())
    hub = make_hub(paths, seconds=1)
    start = time.monotonic()
    with pytest.raises(HubUnreachableError, match="did not answer within 1 s") as caught:
        ask(hub, call)
    assert time.monotonic() - start < patient(3)
    assert "HF_ENDPOINT" in caught.value.hint


def test_no_setting_makes_a_call_longer_than_15_seconds(paths: Paths) -> None:
    assert make_hub(paths, seconds=600).seconds < 15


def ask(hub: Hub, call: str) -> object:
    return {
        "search": lambda: hub.search("x"),
        "repository": lambda: hub.repository("org/m"),
        "read_file": lambda: hub.read_file("org/m", "README.md"),
        "check_access": lambda: hub.check_access("org/m"),
    }[call]()


def start_dripping() -> str:
    """A server that sends a byte of header every 50 ms for ever: no single read ever times out."""
    listener = socket.create_server(("127.0.0.1", 0))

    def drip() -> None:
        connection, _ = listener.accept()
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            for _ in range(200):
                connection.sendall(b"x")
                time.sleep(0.05)
        except OSError:
            pass
        finally:
            connection.close()
            listener.close()

    threading.Thread(target=drip, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("call", ["search", "repository", "read_file"])
def test_a_refused_connection_is_told_at_once(paths: Paths, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    start = time.monotonic()
    with pytest.raises(HubUnreachableError, match=r"cannot be reached.*refused"):
        ask(make_hub(paths), call)
    assert time.monotonic() - start < patient(3)


@pytest.mark.parametrize("call", ["search", "repository"])
def test_a_captive_portal_is_recognised(server: LocalHub, paths: Paths, call: str) -> None:
    server.fault("GET", "junk")
    with pytest.raises(HubUnreachableError, match=r"answered, but not like a hub.*DOCTYPE") as caught:
        ask(make_hub(paths), call)
    assert "login page" in caught.value.hint


@pytest.mark.parametrize(
    "answer",
    ["[]", "{}", "null", '{"id": 3}', '{"id": "org/m"}', '{"id": "org/m", "sha": "a", "siblings": [3]}',
     '{"id": "org/m", "sha": "a", "siblings": [{"rfilename": "../x", "size": 1}]}',
     '{"id": "org/m", "sha": "a", "siblings": [{"rfilename": "x\\u001b", "size": 1}]}',
     '{"id": "org/m", "sha": "a", "siblings": [{"rfilename": "x", "size": -1}]}',
     '{"id": "org/m", "sha": "../a", "siblings": []}', "[" * 100_000],
)  # fmt: skip
def test_other_json_is_not_taken_for_a_repository(paths: Paths, answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with canned(answer) as url:
        monkeypatch.setenv("HF_ENDPOINT", url)
        with pytest.raises(HubUnreachableError, match="not like a hub"):
            make_hub(paths).repository("org/m")


class canned:
    """A server that gives one answer to everything and keeps what it was sent."""

    def __init__(self, answer: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.seen: list[dict[str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append({name.lower(): value for name, value in self.headers.items()})
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.encode())))
                self.end_headers()
                self.wfile.write(answer.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_too_many_requests_says_how_long_to_wait(server: LocalHub, paths: Paths) -> None:
    server.fault("GET", "status", code=429, retry_after="37")
    with pytest.raises(HubUnreachableError, match="429") as caught:
        make_hub(paths).search("x")
    assert caught.value.hint.startswith("try again in 37 s") and "hf auth login" in caught.value.hint
    assert len(server.requests) == 1
    with canned("", 429, {"RateLimit": '"api";r=0;t=12'}) as url:
        hub = Hub(paths, Settings(), {"HF_ENDPOINT": url})
        with pytest.raises(HubUnreachableError) as caught:
            hub.search("x")
    assert "in 12 s" in caught.value.hint


def test_a_passing_fault_is_tried_once_more(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/m", FILES)
    hub = make_hub(paths)
    server.fault("GET", "status", code=503, times=1)
    assert hub.repository("org/m").repo == "org/m"
    server.fault("GET", "refuse", times=1)
    assert hub.repository("org/m").repo == "org/m"
    server.fault("GET", "status", code=503)
    with pytest.raises(HubUnreachableError, match="503"):
        hub.repository("org/m")


def test_missing_things_are_named(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/m", FILES)
    hub = make_hub(paths)
    with pytest.raises(NotFoundError, match="no repository org/none") as caught:
        hub.repository("org/none")
    assert f"{server.url}/org/none" in caught.value.hint
    with pytest.raises(NotFoundError, match="org/m has no revision 'v9'") as caught:
        hub.repository("org/m", "v9")
    assert "/commits/main" in caught.value.hint
    with pytest.raises(NotFoundError, match=r"org/m has no a/b\.txt"):
        hub.read_file("org/m", "a/b.txt")
    for name in ("a/b/c", "../x", "a b", "", "org/..", "x\x1b[31m", "org/m?blobs=1"):
        with pytest.raises(NotFoundError, match="not the name of a repository"):
            hub.repository(name)


def test_gates_name_the_page_to_visit(server: LocalHub, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    server.add_repo("org/gated", FILES, gated="auto", readers=("hf_reader_reader",))
    server.tokens |= {"hf_reader_reader": "ann", "hf_nobody_nobody": "bob"}
    for call in ("read_file", "check_access"):
        with pytest.raises(NotAllowedError, match="gated: its terms") as caught:
            reach(make_hub(paths), call)
        assert f"{server.url}/org/gated" in caught.value.hint and "hf auth login" in caught.value.hint
    monkeypatch.setenv("HF_TOKEN", "hf_nobody_nobody")
    with pytest.raises(NotAllowedError, match="your token has no access") as caught:
        reach(make_hub(paths), "check_access")
    assert caught.value.exit_code == 4
    monkeypatch.setenv("HF_TOKEN", "hf_reader_reader")
    reach(make_hub(paths), "check_access")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong_wrong")
    with pytest.raises(NotAllowedError, match="refuses the token") as caught:
        make_hub(paths).repository("org/gated")
    assert "/settings/tokens" in caught.value.hint and "hf_wrong" not in str(caught.value)


def reach(hub: Hub, call: str) -> object:
    return hub.read_file("org/gated", "README.md") if call == "read_file" else hub.check_access("org/gated")


def test_private_repositories_are_for_their_readers(
    server: LocalHub, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_repo("org/private", FILES, private=True, readers=(TOKEN,))
    server.tokens[TOKEN] = "ann"
    with pytest.raises(NotFoundError, match="private and no token"):
        make_hub(paths).repository("org/private")
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert make_hub(paths).repository("org/private").repo == "org/private"


def test_where_the_token_comes_from(server: LocalHub, paths: Paths, tmp_path: Path) -> None:
    server.tokens[TOKEN] = "ann"

    def sent(**environment: str) -> str:
        server.requests.clear()
        Hub(paths, Settings(), {"HF_ENDPOINT": server.url, **environment}).search("x")
        return server.requests[-1].headers.get("authorization", "")

    home = tmp_path / "hf"
    home.mkdir()
    (home / "token").write_text(TOKEN + "\n")
    bearer = f"Bearer {TOKEN}"
    assert sent(HF_TOKEN=TOKEN) == sent(HUGGING_FACE_HUB_TOKEN=f" {TOKEN}\n") == bearer
    assert sent(HF_HOME=str(home)) == sent(HF_TOKEN_PATH=str(home / "token"), HF_HOME="/none") == bearer
    assert sent(HF_HOME="/none") == sent(HF_TOKEN=TOKEN, HF_HUB_DISABLE_IMPLICIT_TOKEN="1") == ""


def test_the_token_goes_to_the_hub_alone(server: LocalHub, paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    server.tokens[TOKEN] = "ann"
    server.add_repo("org/m", FILES)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    make_hub(paths).read_file("org/m", "model.safetensors")
    by_origin = {request.origin: request.headers.get("authorization") for request in server.requests}
    assert by_origin == {"hub": f"Bearer {TOKEN}", "cdn": None}


def test_the_next_page_is_asked_of_our_own_hub(paths: Paths) -> None:
    foreign = canned("[]")
    with foreign as elsewhere:
        home = canned('[{"id": "org/m"}]', 200, {"Link": f'<{elsewhere}/api/models?cursor=1>; rel="next"'})
        with home as url:
            found = Hub(paths, Settings(), {"HF_ENDPOINT": url, "HF_TOKEN": TOKEN}).search("x")
    assert [model.id for model in found] == ["org/m"]
    assert foreign.seen == [] and len(home.seen) == 2


def test_a_token_that_is_none_never_reaches_a_message(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_abc\ndef_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(NotAllowedError) as caught:
        make_hub(paths).search("x")
    assert "secret" not in caught.value.summary + caught.value.hint


def test_offline_and_nonsense_endpoints(paths: Paths) -> None:
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        with pytest.raises(HubUnreachableError, match="offline mode is on"):
            Hub(paths, Settings(), {name: "1"}).search("x")
    for endpoint in ("hub.example", "ftp://x", "http://"):
        with pytest.raises(HubUnreachableError, match="not an address"):
            Hub(paths, Settings(), {"HF_ENDPOINT": endpoint}).search("x")


def test_the_environment_counts_when_the_hub_is_made(
    server: LocalHub, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub(paths)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert hub.search("x") == []


def test_many_threads_share_one_hub(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/m", FILES)
    hub = make_hub(paths)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(hub.repository("org/m").repo)) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["org/m"] * 16
    hub.close()
    assert hub.repository("org/m").repo == "org/m"


def test_hostile_rows_are_cleaned_or_left_out() -> None:
    for answer in (None, 3, {}, {"id": "../../etc"}, {"id": "a\x1b[31m/b"}, {"id": "x" * 300}):
        assert read_model(answer) is None
    model = read_model(
        {
            "id": "org/m",
            "tags": ["license:evil\x1b[2J", 3, None],
            "pipeline_tag": ["x"],
            "downloads": True,
            "likes": -4,
            "lastModified": 12,
            "safetensors": {"parameters": {"BF16": "many", "F16": 10**30}, "total": "x"},
            "config": {"architectures": ["A\u202eB"], "model_type": ["x"]},
        }
    )
    assert model and model.license == "evil\ufffd[2J" and model.downloads is None and model.likes is None
    assert model.params is None and model.shape.architecture == "A\ufffdB" and model.kind == "text"


def test_packed_weights_are_not_counted_as_parameters() -> None:
    facts = {"id": "org/m", "safetensors": {"parameters": {"I32": 100, "F16": 50}, "total": 150}}
    quantized = read_model(facts | {"config": {"quantization_config": {"quant_method": "gptq", "bits": 4}}})
    assert quantized and quantized.params == 850 and quantized.quantization == "gptq" and quantized.weights_bytes == 500
    unknown = read_model(facts | {"tags": ["gptq"]})
    assert unknown and unknown.params is None


def raised_by_huggingface_hub(server: LocalHub, call: str, **more: Any) -> HeftError:
    from huggingface_hub import HfApi

    api = HfApi(endpoint=server.url)
    try:
        if call == "info":
            api.model_info("org/m", timeout=2, **more)
        else:
            api.hf_hub_download("org/m", "README.md", etag_timeout=2, **more)
    except Exception as error:
        return hub_error(error, "org/m", more.get("revision", ""))
    raise AssertionError("it should have failed")


def test_huggingface_hubs_own_errors_are_translated(server: LocalHub, tmp_path: Path) -> None:
    missing = raised_by_huggingface_hub(server, "info")
    assert isinstance(missing, NotFoundError) and "no repository org/m" in missing.summary
    server.add_repo("org/m", FILES, gated="auto")
    revision = raised_by_huggingface_hub(server, "info", revision="v9")
    assert isinstance(revision, NotFoundError) and "no revision 'v9'" in revision.summary
    gated = raised_by_huggingface_hub(server, "file", cache_dir=tmp_path / "c")
    assert isinstance(gated, NotAllowedError) and "is gated" in gated.summary
    wrong = raised_by_huggingface_hub(server, "info", token=TOKEN)
    assert isinstance(wrong, NotAllowedError) and "refuses the token" in wrong.summary
    server.fault("GET", "status", code=429, retry_after="5")
    busy = raised_by_huggingface_hub(server, "info")
    assert isinstance(busy, HubUnreachableError) and "in 5 s" in busy.hint
    server.faults.clear()
    server.fault("GET", "junk")
    junk = raised_by_huggingface_hub(server, "info")
    assert isinstance(junk, HubUnreachableError) and "not like a hub" in junk.summary
    server.faults.clear()
    server.fault("(GET|HEAD)", "status", code=503)
    down = raised_by_huggingface_hub(server, "info")
    assert isinstance(down, HubUnreachableError) and "503" in down.summary


def test_other_errors_become_words_without_tokens() -> None:
    from huggingface_hub.errors import HFValidationError, LocalTokenNotFoundError, OfflineModeIsEnabled

    assert "offline mode" in hub_error(OfflineModeIsEnabled("x"), "org/m").summary
    assert isinstance(hub_error(LocalTokenNotFoundError("x"), "org/m"), NotAllowedError)
    assert isinstance(hub_error(HFValidationError("x"), "a/b/c"), NotFoundError)
    odd = hub_error(RuntimeError(f"failed with Bearer abc and {TOKEN}\x1b[31m"), "org/m")
    assert isinstance(odd, HubUnreachableError) and TOKEN not in odd.summary and odd.summary.isprintable()
    ours = NotFoundError("x")
    assert hub_error(ours, "org/m") is ours
