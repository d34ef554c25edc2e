"""What lies on this disk without being a build: downloads that stopped half-way, half-made builds, revisions that
nothing points to, the trash. And files that are here twice.

This module alone decides what may be deleted. What a job uses or may go on with stays, and so does what another
program may be writing; each thing that stays says why.
"""

from __future__ import annotations

import contextlib
import fcntl
import filecmp
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.catalog.library import Library
from tui.paths import Paths
from tui.plain_text import clean_line
from tui.quantities import duration_text

OURS = ".heft.incomplete"
FOREIGN_REST_SECONDS = 86400.0
"""A partial file of another program is left alone until nothing was written to it for so long."""

TRASH_SECONDS = 86400.0
"""How long a removed build can be brought back."""

LARGE = 1_000_000
"""Bytes; smaller files are not looked at for duplicates."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class InUse:
    """What jobs that are not over use or may go on with: repositories and folders, each with the job in words, and
    the ids of those jobs."""

    repos: dict[str, str] = field(default_factory=dict)
    folders: dict[Path, str] = field(default_factory=dict)
    jobs: frozenset[int] = frozenset()

    def by(self, repo: str, folder: Path) -> str:
        """The job that uses ``repo`` or something in ``folder``, in words; empty when none does."""
        inside = (who for path, who in self.folders.items() if path == folder or folder in path.parents)
        return self.repos.get(repo) or next(inside, "")


@dataclass(frozen=True, slots=True)
class Leftover:
    """One thing that could go. ``kind`` is "incomplete", "half-made", "revision" or "trash"; ``bytes`` is what the
    disk gets back; ``kept_because`` says why it stays, empty when it may go."""

    kind: str
    name: str
    path: Path
    bytes: int
    kept_because: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Files with the same content at several places, none of them a link to another; ``bytes`` is the size of one."""

    bytes: int
    paths: tuple[Path, ...]

    @property
    def wasted(self) -> int:
        """Bytes that all but one of them take."""
        return self.bytes * (len(self.paths) - 1)


def leftovers(paths: Paths, used: InUse, now: float | None = None, *, trash: bool = False) -> list[Leftover]:
    """Everything that could go, the largest first; reads names and sizes, no file contents. With ``trash`` what was
    removed a moment ago may go as well."""
    moment = time.time() if now is None else now
    found = [
        *_incomplete(paths.hub_cache, used, moment),
        *_half_made(paths.builds, used),
        *_detached(paths.hub_cache, used),
        *_trash(paths, moment + (TRASH_SECONDS if trash else 0.0)),
    ]
    return sorted(found, key=lambda item: item.bytes, reverse=True)


def prune(paths: Paths, used: Callable[[], InUse], *, trash: bool = False) -> tuple[list[Leftover], list[str]]:
    """Delete what may go; returns what went, and in words what could not. ``used`` is asked again before each, because
    a job may have come meanwhile. ``trash`` empties the trash before its day is over."""
    gone, problems = [], []
    for item in [found for found in leftovers(paths, used(), trash=trash) if not found.kept_because]:
        now = leftovers(paths, used(), trash=trash)
        still = next((other for other in now if other.path == item.path), None)
        if still is None or still.kept_because:
            continue
        try:
            _delete(paths, still)
        except OSError as error:
            problems.append(clean_line(f"{still.path}: {error.strerror or error}"))
        else:
            gone.append(still)
    return gone, problems


def duplicates(paths: Paths, *, compare: bool) -> list[Duplicate]:
    """Large files that are here more than once. Blobs of the Hugging Face cache tell by their names; with ``compare``
    files of equal size are read as well."""
    by_size: dict[int, list[Path]] = {}
    seen: set[tuple[int, int]] = set()
    for path in _large_files(paths):
        info = path.stat()
        if (info.st_dev, info.st_ino) not in seen:
            seen.add((info.st_dev, info.st_ino))
            by_size.setdefault(info.st_size, []).append(path)
    found = []
    for size, files in by_size.items():
        for group in _same(files, compare):
            found.append(Duplicate(size, tuple(group)))
    return sorted(found, key=lambda item: item.wasted, reverse=True)


# --- finding


def _incomplete(cache: Path, used: InUse, now: float) -> Iterator[Leftover]:
    for path in cache.glob("models--*/blobs/*.incomplete"):
        repo = _repo_of(path.parent.parent)
        with contextlib.suppress(OSError):  # it may be whole by now
            info = path.stat()
            who = used.by(repo, path)
            since = now - info.st_mtime
            if who:
                kept = f"{who} goes on with it"
            elif _is_locked(_lock_of(path)):
                kept = "another program writes it now"
            elif not path.name.endswith(OURS) and since < FOREIGN_REST_SECONDS:
                kept = f"another program wrote to it {duration_text(max(0.0, since))} ago"
            else:
                kept = ""
            yield Leftover("incomplete", clean_line(repo), path, info.st_blocks * 512, kept)


