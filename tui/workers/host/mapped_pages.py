"""Pages of a checkpoint that loading only passed through.

Weights come as a mapping of their file. Where a layer gets a layout of its own, or experts become one block, the pages
of the originals stay resident until the kernel needs the room, so that a host seems to take its weights twice. What no
tensor reads any more is given back at once. It stays in the page cache, so the next load does not wait for the disk.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
from collections.abc import Iterable
from pathlib import Path
from typing import Any

MAPS = Path("/proc/self/maps")
Span = tuple[int, int]
"""From the first address to before the last."""


def give_back_pages(files: Iterable[Path]) -> int:
    """Let go of the pages of ``files`` that no tensor of this process reads; returns their bytes, 0 where the system
    does not say what is mapped."""
    mapped = mappings({str(file.resolve()) for file in files})
    if not mapped:
        return 0
    taken = _tensor_spans()
    free = [gap for span in mapped for gap in gaps(span, taken)]
    advise = ctypes.CDLL(None).madvise
    given = 0
    for start, end in free:
        if advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.MADV_DONTNEED) == 0:
            given += end - start
    return given


def mappings(names: set[str]) -> list[Span]:
    """Where this process has the files of these absolute ``names`` in its memory."""
    try:
        rows = MAPS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = []
    for row in rows:
        where, *_, name = row.split(maxsplit=5)
        if name in names:
            start, _, end = where.partition("-")
            found.append((int(start, 16), int(end, 16)))
    return found


def gaps(span: Span, taken: Iterable[Span]) -> list[Span]:
    """The whole pages of ``span`` that none of ``taken`` touches."""
    page, (place, last) = mmap.PAGESIZE, span
    found = []
    for start, end in sorted(taken):
        if end <= place or start >= last:
            continue
        if start // page * page > place:
            found.append((place, start // page * page))
        place = max(place, -(-end // page) * page)
    return [*found, (place, last)] if place < last else found


def _tensor_spans() -> list[Span]:
    import torch

    found = []
    for each in gc.get_objects():
        # a look at the type alone: lazy modules of libraries answer isinstance by importing
        if issubclass(type(each), torch.Tensor) and each.device.type == "cpu" and each.layout is torch.strided:
            span = _span_of(each)
            if span is not None:
                found.append(span)
    return found


def _span_of(tensor: Any) -> Span | None:
    try:
        start = tensor.data_ptr()
    except RuntimeError:  # a tensor without memory of its own
        return None
    if not start or not tensor.numel():
        return None
    steps = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return start, start + (steps + 1) * tensor.element_size()
