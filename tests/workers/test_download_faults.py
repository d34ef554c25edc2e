"""Every way a network fails, through the real worker and protocol: what came is kept, what is wrong is not."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local_hub import LocalHub, Synthetic, safetensors
from tests.patience import patient
from tui.errors import HubUnreachableError
from tui.jobs.job import Kind
from tui.workers import download, transfer_board
from tui.workers.failures import disk_is_full
from tui.workers.reporter import Reporter, Stopped
from tui.workers.transfer_checksum import ChecksumError
from tui.workers.transfer_pace import Patience
from tui.workers.transfer_parts import bytes_there

REPO = "org/model"
SIZE = 20_000_000
WEIGHTS = safetensors(SIZE, seed=3)
DATA = "GET /cdn/"

Fetch = Callable[..., dict]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, paths: object) -> None:
    """Small parts, short waits: the same code at the size of a test."""
    monkeypatch.setattr(download, "PATIENCE", Patience(first_wait=0.02, longest_wait=0.1, start=1.5, silence=1.5))
    monkeypatch.setattr(transfer_board, "PART_SIZE", 4 << 20)
    monkeypatch.setattr(transfer_board, "LARGE_FILE", 16_000_000)


@pytest.fixture
def fetch(hub: LocalHub, reporter: Callable[..., Reporter], paths: object) -> Fetch:
    hub.add_repo(REPO, {"config.json": b'{"model_type": "llama"}', "model.safetensors": WEIGHTS})

    def run(timeout: float = 0.4, connections: int = 4, limit: int = 0) -> dict:
        paths.settings_file.write_text(  # type: ignore[attr-defined]
            f"[downloads]\ntimeout = {timeout}\nconnections = {connections}\nlimit = {limit}\n"
        )
        voice = reporter(Kind.DOWNLOAD, {"model": REPO, "repo": REPO, "revision": ""})
        result = download.run(voice)
        voice.close()
        return result | voice.store.job(voice.job.id).progress.details

    return run


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def is_right(result: dict) -> bool:
    folder = Path(result["path"])
    expected = hashlib.sha256()
    for piece in WEIGHTS.chunks(0, SIZE):
        expected.update(piece)
    assert (folder / "config.json").read_bytes() == b'{"model_type": "llama"}'
    return digest(folder / "model.safetensors") == expected.hexdigest()


def leftovers(paths: object) -> list[Path]:
    return list(paths.hub_cache.rglob("*.incomplete"))  # type: ignore[attr-defined]


FAULTS = {
    "closed in the middle": {"kind": "drop", "after": 3_000_000, "times": 6},
    "closed before the first byte": {"kind": "drop", "after": 0, "times": 3},
    "closed every 700 kB, for ever": {"kind": "drop", "after": 700_000},
    "reset in the middle": {"kind": "rst", "after": 3_000_000, "times": 5},
    "refused": {"kind": "refuse", "times": 3},
    "silent in the middle": {"kind": "stall", "after": 3_000_000, "times": 2},
    "silent from the start": {"kind": "hang", "times": 2},
    "408": {"kind": "status", "code": 408, "times": 3},
    "429 with Retry-After": {"kind": "status", "code": 429, "retry_after": "1", "times": 1},
    "500": {"kind": "status", "code": 500, "times": 4},
    "503 with Retry-After": {"kind": "status", "code": 503, "retry_after": "1", "times": 1},
    "504": {"kind": "status", "code": 504, "times": 3},
    "expired link": {"kind": "status", "code": 403, "times": 3},
    "length 1000 bytes short": {"kind": "content_length", "delta": -1000, "times": 4},
    "length 1000 bytes long": {"kind": "content_length", "delta": 1000, "times": 4},
    "one flipped byte": {"kind": "corrupt", "at": 1_000_000, "times": 1},
    "no ranges": {"kind": "norange"},
    "a login page": {"kind": "junk", "times": 3},
}


@pytest.mark.parametrize("connections", [1, 4])
@pytest.mark.parametrize("fault", FAULTS, ids=list(FAULTS))
def test_a_fault_of_the_storage_costs_no_byte_too_many(
    hub: LocalHub, fetch: Fetch, paths: object, fault: str, connections: int
) -> None:
    details = dict(FAULTS[fault])
    hub.fault(DATA, str(details.pop("kind")), **details)
    result = fetch(connections=connections)
    assert is_right(result)
    assert leftovers(paths) == []
    if fault == "one flipped byte":
        assert SIZE + 23 < result["received"] <= 2 * SIZE + 23
    else:
        assert result["received"] == SIZE + 23, "bytes that had come were fetched again"


@pytest.mark.parametrize("resumed", [False, True])
def test_only_what_may_be_wrong_is_fetched_again(hub: LocalHub, fetch: Fetch, paths: object, resumed: bool) -> None:
    """The parts before the bad one, or, where an earlier attempt was cut off, the part in which it was."""
    part = 4 << 20
    if resumed:
        hub.fault(DATA, "drop", after=2_000_000, skip=2, times=1)
        hub.fault(DATA, "refuse", skip=2)
        with pytest.raises(HubUnreachableError):
            fetch(connections=1)
        hub.faults.clear()
        (left,) = leftovers(paths)
        with left.open("r+b") as file:  # as if the power had failed before this block was on the disk
            file.seek(2 * part + 4096)
            file.write(bytes(4096))
    else:
        hub.fault(DATA, "corrupt", at=10_000_000, times=1)
    before = hub.bytes_sent(DATA)
    hub.fault(DATA, "slow", rate=40_000_000)
    assert is_right(fetch(connections=1))
    again = hub.bytes_sent(DATA) - (SIZE if resumed else before + SIZE)
    wrong = part if resumed else 3 * part
    assert wrong <= again < wrong + 2 * part
    assert leftovers(paths) == []


@pytest.mark.parametrize("connections", [1, 2])
def test_a_connection_that_crawls_is_given_up(hub: LocalHub, fetch: Fetch, connections: int) -> None:
    hub.fault(DATA, "slow", rate=20_000, times=1)  # its part would take 200 s
    result = fetch(connections=connections)
    assert is_right(result) and result["received"] == SIZE + 23


@pytest.mark.parametrize("connections", [1, 4])
def test_a_server_without_ranges_that_breaks_off(hub: LocalHub, fetch: Fetch, connections: int) -> None:
    hub.fault(DATA, "norange", after=12_000_000, times=2)
    hub.fault(DATA, "norange")
    result = fetch(connections=connections)
    assert is_right(result)
    assert result["received"] <= SIZE + 23 + 2 * 12_000_000


@pytest.mark.parametrize("fault", ["503", "reset", "expired"])
def test_a_fault_of_the_hub_itself_is_waited_for(hub: LocalHub, fetch: Fetch, fault: str) -> None:
    kinds = {"503": ("status", {"code": 503}), "reset": ("rst", {}), "expired": ("refuse", {})}
    kind, details = kinds[fault]
    hub.fault("GET /org/model/resolve/", kind, times=3, **details)
    assert is_right(fetch())


def test_links_that_expire_are_asked_for_again(hub: LocalHub, fetch: Fetch) -> None:
    hub.link_seconds = 0.3
    hub.fault(DATA, "slow", rate=10_000_000)
    assert is_right(fetch(connections=2))
    assert any(request.status == 403 for request in hub.matching(DATA))


def test_two_damaged_answers_are_fetched_again_and_a_third_is_refused(
    hub: LocalHub, fetch: Fetch, paths: object
) -> None:
    hub.fault(DATA, "corrupt", at=10_000_000, times=None)
    with pytest.raises(ChecksumError, match=r"model.safetensors \(20.0 MB\) came with a wrong checksum 3 times"):
        fetch()
    blobs = [path for path in paths.hub_cache.glob("*/blobs/*") if not path.name.endswith(".incomplete")]  # type: ignore[attr-defined]
    assert [path.stat().st_size for path in blobs] == [23]
    assert not list(paths.hub_cache.glob("*/snapshots/*/*"))  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["refuse", "status", "junk", "drop"])
def test_a_storage_that_never_works_ends_the_job_with_a_reason(hub: LocalHub, fetch: Fetch, kind: str) -> None:
    hub.fault(DATA, kind)
    with pytest.raises(HubUnreachableError, match=r"got no further for 2s: (localhost|something else than the file)"):
        fetch()


def test_a_hub_that_asks_to_wait_an_hour_is_not_waited_for(hub: LocalHub, fetch: Fetch) -> None:
    hub.fault(DATA, "status", code=429, retry_after="3600")
    begun = time.monotonic()
    with pytest.raises(HubUnreachableError) as caught:
        fetch()
    assert "1h 00m" in caught.value.hint
    assert time.monotonic() - begun < patient(5)


def test_a_network_that_goes_away_keeps_what_came(hub: LocalHub, fetch: Fetch, paths: object) -> None:
    hub.fault(DATA, "rst", after=3_000_000, times=2)
    hub.fault(DATA, "refuse", skip=2)
    with pytest.raises(HubUnreachableError, match="got no further"):
        fetch(connections=2)
    hub.faults.clear()
    (left,) = leftovers(paths)
    kept = bytes_there(left, SIZE)
    assert kept > 500_000  # of the 6 MB that were sent, a reset destroys what was not yet read
    result = fetch(connections=2)
    assert is_right(result)
    assert result["received"] == SIZE - kept


def test_a_stop_is_felt_at_once_even_on_a_silent_socket_and_the_next_run_goes_on(
    hub: LocalHub, reporter: Callable[..., Reporter], paths: object, fetch: Fetch
) -> None:
    hub.fault(DATA, "stall", after=3_000_000, times=2)
    paths.settings_file.write_text("[downloads]\ntimeout = 60\nconnections = 2\n")  # type: ignore[attr-defined]
    voice = reporter(Kind.DOWNLOAD, {"model": REPO, "repo": REPO, "revision": ""})
    seen: list[BaseException] = []

    def work() -> None:
        try:
            download.run(voice)
        except BaseException as error:
            seen.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    deadline = time.monotonic() + 20
    while hub.bytes_sent(DATA) < 6_000_000 and time.monotonic() < deadline:
        time.sleep(0.01)
    begun = time.monotonic()
    voice.stop.set()
    thread.join(10)
    assert time.monotonic() - begun < patient(1.0)
    assert isinstance(seen[0], Stopped)
    result = fetch()
    assert is_right(result)
    assert result["received"] == SIZE - 6_000_000


def test_the_cap_holds_over_all_connections(hub: LocalHub, fetch: Fetch) -> None:
    begun = time.monotonic()
    assert is_right(fetch(connections=4, limit=10_000_000))
    assert 1.7 < time.monotonic() - begun < 8


def test_an_empty_file_a_deep_path_and_twins(hub: LocalHub, reporter: Callable[..., Reporter], paths: object) -> None:
    twin = Synthetic(300_000, seed=9)
    hub.add_repo("org/odd", {"a/b/c/empty.txt": b"", "one.safetensors": twin, "sub/two.safetensors": twin})
    result = download.run(reporter(Kind.DOWNLOAD, {"model": "odd", "repo": "org/odd", "revision": ""}))
    folder = Path(result["path"])
    assert (folder / "a/b/c/empty.txt").read_bytes() == b""
    assert digest(folder / "one.safetensors") == digest(folder / "sub/two.safetensors")
    assert hub.bytes_sent(DATA) == 300_000


def test_the_disk_is_looked_at_first_and_waited_for(
    hub: LocalHub, fetch: Fetch, monkeypatch: pytest.MonkeyPatch, paths: object
) -> None:
    monkeypatch.setattr(download, "free_space", lambda folder: SIZE - 1)
    with pytest.raises(OSError, match=r"the rest of org/model takes 20.0 MB, 20.0 MB are free") as caught:
        fetch()
    assert disk_is_full(caught.value)
    assert not hub.matching("/resolve/")
