"""Small GGUF files, written by the format's definition (ggml: docs/gguf.md) and not by the library that is tested."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any

SIZES = {0: (1, 4), 1: (1, 2), 2: (32, 18), 8: (32, 34), 12: (256, 144)}
LLAMA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.file_type": 2,
    "llama.block_count": 2,
    "llama.context_length": 4096,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": [f"word{number}" for number in range(300)],
}
TENSORS = {"token_embd.weight": (2, (64, 300)), "blk.0.attn_q.weight": (2, (64, 64)), "output_norm.weight": (0, (64,))}


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def value_bytes(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    inner = 8 if isinstance(value[0], str) else 4
    items = b"".join(text(item) if inner == 8 else struct.pack("<I", item) for item in value)
    return struct.pack("<IIQ", 9, inner, len(value)) + items


def gguf_bytes(
    fields: Mapping[str, Any] = LLAMA, tensors: Mapping[str, tuple[int, Sequence[int]]] = TENSORS, missing: int = 0
) -> bytes:
    """A whole file, or one that lacks its last ``missing`` bytes."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(fields))
    head += b"".join(text(name) + value_bytes(value) for name, value in fields.items())
    offset = 0
    for name, (kind, shape) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
        many, size = SIZES[kind]
        offset += -(-(math.prod(shape) // many * size) // 32) * 32
    data = head + bytes(-len(head) % 32) + bytes(offset)
    return data[: len(data) - missing]
