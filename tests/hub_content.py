"""What the local hub stores: bytes, files, and big contents that are nowhere in memory, with the hub's own digests."""

from __future__ import annotations

import hashlib
import json
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

LFS_SUFFIXES = (".safetensors", ".bin", ".gguf", ".h5", ".onnx", ".msgpack", ".pt", ".pth", ".ot", ".model")


@dataclass(frozen=True)
class Synthetic:
    """``size`` bytes after ``head`` that are nowhere in memory; no two aligned blocks of it are the same."""

    size: int
    seed: int = 0
    head: bytes = b""

    def chunks(self, start: int, end: int) -> Iterator[memoryview]:
        if start < len(self.head):
            yield memoryview(self.head)[start:end]
            start = len(self.head)
        block = _block(self.seed)
        while start < end:
            at = (start - len(self.head)) % len(block)
            piece = memoryview(block)[at : at + min(end - start, len(block) - at)]
            yield piece
            start += len(piece)


@lru_cache(8)
def _block(seed: int) -> bytes:
    return random.Random(seed).randbytes((1 << 20) + 7)  # a length that no power of two divides


def safetensors(size: int, seed: int = 0) -> Synthetic:
    """A valid safetensors file of ``size`` bytes with one tensor."""
    length = size - 8 - 192
    header = json.dumps({"weight": {"dtype": "U8", "shape": [length], "data_offsets": [0, length]}}).encode().ljust(192)
    return Synthetic(size, seed, struct.pack("<Q", 192) + header)


@dataclass(frozen=True)
class Blob:
    """One stored content: ``source`` is bytes, a file or a Synthetic."""

    source: bytes | Path | Synthetic
    size: int
    sha256: str
    git_id: str
    is_lfs: bool

    @classmethod
    def of(cls, name: str, source: bytes | Path | Synthetic) -> Blob:
        size = (
            len(source)
            if isinstance(source, bytes)
            else source.stat().st_size
            if isinstance(source, Path)
            else source.size
        )
        is_lfs = name.endswith(LFS_SUFFIXES)
        sha256 = _digest(source) if isinstance(source, Synthetic) else _hash(source, size, hashlib.sha256())
        if is_lfs:
            pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()
            git_id = hashlib.sha1(b"blob %d\0" % len(pointer) + pointer).hexdigest()
        else:
            git_id = _hash(source, size, hashlib.sha1(b"blob %d\0" % size))
        return cls(source, size, sha256, git_id, is_lfs)

    @property
    def etag(self) -> str:
        return self.sha256 if self.is_lfs else self.git_id


def chunks_of(source: bytes | Path | Synthetic, start: int, end: int) -> Iterator[bytes | memoryview]:
    if isinstance(source, bytes):
        yield memoryview(source)[start:end]
    elif isinstance(source, Synthetic):
        yield from source.chunks(start, end)
    else:
        with source.open("rb") as file:
            file.seek(start)
            while start < end and (piece := file.read(min(1 << 20, end - start))):
                yield piece
                start += len(piece)


def _hash(source: bytes | Path | Synthetic, size: int, state: Any) -> str:
    for piece in chunks_of(source, 0, size):
        state.update(piece)
    return str(state.hexdigest())


@lru_cache(32)
def _digest(source: Synthetic) -> str:
    return _hash(source, source.size, hashlib.sha256())
