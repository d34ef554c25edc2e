"""Reads the tensors of a build with numpy alone: sharded safetensors, bfloat16, and GPTQ's packed weights.

Layout of a GPTQ layer (AutoGPTQ and GPTQModel): ``qweight`` int32 [inputs * bits / 32, outputs], packed along inputs;
``qzeros`` int32 [groups, outputs * bits / 32], packed along outputs; ``scales`` [groups, outputs]; ``g_idx`` int32
[inputs]. A weight is ``scale * (q - zero)``. Format 1 stores zeros less one, as one subtraction from the whole word; 3
bits run on over three words, and each is less one by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tui.catalog.safetensors_header import read_safetensors_header
from tui.catalog.weight_files import weight_files
from tui.errors import BuildBrokenError, RecipeError

Array = np.ndarray[Any, Any]

_DTYPES: dict[str, str] = {"F32": "<f4", "F16": "<f2", "BF16": "<u2", "I32": "<i4", "I64": "<i8", "F64": "<f8"}
_ONES = {2: 0x55555555, 4: 0x11111111, 8: 0x01010101}


@dataclass(frozen=True, slots=True)
class _Place:
    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int


@dataclass(frozen=True, slots=True)
class Packed:
    """A quantized layer: ``q`` uint8 [outputs, inputs], ``scales`` float16 and ``zeros`` uint8 [outputs, groups]."""

    q: Array
    scales: Array
    zeros: Array

    @property
    def group(self) -> int:
        """Inputs that share a scale."""
        return int(self.q.shape[1] // self.scales.shape[1])

    def floats(self) -> Array:
        """The weights, float32 [outputs, inputs]."""
        scales = np.repeat(self.scales.astype(np.float32), self.group, axis=1)
        zeros = np.repeat(self.zeros.astype(np.int16), self.group, axis=1)
        return scales * (self.q.astype(np.int16) - zeros).astype(np.float32)

    def rows(self, order: Array) -> Packed:
        """The same with its outputs in another order."""
        return Packed(self.q[order], self.scales[order], self.zeros[order])

    def above(self, other: Packed) -> Packed:
        """The outputs of both, these first."""
        return Packed(*(np.concatenate(pair) for pair in zip(self._arrays, other._arrays, strict=True)))

    @property
    def _arrays(self) -> tuple[Array, Array, Array]:
        return self.q, self.scales, self.zeros


class Checkpoint:
    """The tensors of one folder, read when they are asked for."""

    def __init__(self, folder: Path, *, bits: int = 0, version: int = 1) -> None:
        self.folder = folder
        self.bits, self._version = bits, version
        self._places: dict[str, _Place] = {}
        for name in weight_files(folder):
            file = folder / name
            header = read_safetensors_header(file)
            base = file.stat().st_size - sum(header.bytes_by_dtype.values())
            for tensor, facts in header.tensors.items():
                start = base + facts["data_offsets"][0]
                self._places[tensor] = _Place(file, facts["dtype"], tuple(facts["shape"]), start)

    def names(self) -> list[str]:
        """Every weight and bias: a packed layer counts as the one ``.weight`` that it stands for."""
        packed = (".qweight", ".qzeros", ".scales", ".g_idx")
        return sorted(
            name.removesuffix(".qweight") + ".weight" if name.endswith(".qweight") else name
            for name in self._places
            if name.endswith(".qweight") or not name.endswith(packed)
        )

    def is_packed(self, name: str) -> bool:
        """Whether the weight ``name`` is quantized."""
        return name.removesuffix(".weight") + ".qweight" in self._places

    def shape(self, name: str) -> tuple[int, ...]:
        """Outputs and inputs of a weight, or the length of a vector."""
        if not self.is_packed(name):
            return self._places[name].shape
        rows, outputs = self._places[name.removesuffix(".weight") + ".qweight"].shape
        return outputs, rows * 32 // self.bits

    def bytes(self, name: str) -> int:
        """Bytes that the stored form of a weight takes."""
        place = self._places.get(name) or self._places[name.removesuffix(".weight") + ".qweight"]
        return int(np.prod(place.shape)) * np.dtype(_DTYPES[place.dtype]).itemsize

    def is_bfloat16(self, name: str) -> bool:
        """Whether a tensor is stored in bfloat16."""
        return self._places[name].dtype == "BF16"

    def raw(self, name: str) -> Array:
        """A tensor as it is stored, not copied; bfloat16 as its upper 16 bits. Raises ``BuildBrokenError``."""
        place = self._places.get(name)
        if place is None:
            raise BuildBrokenError(f"{self.folder.name} holds no tensor {name}", "get the build again")
        if place.dtype not in _DTYPES:
            raise RecipeError(f"{name} is stored in {place.dtype}, which Heft does not export", "export another build")
        return np.memmap(place.file, _DTYPES[place.dtype], "r", place.start, place.shape)

    def floats(self, name: str) -> Array:
        """A weight or bias in float32, a packed one unpacked."""
        if self.is_packed(name):
            return self.packed(name).floats()
        stored = self.raw(name)
        if self.is_bfloat16(name):
            return (stored.astype(np.uint32) << 16).view(np.float32)
        return stored.astype(np.float32)

    def packed(self, name: str) -> Packed:
        """A quantized weight; raises ``RecipeError`` where its groups are not runs of neighbours, or where its scales
        are no float16."""
        layer = name.removesuffix(".weight")
        words = self.raw(f"{layer}.qweight").view(np.uint32)
        q = _unpack(words, self.bits).transpose(1, 0)
        scales = self.floats(f"{layer}.scales")
        half = scales.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), scales):
            raise RecipeError(
                f"the scales of {layer} are not float16, as those of a GGUF block are", "export the original"
            )
        zeros = self.raw(f"{layer}.qzeros").view(np.uint32)
        if self._version == 1 and self.bits != 3:
            zeros = zeros + np.uint32(_ONES[self.bits])
        unpacked = _unpack(zeros.T, self.bits)
        if self._version == 1 and self.bits == 3:
            unpacked = (unpacked + 1) & 7
        found = Packed(np.ascontiguousarray(q), half.T.copy(), np.ascontiguousarray(unpacked))
        self._require_runs(layer, found)
        return found

    def _require_runs(self, layer: str, found: Packed) -> None:
        place = self._places.get(f"{layer}.g_idx")
        if place is None:
            return
        index = self.raw(f"{layer}.g_idx")
        if not np.array_equal(index, np.arange(found.q.shape[1]) // found.group):
            raise RecipeError(
                f"the columns of {layer} are ordered by activation (g_idx), so neighbours do not share a scale",
                "quantize without --desc-act",
            )


def _unpack(words: Array, bits: int) -> Array:
    """uint8 [rows * 32 / bits, columns] from uint32 [rows, columns], lowest bits first."""
    if bits == 3:
        return _unpack_three(words)
    each = 32 // bits
    out = np.empty((words.shape[0], each, words.shape[1]), np.uint8)
    for place in range(each):
        np.bitwise_and(
            words >> np.uint32(place * bits), np.uint32((1 << bits) - 1), out=out[:, place], casting="unsafe"
        )
    return out.reshape(-1, words.shape[1])


def _unpack_three(words: Array) -> Array:
    """The same for 3 bits: 32 values in three words, the 11th and the 22nd of them across two."""
    parts = words.reshape(-1, 3, words.shape[1]).astype(np.uint64)
    low, high = parts[:, 0] | parts[:, 1] << np.uint64(32), parts[:, 1] >> np.uint64(31) | parts[:, 2] << np.uint64(1)
    out = np.empty((parts.shape[0], 32, words.shape[1]), np.uint8)
    for place in range(32):
        source, shift = (low, 3 * place) if place < 21 else (high, 3 * place - 63)
        np.bitwise_and(source >> np.uint64(shift), np.uint64(7), out=out[:, place], casting="unsafe")
    return out.reshape(-1, words.shape[1])
