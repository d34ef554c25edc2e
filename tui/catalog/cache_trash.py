"""The trash of the Hugging Face cache: a revision that was removed waits there for a day, and can be brought back.

It lies on the cache's volume, outside what other tools scan, and keeps the cache's own layout, so removing and bringing
back are renames. Files that other revisions share stay where they are.

    .heft-trash/<time>/models--org--name/{snapshots/<commit>,blobs/...}   and removal.json beside them: its refs
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.errors import NotFoundError, UsageError

TRASH = ".heft-trash"
_NOTE = "removal.json"


@dataclass(frozen=True, slots=True)
class CacheRemoval:
    """A revision in the trash: ``folder`` is what was the repository's folder, ``commit`` the revision, ``refs`` the
    branches and tags that stood for it, ``files`` its only files that were removed (empty: all of them)."""

    folder: Path
    commit: str
    refs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def repo(self) -> str:
        """The repository's id."""
        return self.folder.name.removeprefix("models--").replace("--", "/")

    @property
    def snapshot(self) -> Path:
        """The revision as it lies in the trash."""
        return self.folder / "snapshots" / self.commit


def trash_folder(hub_cache: Path) -> Path:
    """Where removed revisions wait: beside the cache, or in it where the cache is a volume of its own."""
    beside = hub_cache.parent
    with contextlib.suppress(OSError):
        if beside.stat().st_dev == hub_cache.stat().st_dev and os.access(beside, os.W_OK):
            return beside / TRASH
    return hub_cache / TRASH


def removals(hub_cache: Path) -> Iterator[CacheRemoval]:
    """What lies in the trash, newest first."""
    for folder in sorted(trash_folder(hub_cache).glob("*/models--*"), reverse=True):
        try:
            note = json.loads((folder / _NOTE).read_text(encoding="utf-8"))
            files = tuple(map(str, note.get("files", ())))
            yield CacheRemoval(folder, str(note["commit"]), tuple(map(str, note["refs"])), files)
        except (OSError, ValueError, KeyError, TypeError):
            for snapshot in folder.glob("snapshots/*"):
                yield CacheRemoval(folder, snapshot.name)


def remove_revision(hub_cache: Path, snapshot: Path) -> CacheRemoval:
    """Move the revision at ``snapshot`` to the trash, with the files that no other revision has; raises
    ``NotFoundError`` when it is not one of this cache."""
    folder = snapshot.parent.parent
    if folder.parent != hub_cache or not snapshot.is_dir() or snapshot.parent.name != "snapshots":
        raise NotFoundError(f"{snapshot} is not a revision that the Hugging Face cache knows", "look into it yourself")
    target = _new_place(hub_cache) / folder.name
    others = [other for other in snapshot.parent.iterdir() if other.is_dir() and other != snapshot]
    removal = CacheRemoval(target, snapshot.name, tuple(refs_of(folder, snapshot.name)))
    note = json.dumps({"commit": removal.commit, "refs": removal.refs})
    if not others:
        (folder / _NOTE).write_text(note, encoding="utf-8")
        folder.rename(target)
        return removal
    (target / "snapshots").mkdir(parents=True)
    (target / "blobs").mkdir()
    (target / _NOTE).write_text(note, encoding="utf-8")
    own = _blobs(snapshot) - {blob for other in others for blob in _blobs(other)}
    snapshot.rename(removal.snapshot)
    for blob in own:
        with contextlib.suppress(FileNotFoundError):
            blob.rename(target / "blobs" / blob.name)
    for ref in removal.refs:
        (folder / "refs" / ref).unlink(missing_ok=True)
    return removal


def remove_files(hub_cache: Path, snapshot: Path, names: Sequence[str]) -> CacheRemoval:
    """Move some files of the revision at ``snapshot`` to the trash: one model of several in a repository."""
    folder = snapshot.parent.parent
    target = _new_place(hub_cache) / folder.name
    removal = CacheRemoval(target, snapshot.name, files=tuple(names))
    removal.snapshot.mkdir(parents=True)
    (target / "blobs").mkdir()
    note = json.dumps({"commit": removal.commit, "refs": [], "files": list(names)})
    (target / _NOTE).write_text(note, encoding="utf-8")
    for name in names:
        (removal.snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).rename(removal.snapshot / name)
    kept = {blob for other in snapshot.parent.iterdir() if other.is_dir() for blob in _blobs(other)}
    for name in names:
        blob = _blob_of(folder / "snapshots" / removal.commit / name, removal.snapshot / name)
        if blob is not None and blob not in kept and blob.parent == folder / "blobs":
            with contextlib.suppress(FileNotFoundError):
                blob.rename(target / "blobs" / blob.name)
    return removal


def restore_revision(hub_cache: Path, removal: CacheRemoval) -> Path:
    """Bring a revision back; returns its snapshot. Raises ``NotFoundError`` when it is no longer in the trash,
    ``UsageError`` when it was downloaded again meanwhile."""
    if not removal.snapshot.is_dir():
        raise NotFoundError(f"{removal.repo} cannot be brought back: it is no longer in the trash")
    home = hub_cache / removal.folder.name
    snapshot = home / "snapshots" / removal.commit
    if any((snapshot / name).exists() for name in removal.files) if removal.files else snapshot.exists():
        raise UsageError(f"{removal.repo} was downloaded again meanwhile", "there is nothing to bring back")
    if not home.exists():
        removal.folder.rename(home)
        (home / _NOTE).unlink(missing_ok=True)
    else:
        (home / "blobs").mkdir(exist_ok=True)
        for blob in (removal.folder / "blobs").glob("*"):
            if not os.path.lexists(home / "blobs" / blob.name):
                blob.rename(home / "blobs" / blob.name)
        snapshot.parent.mkdir(exist_ok=True)
        if snapshot.exists():
            for name in removal.files:
                (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
                (removal.snapshot / name).replace(snapshot / name)
        else:
            removal.snapshot.rename(snapshot)
        for ref in removal.refs:
            path = home / "refs" / ref
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(removal.commit)
    _forget(removal.folder)
    return snapshot


def refs_of(folder: Path, commit: str) -> list[str]:
    """The branches and tags of a cached repository that stand for ``commit``."""
    root, found = folder / "refs", []
    for path in sorted(root.rglob("*")):
        with contextlib.suppress(OSError):
            if path.is_file() and path.read_text(encoding="utf-8", errors="replace").strip() == commit:
                found.append(str(path.relative_to(root)))
    return found


def _new_place(hub_cache: Path) -> Path:
    place = trash_folder(hub_cache) / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    place.mkdir(parents=True)
    return place


def _blobs(snapshot: Path) -> set[Path]:
    """The blobs that the files of a revision are links to."""
    blobs = snapshot.parent.parent / "blobs"
    found = (_blob_of(path, path) for path in snapshot.rglob("*"))
    return {blob for blob in found if blob is not None and blob.parent == blobs}


def _blob_of(place: Path, link: Path) -> Path | None:
    """What ``link`` points to when it stands at ``place``; None for what is no link."""
    return Path(os.path.normpath(place.parent / link.readlink())) if link.is_symlink() else None


def _forget(folder: Path) -> None:
    """Remove what is empty now; what another revision had meanwhile goes too, for it is in the cache."""
    shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
        folder.parent.parent.rmdir()
