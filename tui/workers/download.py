"""The verb "download": bring a model's files to this disk, whole and verified, and go on where it was interrupted.

A repository of the hub goes into the Hugging Face cache, where every other tool finds it; a repository that is a folder
(the starter) is copied into a build of its own. What is here already is not fetched again.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tui.catalog.build_folder import folder_problem
from tui.catalog.hub import Hub, HubFile
from tui.catalog.hub_errors import offline_error
from tui.catalog.library import Library
from tui.catalog.weight_files import gguf_builds
from tui.errors import HeftError
from tui.jobs.job import Kind, State
from tui.jobs.preflight import free_space
from tui.paths import Paths
from tui.plain_text import clean_line
from tui.quantities import bytes_text
from tui.settings import Settings, load_settings
from tui.workers.download_cache import CachedRepository, etag
from tui.workers.download_folder import copy_folder
from tui.workers.download_listing import Listing, read_listing, write_listing
from tui.workers.download_xet import fetch_through_client
from tui.workers.reporter import Reporter, Stopped
from tui.workers.transfer import Transfer
from tui.workers.transfer_board import Wanted
from tui.workers.transfer_lane import PlainRefused
from tui.workers.transfer_pace import Patience
from tui.workers.transfer_parts import bytes_there

PATIENCE = Patience()
"""How long a hub or network that fails is waited for."""

TICK_SECONDS = 0.25
ROOM_SECONDS = 2.0
ROOM_LEFT = 50_000_000
"""Bytes that a download leaves on its volume: with less, other people's programs and the queue itself would break.
It is looked at every ``ROOM_SECONDS``."""

MOST_FILES = 8
"""Files whose progress is told one by one."""

SHARE_SECONDS = 3.0
STOP_SECONDS = 0.7
"""How long connections have to let go when the job is stopped; the process is forced to leave soon after."""

LET_GO_SECONDS = 30.0
"""And when it is not: what was refused over plain HTTP goes on another way, under the same lock."""


def run(reporter: Reporter) -> dict[str, Any]:
    """Do the job; returns the build, its path, the commit and the bytes."""
    repo = str(reporter.job.spec["repo"])
    if repo.startswith("/"):
        return copy_folder(reporter, Path(repo))
    return _from_hub(reporter, repo, str(reporter.job.spec.get("revision") or ""))


def _from_hub(reporter: Reporter, repo: str, revision: str) -> dict[str, Any]:
    settings = load_settings(reporter.paths.settings_file)
    hub = Hub(reporter.paths, settings)
    _share_like(reporter.paths.hub_cache)
    if hub.offline:
        return _without_network(reporter, CachedRepository(reporter.paths.hub_cache, repo), revision)
    listing = read_listing(reporter.folder)
    if listing is None:
        reporter.progress(0, unit="B", message=f"asking {clean_line(hub.endpoint)} what {repo} holds")
        wanted = str(reporter.job.spec.get("gguf") or "")
        listing = Listing.of(replace(hub.repository(repo, revision), gguf=wanted))
        reporter.check()
        write_listing(reporter.folder, listing)
    reporter.say(f"{listing.repo} at {listing.commit}: {len(listing.files)} files, {bytes_text(listing.size)}")
    cache = CachedRepository(reporter.paths.hub_cache, listing.repo)
    _fetch(reporter, hub, settings, cache, listing)
    cache.link(listing.files, listing.commit)
    cache.set_ref(str(reporter.job.spec.get("ref") or revision or "main"), listing.commit)
    reporter.progress(listing.size, listing.size, message="complete")
    return _result(reporter.paths, cache, listing.commit, listing.size, [file.path for file in listing.files])


def _fetch(reporter: Reporter, hub: Hub, settings: Settings, cache: CachedRepository, listing: Listing) -> None:
    missing = {etag(file): file for file in listing.files if not cache.has(file, listing.commit)}
    lacking = sum(file.size - bytes_there(cache.place(file).incomplete, file.size) for file in missing.values())
    room = free_space(cache.hub_cache)
    if lacking > room:
        raise _no_room(f"the rest of {listing.repo} takes {bytes_text(lacking)}, {bytes_text(room)} are free")
    cache.prepare()
    refused: list[HubFile] = []
    while missing:
        try:
            _fetch_plainly(reporter, hub, settings, cache, listing, missing)
            break
        except PlainRefused as error:
            refused.append(missing.pop(error.file.sha256 or error.file.git_sha1))
            missing = {name: file for name, file in missing.items() if not cache.has(file, listing.commit)}
    here = listing.size - sum(file.size for file in refused)
    for file in refused:
        _fetch_by_client(reporter, hub, cache, listing, file, here)
        here += file.size


def _fetch_by_client(
    reporter: Reporter, hub: Hub, cache: CachedRepository, listing: Listing, file: HubFile, here: int
) -> None:
    due = 0.0

    def tell(done: int, words: str) -> None:
        nonlocal due
        details = {"now": [[clean_line(file.path), done, file.size]], "of": len(listing.files)}
        reporter.progress(here + done, listing.size, "B", words, **details)
        if time.monotonic() > due:
            due = time.monotonic() + ROOM_SECONDS
            _check_room(cache.hub_cache, file.size - done)

    fetch_through_client(reporter, hub, listing.repo, listing.commit, file, cache.place(file), tell)


def _fetch_plainly(
    reporter: Reporter,
    hub: Hub,
    settings: Settings,
    cache: CachedRepository,
    listing: Listing,
    missing: dict[str, HubFile],
) -> None:
    transfer = Transfer(
        [_wanted(hub.endpoint, listing, cache, file) for file in missing.values()],
        repo=listing.repo,
        endpoint=hub.endpoint,
        headers=hub.request_headers(),
        connections=settings.downloads.connections,
        timeout=max(0.2, settings.downloads.timeout),
        limit=_share_of_limit(reporter, settings.downloads.limit),
        patience=PATIENCE,
    )
    size = sum(file.size for file in missing.values())
    reporter.say(f"{len(missing)} files to fetch, {size} bytes; {transfer.done} bytes of them are here from before")
    transfer.start()
    try:
        here = [file for file in listing.files if etag(file) not in missing]
        _follow(reporter, transfer, here, listing, cache.hub_cache)
    finally:
        transfer.end(STOP_SECONDS if reporter.stop.is_set() else LET_GO_SECONDS)
    reporter.check()
    reporter.say(f"{transfer.board.received} bytes came over the network")


def _no_room(words: str) -> OSError:
    """The disk is too full for this job now; it waits for room, it does not fail."""
    return OSError(errno.ENOSPC, words)


def _check_room(place: Path, left: int) -> None:
    if free_space(place) < ROOM_LEFT and left > 0:
        raise _no_room(f"only {bytes_text(free_space(place))} are left on the disk of {place}")


def _follow(reporter: Reporter, transfer: Transfer, here: list[HubFile], listing: Listing, place: Path) -> None:
    board, said, due = transfer.board, "", 0.0
    here_bytes = listing.size - sum(file.size for file in board.files)  # twins of a missing file count as here
    while True:
        ready = len(here) + sum(file.whole for file in board.files)
        now = next((clean_line(file.name) for file in board.files if not file.whole and file.parts is not None), "")
        while board.events:
            reporter.say(board.events.popleft())
        if board.note != said:
            said = board.note
            reporter.say(said or "going on")
        message = said or f"{ready} of {len(listing.files)} files" + (f", now {now}" if now else "")
        done = here_bytes + transfer.done
        details = {"files": ready, "of": len(listing.files), "received": board.received, "now": _at_work(board.files)}
        reporter.progress(done, listing.size, "B", message, **details)
        if transfer.is_over:
            return
        if time.monotonic() > due:
            due = time.monotonic() + ROOM_SECONDS
            _check_room(place, listing.size - done)
        if reporter.stop.is_set():
            raise Stopped
        transfer.wait(TICK_SECONDS)


def _at_work(files: Sequence[Wanted]) -> list[list[Any]]:
    """Name, bytes that are there, and size of the files that are being fetched."""
    begun = [file for file in files if file.parts is not None and not file.whole and file.size]
    return [[clean_line(file.name), file.done, file.size] for file in begun[:MOST_FILES]]


def _wanted(endpoint: str, listing: Listing, cache: CachedRepository, file: HubFile) -> Wanted:
    url = f"{endpoint}/{listing.repo}/resolve/{listing.commit}/{quote(file.path)}"
    return Wanted(file.path, url, file.size, file.sha256, file.blob_id, cache.place(file))


def _without_network(reporter: Reporter, cache: CachedRepository, revision: str) -> dict[str, Any]:
    """Offline: what is here already is enough, or nothing is."""
    commit = cache.commit_of(revision)
    snapshot = cache.snapshot(commit)
    if not commit or not snapshot.is_dir() or folder_problem(snapshot):
        raise offline_error()
    reporter.say("offline mode is on; the build in the cache is whole")
    size = sum(path.stat().st_size for path in snapshot.rglob("*") if path.is_file())
    reporter.progress(size, size, "B", "complete")
    return _result(reporter.paths, cache, commit, size)


def _result(paths: Paths, cache: CachedRepository, commit: str, size: int, files: Sequence[str] = ()) -> dict[str, Any]:
    path = cache.snapshot(commit)
    several = gguf_builds(path)
    if len(several) > 1 or any(
        file.parent != path for file in several
    ):  # one of several quantizations, or one in a folder
        path = next((file for file in several if str(file.relative_to(path)) in files), path)
    repo = cache.folder.name.removeprefix("models--").replace("--", "/")
    build = next((build.id for build in Library(paths).builds() if build.path == path), repo)
    return {"build": build, "path": str(path), "revision": commit, "bytes": size}


def _share_of_limit(reporter: Reporter, limit: int) -> Callable[[], int]:
    """The bandwidth cap, divided by the downloads that run now, this one included; looked up every few seconds."""
    share, due = limit, 0.0

    def current() -> int:
        nonlocal share, due
        now = time.monotonic()
        if limit and now > due:
            due = now + SHARE_SECONDS
            with contextlib.suppress(HeftError):
                jobs = reporter.store.unfinished()
                running = sum(job.kind is Kind.DOWNLOAD and job.state is State.RUNNING for job in jobs)
                share = max(1, limit // max(1, running))
        return share

    return current


def _share_like(hub_cache: Path) -> None:
    """Files in a cache that others may read stay readable to them: the cache's folder says who."""
    try:
        os.umask(0o077 & ~stat.S_IMODE(hub_cache.stat().st_mode))
    except OSError:
        os.umask(0o077)
