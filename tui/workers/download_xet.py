"""A file that the hub hands out through Xet alone, fetched by huggingface_hub's own client.

Over plain HTTP the hub need not serve files of more than 50 GB. The client does not verify what it fetches and does not
go on with what an earlier attempt left, so it works in a folder of its own, cleared at each start, and the file enters
the cache only when its checksum is right. The folder lies beside the locks: on the cache's volume, where no scan of the
cache looks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.catalog.hub import Hub, HubFile
from tui.catalog.hub_errors import hub_error
from tui.errors import HeftError
from tui.plain_text import clean_line
from tui.workers.download_cache import Blob
from tui.workers.environment import XET_OFF
from tui.workers.reporter import Reporter, Stopped
from tui.workers.transfer_checksum import ChecksumError
from tui.workers.transfer_parts import bytes_there

TICK_SECONDS = 0.25
STOP_SECONDS = 0.7
_PIECE = 4 << 20


@dataclass(slots=True)
class _Fetch:
    """What the client's thread has done so far."""

    stop: threading.Event
    done: int = 0
    path: Path | None = None
    error: BaseException | None = None
    over: threading.Event = field(default_factory=threading.Event)


def fetch_through_client(
    reporter: Reporter, hub: Hub, repo: str, commit: str, file: HubFile, place: Blob, tell: Callable[[int, str], None]
) -> None:
    """Bring ``file`` of ``repo`` at ``commit`` to ``place``; ``tell`` gets the bytes so far and a word on them, a few
    times a second, and may raise to end it. Raises ``Stopped``, ``ChecksumError`` or what the hub says."""
    name = clean_line(file.path)
    reporter.say(f"the hub does not hand out {name} over plain HTTP; its own client fetches it, through Xet if it can")
    reporter.say(f"{name} does not resume: after a stop it starts afresh")
    while not place.lock():
        tell(0, f"waiting for another program that downloads {name}")
        _pause(reporter)
    try:
        if not place.blob.exists():  # that other program may have brought it
            _fetch_and_check(reporter, hub, repo, commit, file, place, tell)
    finally:
        place.unlock()


def _fetch_and_check(
    reporter: Reporter, hub: Hub, repo: str, commit: str, file: HubFile, place: Blob, tell: Callable[[int, str], None]
) -> None:
    folder = place.own_folder
    shutil.rmtree(folder, ignore_errors=True)
    if not bytes_there(place.incomplete, file.size):
        with contextlib.suppress(OSError):
            place.incomplete.unlink()
    try:
        came = _fetch(reporter, hub, repo, commit, file, folder, tell)
        _check(reporter, came, file, tell)
        came.replace(place.blob)
        with contextlib.suppress(OSError):
            place.incomplete.unlink()  # what came over plain HTTP before it was refused
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _fetch(
    reporter: Reporter, hub: Hub, repo: str, commit: str, file: HubFile, folder: Path, tell: Callable[[int, str], None]
) -> Path:
    fetch = _Fetch(reporter.stop)
    token = hub.request_headers().get("authorization", "").removeprefix("Bearer ")
    wanted = {"repo_id": repo, "filename": file.path, "revision": commit, "cache_dir": folder, "endpoint": hub.endpoint}
    thread = threading.Thread(target=_work, args=(fetch, wanted | {"token": token or False}), daemon=True)
    thread.start()
    try:
        while not fetch.over.wait(TICK_SECONDS):
            tell(min(fetch.done, file.size), f"{clean_line(file.path)} by the hub's client; it does not resume")
            reporter.check()
    except BaseException:
        _abort()
        fetch.over.wait(STOP_SECONDS)
        raise
    reporter.check()
    if isinstance(fetch.error, ValueError) and "too large" in str(fetch.error):
        raise HeftError(
            f"the hub hands out {clean_line(file.path)} through Xet alone, and Xet is off or missing here",
            "install hf_xet, leave HF_HUB_DISABLE_XET unset, and give a hub that speaks Xet as HF_ENDPOINT; then retry",
        )
    if fetch.error is not None:
        raise hub_error(fetch.error, repo, commit) from fetch.error
    assert fetch.path is not None
    return fetch.path.resolve()


def _work(fetch: _Fetch, wanted: dict[str, Any]) -> None:
    try:
        import huggingface_hub
        from huggingface_hub import constants

        constants.HF_HUB_DISABLE_XET = XET_OFF in os.environ  # it is off for everything else in a worker
        constants.DOWNLOAD_CHUNK_SIZE = 1 << 20  # how often the client looks at a stop
        fetch.path = Path(huggingface_hub.hf_hub_download(**wanted, tqdm_class=_bar(fetch)))
    except BaseException as error:
        fetch.error = error
    finally:
        fetch.over.set()


def _bar(fetch: _Fetch) -> Any:
    """What the client takes for a progress bar: it counts into ``fetch`` and ends a plain download on a stop."""

    class Bar:
        def __init__(self, *_: Any, total: int | None = None, initial: int = 0, **__: Any) -> None:
            self.total = total
            fetch.done = initial

        def update(self, number: int = 1) -> None:
            if fetch.stop.is_set():
                raise Stopped
            fetch.done += number

        def __enter__(self) -> Bar:
            return self

        def ignore(self, *_: Any, **__: Any) -> None:
            """The client decorates the bar; nobody looks at this one."""

        update_transfer = set_postfix_str = set_transfer_postfix_str = refresh = close = __exit__ = ignore

    return Bar


def _abort() -> None:
    """Xet's own threads do not ask the bar: its session is ended."""
    with contextlib.suppress(Exception):
        from huggingface_hub.utils._xet import abort_xet_session

        abort_xet_session()  # type: ignore[no-untyped-call]


def _check(reporter: Reporter, path: Path, file: HubFile, tell: Callable[[int, str], None]) -> None:
    state = hashlib.sha256() if file.sha256 else hashlib.sha1(b"blob %d\0" % file.size)
    hashed, due = 0, 0.0
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            state.update(piece)
            hashed += len(piece)
            if time.monotonic() > due:
                due = time.monotonic() + TICK_SECONDS
                tell(file.size, f"checking {clean_line(file.path)}, {100 * hashed // max(1, file.size)}%")
                reporter.check()
    if state.hexdigest() != (file.sha256 or file.blob_id):
        raise ChecksumError(
            f"{clean_line(file.path)} came with a wrong checksum",
            "the hub, a proxy or this machine's memory or disk damages data; nothing of it was kept",
        )


def _pause(reporter: Reporter) -> None:
    if reporter.stop.wait(TICK_SECONDS):
        raise Stopped
