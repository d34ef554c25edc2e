"""Linear layers that read the checkpoint's own numbers in float32 arithmetic: bfloat16 from 12 bits and float32 from
28, without loss, and float16 as it is."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

from tui.workers.host.compiled.library import loaded
from tui.workers.host.compiled.packing import LARGE, on_large_pages, packed

TYPES = ("torch.float16", "torch.bfloat16", "torch.float32")
"""As products.h numbers them."""

PACKED = {"torch.bfloat16": 3, "torch.float32": 4}
"""The numbers of what is packed."""


class Matrix(ctypes.Structure):
    """``Matrix`` of products.h."""

    _fields_ = (
        ("weight", ctypes.c_void_p),
        ("bias", ctypes.c_void_p),
        ("rows", ctypes.c_int64),
        ("columns", ctypes.c_int64),
        ("type", ctypes.c_int64),
        ("codes", ctypes.c_void_p),
        ("first", ctypes.c_void_p),
        ("others", ctypes.c_void_p),
    )


class Product:
    """``y = x W^T + b``: float32 ``x`` [..., columns] to float32 [..., rows]; ``weight`` is of one of ``TYPES``.

    It is packed where it can be and need not ``stay`` as it is; then ``weight`` is None. Of float32 weights that stay,
    several tokens at once are left to torch, which needs no copy of them either.
    """

    def __init__(self, weight: Any, bias: Any, *, stay: bool = False) -> None:
        import torch

        library = loaded()
        assert library is not None
        self.rows, self.columns = weight.shape
        self.bias, self.packed = bias, None if stay else packed(weight)
        self.weight: Any = _laid_out(weight) if self.packed is None else None
        self._wide = torch.nn.functional.linear if self._plain(torch.float32) else None
        self.matrix = _matrix(self, str(weight.dtype))
        self._address = ctypes.addressof(self.matrix)
        self._multiply = library.multiply
        self._empty, self._threads, self._float = torch.empty, torch.get_num_threads, torch.float32

    def _plain(self, dtype: Any) -> bool:
        return self.weight is not None and self.weight.dtype is dtype

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


def _matrix(product: Product, dtype: str) -> Matrix:
    bias = None if product.bias is None else product.bias.data_ptr()
    sizes, parts = (product.rows, product.columns), product.packed
    if parts is None:
        return Matrix(product.weight.data_ptr(), bias, *sizes, TYPES.index(dtype))
    others = (parts.codes, parts.first, parts.others)
    return Matrix(parts.blocks.data_ptr(), bias, *sizes, PACKED[dtype], *(tensor.data_ptr() for tensor in others))


def product_of(modules: Sequence[Any], *, shared: bool = False) -> Product | None:
    """The layers ``modules`` as one, or None where their weights are of several types or of another one.

    Numbers that fewer bits hold exactly are kept in fewer. Where an embedding has ``shared`` weights of 32 bits, they
    stay in memory anyway and are not packed.
    """
    import torch

    parts = [module.weight.detach() for module in modules]
    if any(part.dtype is not parts[0].dtype for part in parts) or str(parts[0].dtype) not in TYPES:
        return None
    for fewer in (torch.bfloat16, torch.float16):
        if parts[0].dtype.itemsize >= fewer.itemsize and all(_holds(fewer, part) for part in parts):
            return Product(_together(parts, fewer), _bias(modules))
    single = parts[0].dtype is torch.float32 and len(parts) == 1
    return Product(_together(parts, parts[0].dtype), _bias(modules), stay=shared and single)


def _holds(dtype: Any, weight: Any) -> bool:
    """Whether ``dtype`` holds every value of ``weight``; a look at a few rows saves most of the work."""
    import torch

    if weight.dtype is dtype:
        return True
    return all(torch.equal(part.to(dtype).to(part.dtype), part) for part in (weight[:8], weight))


def _together(parts: Sequence[Any], dtype: Any) -> Any:
    """``parts`` in one tensor of ``dtype``; not copied where they are that already."""
    import torch

    return parts[0].to(dtype) if len(parts) == 1 else torch.cat([part.to(dtype) for part in parts])


def _laid_out(weight: Any) -> Any:
    """``weight``, row after row: of 16 bits on large pages where there is enough of it, of 32 wherever it is."""
    size = weight.numel() * weight.dtype.itemsize
    if weight.dtype.itemsize > 2 or size < LARGE:
        return weight.contiguous()
    return on_large_pages(size, weight.dtype).view(weight.shape).copy_(weight)


def _bias(modules: Sequence[Any]) -> Any:
    import torch

    if all(module.bias is None for module in modules):
        return None
    return torch.cat(
        [torch.zeros(len(module.weight)) if module.bias is None else module.bias.detach().float() for module in modules]
    )
