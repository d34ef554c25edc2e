"""Bytes of the weights: from counts and a precision, or exactly from the files of a build.

The layout of a GPTQ checkpoint is that of AutoGPTQ and GPTQModel: per linear layer ``qweight`` (packed), ``qzeros``
(packed, one per group and output), ``scales`` (16-bit, the same) and ``g_idx`` (int32 per input).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui.catalog.safetensors_header import DamagedWeightsError, read_safetensors_header
from tui.catalog.tensors import Tensors
from tui.catalog.weight_files import weight_files
from tui.fit.parameters import Parameters
from tui.fit.precision import Precision


@dataclass(frozen=True, slots=True)
class WeightBytes:
    """A total in bytes and the terms that it is the sum of. ``head_apart``: the output layer is not the embedding.
    ``unpacked`` bytes are of experts, which transformers joins into blocks that are no linear layers."""

    total: int
    parts: tuple[tuple[str, int], ...]
    notes: tuple[str, ...] = ()
    head_apart: bool = True
    unpacked: int = 0


def weight_bytes(
    precision: Precision, params: int | None, split: Parameters | None, kept_bytes: int = 2
) -> WeightBytes | None:
    """The weights of ``params`` parameters; ``split`` says which of them a quantizer touches, the others take
    ``kept_bytes`` each. None when unknown."""
    if params is None:
        return None
    if precision.kind in ("float", "flat"):
        size = round(params * precision.bits / 8)
        return WeightBytes(size, (("weights", size),), head_apart=split is None or not split.tied)
    if split is None:
        # Without dimensions: what a group costs on top, and nothing known about the rest.
        size = round(params * (precision.bits + 16 / (precision.group_size if precision.group_size > 0 else 128)) / 8)
        return WeightBytes(size, (("weights", size),), ("embeddings are not counted apart: dimensions are unknown",))
    packed = round(split.linear * precision.bits / 8)
    parts = [("quantized layers", packed)]
    if precision.kind == "rows":
        parts.append(("scales", 4 * split.outputs))
    elif precision.kind == "blocks":
        parts.append(("scales", 4 * split.linear // 64))
    else:
        groups = split.linear // precision.group_size if precision.group_size > 0 else split.outputs
        parts += [("scales", 2 * groups), ("zero points", round(groups * precision.bits / 8))]
        if precision.reordered:
            parts.append(("group index", 4 * split.inputs))
    parts.append((f"embeddings, output layer and norms in {8 * kept_bytes} bit", kept_bytes * split.kept))
    return WeightBytes(sum(size for _, size in parts), tuple(parts))


def weights_of_tensors(tensors: Tensors) -> WeightBytes:
    """The exact bytes of published files whose heads were read, by stored type."""
    parts = tuple((f"weights in {dtype}", size) for dtype, size in tensors.bytes_by_dtype)
    return WeightBytes(tensors.bytes, parts, head_apart=tensors.head_apart, unpacked=tensors.experts)


def weights_on_disk(folder: Path) -> WeightBytes | None:
    """The exact bytes of the tensors in ``folder``, by stored type; None when no file of weights can be read."""
    sizes: dict[str, int] = {}
    head, experts = False, 0
    try:
        for file in weight_files(folder):
            if file.endswith(".gguf"):
                place = (folder.parent if folder.is_file() else folder) / file
                sizes["GGUF file"] = sizes.get("GGUF file", 0) + place.stat().st_size
                continue
            header = read_safetensors_header(folder / file)
            head = head or any(tensor.endswith(_HEADS) for tensor in header.tensors)
            experts += sum(
                tensor["data_offsets"][1] - tensor["data_offsets"][0]
                for name, tensor in header.tensors.items()
                if ".experts." in name
            )
            for dtype, size in header.bytes_by_dtype.items():
                sizes[dtype] = sizes.get(dtype, 0) + size
    except (OSError, DamagedWeightsError):
        return None
    if not sizes:
        return None
    parts = tuple((f"weights in {dtype}", size) for dtype, size in sorted(sizes.items(), key=lambda item: -item[1]))
    return WeightBytes(sum(sizes.values()), parts, head_apart=head, unpacked=experts)


_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
"""How output layers are called; a file without one shares the input embedding."""
