"""How a half fetched file says what of it is there: a journal behind the last byte of the data, in the same file.

The download worker writes it (``workers/transfer_parts.py``); everybody else only reads how much is still missing.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

HEAD = struct.Struct("<8sQQ")
SLOT = struct.Struct("<Q")
MAGIC = b"heftpart"
ENDING = ".heft.incomplete"


class Listed(Protocol):
    """A file as the hub lists it."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def sha256(self) -> str:
        """Its checksum, or empty."""

    @property
    def blob_id(self) -> str:
        """The git-sha1, or empty."""


def missing_bytes(hub_cache: Path, repo: str, files: Iterable[Listed]) -> int:
    """Bytes of ``files`` of ``repo`` that are not in the Hugging Face cache yet; files with the same content count
    once."""
    blobs = hub_cache / f"models--{repo.replace('/', '--')}" / "blobs"
    missing = {}
    for file in files:
        name = file.sha256 or file.blob_id
        try:
            whole = (blobs / name).stat().st_size == file.size
        except OSError:
            whole = False
        missing[name] = 0 if whole else file.size - bytes_there(blobs / f"{name}{ENDING}", file.size)
    return sum(missing.values())


def count_parts(size: int, part_size: int) -> int:
    """How many parts ``size`` bytes make."""
    return -(-size // part_size) if size else 0


def bytes_there(path: Path, size: int) -> int:
    """How many bytes of a transfer of ``size`` bytes an earlier attempt left in ``path``."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        journal = read_journal(descriptor, size)
        return sum(journal[1]) if journal else 0
    finally:
        os.close(descriptor)


def read_journal(descriptor: int, size: int) -> tuple[int, list[int]] | None:
    """The size of a part and the bytes that are there of each; None where there is no sound journal."""
    head = os.pread(descriptor, HEAD.size, size)
    if len(head) < HEAD.size:
        return None
    magic, known_size, part_size = HEAD.unpack(head)
    if magic != MAGIC or known_size != size or part_size == 0:
        return None
    count = count_parts(size, part_size)
    slots = os.pread(descriptor, count * SLOT.size, size + HEAD.size)
    if len(slots) < count * SLOT.size:
        return None
    done = [slot[0] for slot in SLOT.iter_unpack(slots)]
    if any(number > min(part_size, size - part * part_size) for part, number in enumerate(done)):
        return None
    return part_size, done
