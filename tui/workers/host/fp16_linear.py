"""Linear layers that keep their weights in 16 bits on a CPU that computes in 32.

A CPU without bfloat16 arithmetic runs 16-bit models in float32, and then waits for memory: every token reads every
weight. FBGEMM multiplies float32 activations by weights that stay float16 in memory, which halves that reading. A
layer whose weight float16 does not hold (``holds_in_float16``) stays in float32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tui.workers.host.compiled.products import Product, product_of
from tui.workers.host.linears import holds_in_float16

_SMALLEST = 64
"""Layers with fewer rows or columns gain nothing."""


def is_supported() -> bool:
    """Whether this torch has FBGEMM's kernel for this processor."""
    import torch

    return "fbgemm" in torch.backends.quantized.supported_engines


def pack_linears(model: Any, halted: threading.Event, report: Callable[[int, int], None], kind: str = "float16") -> int:
    """Replace the linear layers of ``model`` that lose nothing; the rest becomes float32. Returns their number.

    ``kind`` is "float16" or "compiled", which keeps bfloat16 too.
    Goes layer by layer, so a 16-bit checkpoint never stands in memory as a whole in 32 bits. ``report`` is told how
    many bytes of how many are done. A head that shares its weights with the embedding is packed too; the embedding
    keeps its own copy.
    """
    import torch

    torch.backends.quantized.engine = "fbgemm"
    found = [
        (parent, name, child)
        for parent in model.modules()
        for name, child in parent.named_children()
        if _is_layer(child, kind) and min(child.weight.shape) >= _SMALLEST
    ]
    total = sum(child.weight.numel() * 2 for *_, child in found)
    done = packed = 0
    make = _packed_linear() if kind == "float16" else _compiled_linear(_embedding_of(model))
    for parent, name, child in found:
        if halted.is_set():
            break
        replaced = make(child)
        if replaced is not None:
            setattr(parent, name, replaced)
            packed += 1
        done += child.weight.numel() * 2
        report(done, total)
    model.float()
    return packed


def _is_layer(module: Any, kind: str) -> bool:
    """Whether ``module`` is torch's own linear layer; the compiled products know GPT-2's too."""
    import torch

    return type(module) is torch.nn.Linear or (kind == "compiled" and _is_turned(module))


def _is_turned(module: Any) -> bool:
    """Whether ``module`` is transformers' layer of GPT-2, whose weights [in, out] lie the other way round."""
    return type(module).__name__ == "Conv1D" and type(module).__module__ == "transformers.pytorch_utils"


def _packed_linear() -> Any:
    import torch

    class PackedLinear(torch.nn.Module):  # type: ignore[misc]
        """``y = x W^T + b`` with W packed as float16."""

        def __init__(self, weight: Any, bias: Any) -> None:
            super().__init__()
            self.out_features, self.in_features = weight.shape
            whole = None if bias is None else bias.detach().float()
            self._packed = torch.ops.quantized.linear_prepack_fp16(weight, whole)
            self._multiply = torch.ops.quantized.linear_dynamic_fp16

        def forward(self, inputs: Any) -> Any:
            """``inputs`` of shape [..., in_features] in float32."""
            return self._multiply(inputs, self._packed)

    def make(layer: Any) -> Any:
        weight = layer.weight.detach().float()
        return PackedLinear(weight, layer.bias) if holds_in_float16(weight) else None

    return make


def _embedding_of(model: Any) -> Any:
    """The weights of the embedding, or None where there is none."""
    try:
        return getattr(model.get_input_embeddings(), "weight", None)
    except (AttributeError, NotImplementedError):
        return None


def _compiled_linear(embedding: Any) -> Any:
    import torch

    class CompiledLinear(torch.nn.Module):  # type: ignore[misc]
        """``y = x W^T + b`` with the checkpoint's own W."""

        def __init__(self, product: Product) -> None:
            super().__init__()
            self.out_features, self.in_features = product.rows, product.columns
            self._multiply = product

        def forward(self, inputs: Any) -> Any:
            """``inputs`` of shape [..., in_features] in float32."""
            return self._multiply(inputs)

    def make(layer: Any) -> Any:
        shared = layer.weight is embedding
        if _is_turned(layer):
            layer = SimpleNamespace(weight=layer.weight.t(), bias=layer.bias)
        product = product_of([layer], shared=shared)
        return None if product is None else CompiledLinear(product)

    return make
