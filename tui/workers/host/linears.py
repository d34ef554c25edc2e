"""Linear layers as plain functions: the ways in which a CPU can multiply by a weight matrix, and what each keeps of it.

float32   the checkpoint's values, four bytes each
float16   FBGEMM: float32 activations, weights of two bytes, for matrices that float16 holds as well as float32 sums
          can tell: those of a float16 checkpoint bit for bit, those of bfloat16 but for what its tiniest values lose
bfloat16  the CPU's own bfloat16 arithmetic; rounds activations, as every GPU does
own       as the checkpoint or its library has them: on a GPU, and for quantized layers
compiled  the checkpoint's own values, bit for bit, through compiled C where this machine has a compiler; bfloat16 takes
          12 bits
int8      FBGEMM: weights of one byte, activations rounded to 7 or 8 bits for every call; faster and lossy

Several matrices that read the same input become one, because every call costs some ten microseconds beside its work.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tui.workers.host.compiled.products import product_of

Linear = Callable[[Any], Any]
"""From activations [tokens, in] to [tokens, out]."""

SMALLEST = 64
"""Matrices with fewer rows or columns gain nothing from packing."""


def packs() -> bool:
    """Whether this torch has FBGEMM's kernels for this processor."""
    import torch

    return "fbgemm" in torch.backends.quantized.supported_engines


SAME = 1e-6
"""What a matrix may lose in float16, as a share of its own size: as much as float32 loses in summing a few thousand
products. Normal values of bfloat16 lose nothing; a few of any matrix lie below 1e-5, where float16's steps are 6e-8."""


def holds_in_float16(weight: Any) -> bool:
    """Whether float16 holds the float32 ``weight`` as well as float32 can tell (``SAME``)."""
    lost = weight.half().float().sub_(weight).norm()
    return bool(lost <= SAME * weight.norm())  # false where a value overflows


def is_plain(module: Any) -> bool:
    """Whether ``module`` is torch's own linear layer, whose weights may be taken."""
    import torch

    return type(module) is torch.nn.Linear


def linear_of(modules: Sequence[Any], kind: str, *, shared: bool = False) -> Linear:
    """One function for ``modules``, their outputs side by side, in the way ``kind``.

    Layers of other libraries (GPTQ and the like) are called as they are, one after another. ``shared``: an embedding
    keeps the same weights.
    """
    import torch

    if not all(is_plain(module) for module in modules):
        if len(modules) == 1:
            only: Linear = modules[0]
            return only
        return lambda x: torch.cat([module(x) for module in modules], -1)
    if kind == "compiled" and (product := product_of(modules, shared=shared)) is not None:
        return product
    dtype = {"own": modules[0].weight.dtype, "bfloat16": torch.bfloat16}.get(kind, torch.float32)
    parts = [module.weight.detach().to(dtype) for module in modules]
    weight = parts[0] if len(parts) == 1 else torch.cat(parts)
    bias = _bias(modules, dtype)
    if kind == "int8" and min(weight.shape) >= SMALLEST:
        return _int8(weight, bias)
    if kind == "float16" and min(weight.shape) >= SMALLEST and holds_in_float16(weight):
        return _float16(weight, bias)
    multiply = torch.nn.functional.linear
    return lambda x: multiply(x, weight, bias)


def _float16(weight: Any, bias: Any) -> Linear:
    import torch

    torch.backends.quantized.engine = "fbgemm"
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    multiply = torch.ops.quantized.linear_dynamic_fp16.default
    return lambda x: multiply(x, packed)


def _int8(weight: Any, bias: Any) -> Linear:
    import torch

    torch.backends.quantized.engine = "fbgemm"
    scales = (weight.abs().amax(1) / 127).clamp_min(1e-12)
    zeros = torch.zeros(len(scales), dtype=torch.int64)
    rounded = torch.quantize_per_channel(weight, scales.double(), zeros, 0, torch.qint8)
    packed = torch.ops.quantized.linear_prepack(rounded, bias)
    multiply = torch.ops.quantized.linear_dynamic.default
    return lambda x: multiply(x, packed, True)


def _bias(modules: Sequence[Any], dtype: Any) -> Any:
    import torch

    if all(module.bias is None for module in modules):
        return None
    parts = [
        torch.zeros(len(module.weight), device=module.weight.device) if module.bias is None else module.bias.detach()
        for module in modules
    ]
    return torch.cat([part.to(dtype) for part in parts])
