"""Files that the hub refuses over plain HTTP because of their size: its own client brings them, and we verify them."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable

import pytest
from huggingface_hub import constants, scan_cache_dir

from tests.local_hub import LocalHub, safetensors
from tui.errors import HeftError, NotAllowedError
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.workers import download, transfer_lane
from tui.workers.environment import XET_OFF
from tui.workers.reporter import Reporter, Stopped
from tui.workers.transfer_checksum import ChecksumError

REPO = "org/model"
HUGE = safetensors(3_000_000)
FILES = {"config.json": b'{"model_type": "llama"}', "model.safetensors": HUGE}
PLAIN = "GET /org/model/resolve/.*safetensors"
DATA = "GET /cdn/"


@pytest.fixture
def voice(reporter: Callable[..., Reporter], monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(transfer_lane, "PLAIN_SIZE", 1_000_000)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # as in a worker; restored afterwards
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", constants.DOWNLOAD_CHUNK_SIZE)
    return reporter(Kind.DOWNLOAD, {"model": REPO, "repo": REPO, "revision": ""})


def test_the_hubs_client_brings_what_plain_http_may_not(
    hub: LocalHub, voice: Reporter, paths: Paths, capsys: pytest.CaptureFixture[str]
) -> None:
    hub.add_repo(REPO, FILES)
    refused = hub.fault(PLAIN, "status", code=403)
    result = download.run(voice)
    assert refused.hits == 2
    (repo,) = scan_cache_dir(paths.hub_cache).repos
    (revision,) = repo.revisions
    assert result["bytes"] == repo.size_on_disk
    (huge,) = (file for file in revision.files if file.file_name == "model.safetensors")
    assert hashlib.sha256(huge.file_path.read_bytes()).hexdigest() == huge.blob_path.name
    assert not list(paths.hub_cache.glob(".locks/*/*.heft"))
    assert not list(huge.blob_path.parent.glob("*incomplete"))
    assert "model.safetensors does not resume" in capsys.readouterr().out


def test_nothing_that_is_damaged_enters_the_cache(hub: LocalHub, voice: Reporter, paths: Paths) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault(PLAIN, "status", code=403)
    hub.fault(DATA, "corrupt", at=2_000_000)
    with pytest.raises(ChecksumError, match=r"model\.safetensors"):
        download.run(voice)
    assert not [path for path in paths.hub_cache.rglob("*") if path.is_file() and path.stat().st_size > 1_000_000]


def test_without_xet_it_is_said_what_to_do(hub: LocalHub, voice: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "MAX_HTTP_DOWNLOAD_SIZE", 1_000_000)
    hub.add_repo(REPO, FILES)
    hub.fault(PLAIN, "status", code=413)
    with pytest.raises(HeftError, match="through Xet alone") as caught:
        download.run(voice)
    assert "hf_xet" in caught.value.hint


def test_who_turned_xet_off_is_heard(hub: LocalHub, voice: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(XET_OFF, "1")
    hub.add_repo(REPO, FILES)
    hub.fault(PLAIN, "status", code=403)
    download.run(voice)
    assert constants.HF_HUB_DISABLE_XET is True


def test_a_stop_ends_it_and_leaves_nothing(hub: LocalHub, voice: Reporter, paths: Paths) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault(PLAIN, "status", code=403)
    hub.fault(DATA, "slow", rate=200_000)

    def stop_when_it_flows() -> None:
        while hub.bytes_sent(DATA) < 100_000 and not hub.closing.wait(0.02):
            pass
        voice.stop.set()

    threading.Thread(target=stop_when_it_flows, daemon=True).start()
    with pytest.raises(Stopped):
        download.run(voice)
    assert not list(paths.hub_cache.glob(".locks/*/*.heft"))
    assert not list(paths.hub_cache.glob("models--*/blobs/*incomplete"))


def test_a_gate_is_no_question_of_size(hub: LocalHub, voice: Reporter) -> None:
    hub.add_repo(REPO, FILES, gated="auto")
    with pytest.raises(NotAllowedError):
        download.run(voice)


def test_a_link_that_expired_once_is_asked_for_again(hub: LocalHub, voice: Reporter) -> None:
    hub.add_repo(REPO, FILES)
    hub.fault(DATA, "status", code=403, times=1)
    download.run(voice)
    assert not hub.matching("HEAD ")
