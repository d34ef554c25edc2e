"""The exact weights of a repository that nobody has downloaded: the heads of its files, read by range.

A few kilobytes per file instead of gigabytes. What was read is kept in the browse cache under its commit, where it can
never go stale; nothing enters the Hugging Face cache.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import struct
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.catalog.needed_files import needed_files
from tui.catalog.safetensors_header import HEADER_LIMIT, DamagedWeightsError, parse_safetensors_header
from tui.catalog.tensors import Tensors, read_tensors, tensors_facts, tensors_of
from tui.errors import BuildBrokenError, HubUnreachableError
from tui.paths import Paths
from tui.plain_text import clean_line

if TYPE_CHECKING:
    from tui.catalog.hub import Hub, HubFile, HubRepository

FIRST_READ = 65_536
"""Bytes asked for first: the head of a shard of most models, so that one request is enough."""

AT_ONCE = 6
"""Files whose heads are read side by side."""


def remote_tensors(hub: Hub, paths: Paths, repository: HubRepository) -> Tensors | None:
    """Read the tensors of ``repository``; None where it has no safetensors files. Raises the hub's errors, and
    ``BuildBrokenError`` when a file is not what its name says."""
    files = [file for file in needed_files(repository.files) if file.path.endswith(".safetensors")]
    if not files:
        return None
    kept = _cache_file(paths, repository)
    known = _read_kept(kept)
    if known is not None and known.commit == repository.commit:
        return known
    found = tensors_of(_read_all(hub, repository, files), repository.commit)
    _keep(kept, found)
    return found


def _read_all(hub: Hub, repository: HubRepository, files: Sequence[HubFile]) -> list[Mapping[str, Any]]:
    given_up = threading.Event()

    def read(file: HubFile) -> Mapping[str, Any]:
        if given_up.is_set():
            raise HubUnreachableError("another file of the same repository could not be read")
        try:
            return _read_head(hub, repository, file)
        except BaseException:
            given_up.set()  # one file that cannot be read makes the rest useless: do not wait for each of them
            raise

    with ThreadPoolExecutor(min(AT_ONCE, len(files)), thread_name_prefix="heads") as readers:
        waiting = [readers.submit(read, file) for file in files]
    failed = [error for error in (item.exception() for item in waiting) if error is not None]
    for error in sorted(failed, key=lambda error: "another file" in str(error)):
        raise error
    return [item.result() for item in waiting]


def _read_head(hub: Hub, repository: HubRepository, file: HubFile) -> Mapping[str, Any]:
    def ask(start: int, length: int) -> bytes:
        return hub.read_range(repository.repo, file.path, start, length, repository.commit)

    wrong = f"{clean_line(file.path, 120)} of {repository.repo} is no safetensors file"
    first = ask(0, min(FIRST_READ, file.size))
    if len(first) < 8:
        raise BuildBrokenError(f"{wrong}: it has {len(first)} bytes")
    (length,) = struct.unpack("<Q", first[:8])
    if length > HEADER_LIMIT or 8 + length > file.size:
        raise BuildBrokenError(f"{wrong}: its head names a length of {length} bytes")
    text = first[8 : 8 + length]
    if len(text) < length:
        text += ask(8 + len(text), length - len(text))
    try:
        return parse_safetensors_header(text, file.size).tensors
    except DamagedWeightsError as error:
        raise BuildBrokenError(f"{wrong}: {error}") from None


def _cache_file(paths: Paths, repository: HubRepository) -> Path:
    return paths.browse_cache / "tensors" / f"{repository.repo.replace('/', '--')}@{repository.commit}.json"


def _read_kept(file: Path) -> Tensors | None:
    try:
        return read_tensors(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def _keep(file: Path, tensors: Tensors) -> None:
    beside = file.with_name(f".{secrets.token_hex(6)}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(json.dumps(tensors_facts(tensors)), encoding="utf-8")
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
