"""Weights of 16 or 32 bits kept in 12 or 28, without a bit lost: what packed.h reads, as tensors."""

from __future__ import annotations

import contextlib
import mmap
from dataclasses import dataclass
from typing import Any

from tui.workers.host.compiled.library import loaded

BLOCK = 64
"""Columns that packed.h takes together."""

BLOCK_BYTES = {"torch.bfloat16": 96, "torch.float32": 224}
"""Bytes of a block of one row."""

RARE = 256
"""One weight in so many may lack a code; each such takes eight bytes and an addition of its own."""

LARGE = 4 << 20
"""Bytes from which on weights lie on pages of 2 MB: reading 4 KB pages waits for their addresses."""


@dataclass(frozen=True, slots=True)
class Packed:
    """A packed matrix [rows, columns]: ``blocks`` of bytes, ``codes`` [16], and ``first`` [rows + 1] of ``others``, the
    weights without a code."""

    blocks: Any
    codes: Any
    first: Any
    others: Any


def packed(weight: Any) -> Packed | None:
    """``weight`` [rows, columns] of bfloat16 or float32 packed, or None where its values or shape do not allow it."""
    import torch

    library, (rows, columns) = loaded(), weight.shape
    size = BLOCK_BYTES.get(str(weight.dtype))
    if library is None or size is None or not rows or columns % BLOCK:
        return None
    weight = weight.contiguous()
    codes, first = torch.empty(16, dtype=torch.uint8), torch.empty(rows + 1, dtype=torch.int32)
    told = (weight.data_ptr(), 2 if weight.dtype is torch.float32 else 1, rows, columns, codes.data_ptr())
    threads = torch.get_num_threads()
    missing = library.choose(*told, first.data_ptr(), threads)
    if missing * RARE > rows * columns:
        return None
    others = torch.empty((missing, 2), dtype=torch.int32)
    blocks = on_large_pages(rows * (columns // BLOCK) * size, torch.uint8)
    library.pack(*told, first.data_ptr(), blocks.data_ptr(), others.data_ptr(), threads)
    return Packed(blocks, codes, first, others)


def on_large_pages(size: int, dtype: Any) -> Any:
    """An empty tensor [...] of ``size`` bytes, on pages of 2 MB where it is large enough for them."""
    import torch

    if size < LARGE:
        return torch.empty(size // dtype.itemsize, dtype=dtype)
    pages = mmap.mmap(-1, size)
    with contextlib.suppress(OSError, AttributeError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return torch.frombuffer(pages, dtype=dtype)
