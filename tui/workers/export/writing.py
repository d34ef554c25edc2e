"""Writes the GGUF file, one tensor after another, so that memory holds one layer and not the model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tui.catalog.gguf_plan import BLOCK, GgufPlan
from tui.workers.export.architectures import Place, describe, places, rotation_factors
from tui.workers.export.blocks import blocks
from tui.workers.export.checkpoint import Array, Checkpoint
from tui.workers.export.vocabulary import Vocabulary

EMBEDDING = "model.embed_tokens.weight"
LARGEST_FLOAT16 = 65504.0


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor to write: what it is called, how it is stored ("F32", "F16", "Q4_0", ...) and where it comes from."""

    name: str
    kind: str
    place: Place | None
    shape: tuple[int, ...]
    made: Array | None = None

    def data(self, checkpoint: Checkpoint) -> Array:
        """The bytes that the file gets: rows of blocks as uint8, or float32 and float16."""
        import gguf

        if self.place is None:
            assert self.made is not None
            return self.made
        if self.is_packed(checkpoint):
            return blocks(self.place.packed(checkpoint), self.kind, checkpoint.bits)
        weights = self.place.floats(checkpoint)
        if self.kind == "F32":
            return weights
        if self.kind == "F16":
            return weights.astype(np.float16)
        return np.asarray(gguf.quants.quantize(weights, gguf.GGMLQuantizationType[self.kind]))

    def is_packed(self, checkpoint: Checkpoint) -> bool:
        """Whether it comes from a quantized layer."""
        return self.place is not None and checkpoint.is_packed(self.place.sources[0])


def tensors(plan: GgufPlan, checkpoint: Checkpoint) -> list[Tensor]:
    """Every tensor of the file in its order."""
    found = [Tensor(name, "F32", None, made.shape, made) for name, made in rotation_factors(plan).items()]
    for place in places(plan, checkpoint):
        shapes = [checkpoint.shape(source) for source in place.sources]
        shape = (sum(each[0] for each in shapes), *shapes[0][1:])
        found.append(Tensor(place.name, _kind(plan, checkpoint, place, shape), place, shape))
    return found


def _kind(plan: GgufPlan, checkpoint: Checkpoint, place: Place, shape: tuple[int, ...]) -> str:
    if len(shape) == 1:
        return "F32"
    if checkpoint.is_packed(place.sources[0]):
        return plan.type
    if plan.quantized or plan.type == "F16":
        return "F16" if _fits_float16(checkpoint, place) else "F32"
    if plan.type in ("F32", "BF16"):
        return plan.type
    if shape[-1] % BLOCK:
        return "F16"
    ends = ("token_embd.weight", "output.weight")
    return "Q8_0" if place.name in ends else plan.type  # 4 bits in the embedding cost more than they save


def _fits_float16(checkpoint: Checkpoint, place: Place) -> bool:
    if not any(checkpoint.is_bfloat16(source) for source in place.sources):
        return True
    return all(float(np.abs(checkpoint.floats(source)).max(initial=0)) <= LARGEST_FLOAT16 for source in place.sources)


def write(
    plan: GgufPlan,
    checkpoint: Checkpoint,
    vocabulary: Vocabulary,
    facts: dict[str, str],
    file: Path,
    step: Callable[[str, int], None],
) -> list[Tensor]:
    """Write ``file``; ``step`` hears the name and the stored bytes of each tensor and may raise to stop. ``facts`` are
    texts about the origin, by GGUF key. Returns what was written."""
    import gguf

    found = tensors(plan, checkpoint)
    writer = gguf.GGUFWriter(file, plan.architecture)
    try:
        for key, value in facts.items():
            writer.add_string(key, value)
        describe(plan, writer, checkpoint.shape(EMBEDDING)[0])
        vocabulary.write(writer)
        writer.add_file_type(_file_type(gguf, plan.type))
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
        for tensor in found:
            _announce(gguf, writer, tensor)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        for tensor in found:
            writer.write_tensor_data(np.ascontiguousarray(tensor.data(checkpoint)))
            sources = tensor.place.sources if tensor.place else ()
            step(tensor.name, sum(checkpoint.bytes(source) for source in sources))
    finally:
        writer.close()
    return found


def _announce(gguf: Any, writer: Any, tensor: Tensor) -> None:
    kind = gguf.GGMLQuantizationType[tensor.kind]
    if tensor.kind in ("F32", "F16"):
        dtype = np.dtype(np.float32 if tensor.kind == "F32" else np.float16)
        writer.add_tensor_info(tensor.name, tensor.shape, dtype, int(np.prod(tensor.shape)) * dtype.itemsize, kind)
        return
    shape = gguf.quant_shape_to_byte_shape(tensor.shape, kind)
    writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), int(np.prod(shape)), kind)


def _file_type(gguf: Any, kind: str) -> int:
    name = "ALL_F32" if kind == "F32" else f"MOSTLY_{kind}"
    return int(gguf.LlamaFileType[name])
