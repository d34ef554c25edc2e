"""The Hugging Face cache, written the way huggingface_hub writes it, so that every other tool finds what we fetched.

    models--org--name/blobs/<etag>                 the bytes, named by sha256, or git-sha1 where git holds the file
    models--org--name/snapshots/<commit>/<path>    links to them
    models--org--name/refs/<revision>              the commit that a branch or tag stood for
    .locks/models--org--name/<etag>.lock           held while a blob is written

The part that is still coming is called ``<etag>.heft.incomplete``: ``hf cache`` lists and prunes it, and older clients,
which append to ``<etag>.incomplete``, leave it alone.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
from pathlib import Path

from tui.catalog.hub import HubFile
from tui.catalog.hub_answers import safe_path
from tui.errors import HeftError

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TAG = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# This file is a cache directory tag created by huggingface_hub.\n"
    "# For information about cache directory tags, see:\n"
    "#	https://bford.info/cachedir/\n"
)


class CachedRepository:
    """The place of ``repo`` in the cache ``hub_cache``."""

    def __init__(self, hub_cache: Path, repo: str) -> None:
        name = "models--" + repo.replace("/", "--")
        self.hub_cache = hub_cache
        self.folder = hub_cache / name
        self.locks = hub_cache / ".locks" / name

    def prepare(self) -> None:
        """Create the folders."""
        for folder in (self.folder / "blobs", self.folder / "refs", self.locks):
            folder.mkdir(parents=True, exist_ok=True)
        tag = self.hub_cache / "CACHEDIR.TAG"
        if not tag.exists():
            with contextlib.suppress(OSError):
                tag.write_text(_TAG)

    def place(self, file: HubFile) -> Blob:
        """Where ``file`` goes."""
        name = etag(file)
        blobs = self.folder / "blobs"
        return Blob(blobs / name, blobs / f"{name}.heft.incomplete", self.locks / f"{name}.lock")

    def has(self, file: HubFile, commit: str) -> bool:
        """Whether the bytes of ``file`` are here, judged by name and size."""
        return any(_size(path) == file.size for path in (self.place(file).blob, self.snapshot(commit) / file.path))

    def snapshot(self, commit: str) -> Path:
        """The folder that shows the repository as it was at ``commit``."""
        return self.folder / "snapshots" / commit

    def link(self, files: tuple[HubFile, ...], commit: str) -> None:
        """Show ``files`` in the snapshot of ``commit``."""
        for file in files:
            pointer = self.snapshot(commit) / file.path
            if _size(pointer) == file.size:
                continue
            pointer.parent.mkdir(parents=True, exist_ok=True)
            beside = pointer.with_name(f".{secrets.token_hex(6)}")
            blob = self.place(file).blob
            try:
                beside.symlink_to(os.path.relpath(blob, pointer.parent))
            except OSError:
                os.link(blob, beside)  # a volume without symbolic links; raises where there are none of either kind
            beside.replace(pointer)

    def set_ref(self, revision: str, commit: str) -> None:
        """Note that ``revision`` (a branch or tag) stood for ``commit``."""
        if _COMMIT.fullmatch(revision) or not safe_path(revision):
            return
        path = self.folder / "refs" / revision
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{secrets.token_hex(6)}")
        beside.write_text(commit)
        beside.replace(path)

    def commit_of(self, revision: str) -> str:
        """The commit that ``revision`` stood for when it was last asked for; empty when that is not known."""
        if _COMMIT.fullmatch(revision):
            return revision
        if revision and not safe_path(revision):
            return ""
        try:
            return (self.folder / "refs" / (revision or "main")).read_text().strip()
        except OSError:
            return ""


class Blob:
    """One file of the cache and the lock under which huggingface_hub writes it, too."""

    def __init__(self, blob: Path, incomplete: Path, lock_file: Path) -> None:
        self.blob = blob
        self.incomplete = incomplete
        self.own_folder = lock_file.with_suffix(".heft")
        """For a client that may not write into the cache itself."""
        self._lock_file = lock_file
        self._descriptor = -1

    def lock(self) -> bool:
        """Take the lock; False when another program holds it now."""
        descriptor = os.open(self._lock_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_ino == self._lock_file.stat().st_ino:
                self._descriptor = descriptor
                return True
        except OSError:  # held; or removed by the one that held it
            pass
        os.close(descriptor)
        return False

    def unlock(self) -> None:
        """Give the lock back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def etag(file: HubFile) -> str:
    """The name of the file's blob; raises ``HeftError`` when the hub gives none that could be checked."""
    name = file.sha256 or file.blob_id
    if not name:
        raise HeftError(f"the hub lists {file.path} without a checksum, so it cannot be verified")
    return name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
