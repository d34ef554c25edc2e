"""What the tensors of a model say about its size: exact bytes and the split that a quantizer makes, from names, types
and shapes alone.

A header holds everything that this needs, so it works on a repository that nobody has downloaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
"""How output layers are called; weights without one share the input embedding."""
_FLOATS = ("F64", "F32", "F16", "BF16")
_BLOCK = re.compile(r"(^|\.)\d+\.")
_NOT_LINEAR = re.compile(r"embed|norm|ln_|\bwte\b|\bwpe\b|router|\.gate\.weight$|conv|rotary")


@dataclass(frozen=True, slots=True)
class Tensors:
    """All weight files of one model. ``bytes_by_dtype`` holds bytes for each stored type, the largest first; ``params``
    counts numbers. ``linear`` of them sit in linear layers of the blocks, whose input and output widths add up to
    ``inputs`` and ``outputs``; all zero for weights that are quantized already. ``experts`` are bytes."""

    bytes_by_dtype: tuple[tuple[str, int], ...] = ()
    params: int = 0
    linear: int = 0
    inputs: int = 0
    outputs: int = 0
    largest_input: int = 0
    largest_linear: int = 0
    experts: int = 0
    head_apart: bool = False
    files: int = 0
    commit: str = ""

    @property
    def bytes(self) -> int:
        """All tensors together."""
        return sum(size for _, size in self.bytes_by_dtype)


def tensors_of(headers: list[Mapping[str, Mapping[str, Any]]], commit: str = "") -> Tensors:
    """Add up the headers of all files of one model; each maps names to ``{"dtype", "shape", "data_offsets"}``."""
    sizes: dict[str, int] = {}
    params = experts = linear = inputs = outputs = widest = largest = 0
    head = False
    for header in headers:
        for name, tensor in header.items():
            size, count = _bytes(tensor), math.prod(tensor["shape"])
            dtype = str(tensor["dtype"])
            sizes[dtype] = sizes.get(dtype, 0) + size
            params += count
            experts += size if ".experts." in name else 0
            head = head or name.endswith(_HEADS)
            if _is_linear(name, tensor["shape"]):
                layers, (rows, columns) = count // math.prod(tensor["shape"][-2:]), tensor["shape"][-2:]
                linear, inputs, outputs = linear + count, inputs + layers * columns, outputs + layers * rows
                widest, largest = max(widest, columns), max(largest, rows * columns)
    if not all(dtype in _FLOATS for dtype in sizes):
        linear = inputs = outputs = widest = largest = 0
    ordered = tuple(sorted(sizes.items(), key=lambda item: -item[1]))
    return Tensors(ordered, params, linear, inputs, outputs, widest, largest, experts, head, len(headers), commit)


def tensors_facts(tensors: Tensors) -> dict[str, Any]:
    """The JSON to keep."""
    return asdict(tensors)


def read_tensors(facts: Any) -> Tensors | None:
    """What was kept; None when it is not that."""
    try:
        sizes = tuple((str(dtype), int(size)) for dtype, size in facts["bytes_by_dtype"])
        rest = {item.name: facts[item.name] for item in fields(Tensors) if item.name != "bytes_by_dtype"}
        numbers = [value for name, value in rest.items() if name not in ("head_apart", "commit")]
        if not all(isinstance(value, int) and value >= 0 for value in numbers):
            return None
        return Tensors(sizes, **(rest | {"head_apart": bool(rest["head_apart"]), "commit": str(rest["commit"])}))
    except (KeyError, TypeError, ValueError):
        return None


def _is_linear(name: str, shape: list[int]) -> bool:
    """A matrix inside a numbered block that is no embedding, norm or router; experts may be stacked in one tensor."""
    if not _BLOCK.search(name) or _NOT_LINEAR.search(name):
        return False
    return (len(shape) == 2 and name.endswith(".weight")) or (len(shape) == 3 and ".experts." in name)


def _bytes(tensor: Mapping[str, Any]) -> int:
    start, end = tensor["data_offsets"]
    return int(end) - int(start)
