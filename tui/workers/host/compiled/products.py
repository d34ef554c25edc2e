"""Linear layers that read the checkpoint's own numbers: no packing, no copy in 32 bits, float32 arithmetic."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from collections.abc import Sequence
from typing import Any

from tui.workers.host.compiled.library import loaded

LARGE = 4 << 20
"""Bytes from which on weights move to pages of 2 MB: reading 4 KB pages waits for their addresses."""


TYPES = ("torch.float16", "torch.bfloat16", "torch.float32")
"""As products.h numbers them."""


class Matrix(ctypes.Structure):
    """``Matrix`` of products.h."""

    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("type", ctypes.c_int64),
    )


class Product:
    """``y = x W^T + b``: float32 ``x`` [..., columns] to float32 [..., rows]; ``weight`` is of one of ``TYPES``.

    Of float32 weights, several tokens at once are left to torch, which needs no copy of them either.
    """

    def __init__(self, weight: Any, bias: Any) -> None:
        import torch

        library = loaded()
        assert library is not None
        self.weight, self.bias = weight.contiguous(), bias
        self.rows, self.columns = weight.shape
        self._wide = torch.nn.functional.linear if weight.dtype is torch.float32 else None
        self.matrix = Matrix(
            self.weight.data_ptr(),
            None if bias is None else bias.data_ptr(),
            self.rows,
            self.columns,
            TYPES.index(str(weight.dtype)),
        )
        self._address = ctypes.addressof(self.matrix)
        self._multiply = library.multiply
        self._empty, self._threads, self._float = torch.empty, torch.get_num_threads, torch.float32

    def __call__(self, x: Any) -> Any:
        """Raises ``ValueError`` where ``x`` has other columns."""
        if x.shape[-1] != self.columns or x.device.type != "cpu":
            raise ValueError(f"{tuple(x.shape)} on {x.device} does not fit {self.rows}x{self.columns} on the CPU")
        x = x.to(self._float).contiguous()
        y = self._empty((*x.shape[:-1], self.rows), dtype=self._float)
        tokens = x.numel() // self.columns
        if tokens > 1 and self._wide is not None:
            return self._wide(x, self.weight, self.bias)
        if tokens:
            self._multiply(self._address, x.data_ptr(), tokens, y.data_ptr(), self._threads())
        return y


def product_of(modules: Sequence[Any]) -> Product | None:
    """The layers ``modules`` as one, or None where their weights are of several types or of another one.

    Numbers of 32 bits that 16 hold exactly are kept in 16.
    """
    import torch

    parts = [module.weight.detach() for module in modules]
    if any(part.dtype is not parts[0].dtype for part in parts) or str(parts[0].dtype) not in TYPES:
        return None
    if parts[0].dtype is torch.float32:
        halves = [part.half() for part in parts]
        if all(torch.equal(half.float(), part) for half, part in zip(halves, parts, strict=True)):
            parts = halves
        elif len(parts) == 1:
            return Product(parts[0], _bias(modules))  # the embedding may share it
    return Product(_together(parts), _bias(modules))


def _together(parts: Sequence[Any]) -> Any:
    """``parts`` in one tensor, on large pages where there is enough of it."""
    import torch

    rows, columns = sum(len(part) for part in parts), parts[0].shape[1]
    size = rows * columns * parts[0].dtype.itemsize
    if size < LARGE:
        return torch.cat(list(parts))
    pages = mmap.mmap(-1, size)
    with contextlib.suppress(OSError, AttributeError):
        pages.madvise(mmap.MADV_HUGEPAGE)
    weight = torch.frombuffer(pages, dtype=parts[0].dtype).view(rows, columns)
    torch.cat(list(parts), out=weight)
    return weight


def _bias(modules: Sequence[Any]) -> Any:
    import torch

    if all(module.bias is None for module in modules):
        return None
    return torch.cat(
        [torch.zeros(len(module.weight)) if module.bias is None else module.bias.detach().float() for module in modules]
    )