def _half_made(builds: Path, used: InUse) -> Iterator[Leftover]:
    for path in builds.glob(".making-*"):
        number = path.name.removeprefix(".making-")
        busy = number.isdigit() and int(number) in used.jobs
        yield Leftover(
            "half-made", clean_line(path.name), path, _bytes_in(path), f"job {number} works on it" if busy else ""
        )


def _detached(cache: Path, used: InUse) -> Iterator[Leftover]:
    """Snapshots that no branch or tag stands for, of repositories where one stands for another."""
    if not any(len(list(folder.glob("snapshots/*"))) > 1 for folder in cache.glob("models--*")):
        return  # and huggingface_hub need not be loaded
    for repo in _scan(cache):
        if not any(revision.refs for revision in repo.revisions):
            continue  # somebody asked for these commits by their number
        for revision in repo.revisions:
            if not revision.refs:
                freed = _deletion(cache, revision.commit_hash).expected_freed_size
                who = used.by(repo.repo_id, Path(revision.snapshot_path))
                yield Leftover(
                    "revision",
                    clean_line(f"{repo.repo_id}@{revision.commit_hash[:8]}"),
                    Path(revision.snapshot_path),
                    freed,
                    f"{who} uses it" if who else "",
                    revision.commit_hash,
                )


def _trash(paths: Paths, now: float) -> Iterator[Leftover]:
    for removal in Library(paths).trash():
        if removal.trash is None:
            continue
        left = TRASH_SECONDS - (now - removal.trash.parent.stat().st_mtime)
        kept = f"heft rm --undo brings it back, for {duration_text(left)} more" if left > 0 else ""
        size = 0 if removal.trash.is_symlink() else removal.build.bytes
        yield Leftover("trash", removal.build.id, removal.trash, size, kept)


def _large_files(paths: Paths) -> Iterator[Path]:
    places = [*paths.hub_cache.glob("models--*/blobs/*"), *paths.builds.glob("[!.]*/*.*")]
    for path in places:
        with contextlib.suppress(OSError):
            whole = path.is_file() and not path.is_symlink() and not path.name.endswith(".incomplete")
            if whole and path.stat().st_size >= LARGE:
                yield path


def _same(files: Sequence[Path], compare: bool) -> list[list[Path]]:
    groups: list[list[Path]] = []
    for path in files:
        home = next((group for group in groups if _are_equal(group[0], path, compare)), None)
        groups.append([path]) if home is None else home.append(path)
    return [group for group in groups if len(group) > 1]


def _are_equal(one: Path, other: Path, compare: bool) -> bool:
    if _SHA256.fullmatch(one.name) and _SHA256.fullmatch(other.name):
        return one.name == other.name
    with contextlib.suppress(OSError):
        return compare and filecmp.cmp(one, other, shallow=False)
    return False


# --- deleting


def _delete(paths: Paths, item: Leftover) -> None:
    if item.kind == "revision":
        _deletion(paths.hub_cache, item.revision).execute()
    elif item.kind == "incomplete":
        _unlink_unlocked(item.path)
    else:
        shutil.rmtree(item.path.parent if item.kind == "trash" else item.path)


def _scan(cache: Path) -> list[Any]:
    from huggingface_hub import scan_cache_dir
    from huggingface_hub.errors import CacheNotFound

    try:
        return [repo for repo in scan_cache_dir(cache).repos if repo.repo_type == "model"]
    except CacheNotFound:
        return []


def _deletion(cache: Path, commit: str) -> Any:
    from huggingface_hub import scan_cache_dir

    return scan_cache_dir(cache).delete_revisions(commit)


def _lock_of(blob: Path) -> Path:
    """The file that every client of this cache locks while it writes ``blob`` or its partial file."""
    folder = blob.parent.parent
    return folder.parent / ".locks" / folder.name / f"{blob.name.partition('.')[0]}.lock"


def _is_locked(lock: Path) -> bool:
    try:
        with _holding(lock):
            return False
    except OSError:
        return True


def _unlink_unlocked(blob: Path) -> None:
    """Remove a partial file, unless a client writes it at this moment; raises ``OSError`` then."""
    with _holding(_lock_of(blob)):
        blob.unlink()


@contextlib.contextmanager
def _holding(lock: Path) -> Iterator[None]:
    """Hold ``lock`` where there is one; raises ``OSError`` when somebody else does."""
    try:
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def _repo_of(folder: Path) -> str:
    return folder.name.removeprefix("models--").replace("--", "/")


def _bytes_in(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            total += path.lstat().st_size
    return total
