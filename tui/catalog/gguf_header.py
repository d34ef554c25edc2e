"""The head of a GGUF file: its facts and which tensors it holds, without reading weights.

Kilobytes tell whether gigabytes are whole, what the model's dimensions are and how it is quantized (format:
ggml-org/ggml, docs/gguf.md). Long lists, such as a vocabulary of 150,000 tokens, are skipped unless they are asked for.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from tui.quantities import bytes_text

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _LIST = 8, 9
_BLOCKS: dict[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 40), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66), 39: ("MXFP4", 32, 17),
}  # fmt: skip
"""Name, weights in a block and bytes of a block, by GGML type (ggml.h)."""
_FILE_TYPES = {
    0: "f32", 1: "f16", 2: "q4_0", 3: "q4_1", 7: "q8_0", 8: "q5_0", 9: "q5_1", 10: "q2_k", 11: "q3_k_s", 12: "q3_k_m",
    13: "q3_k_l", 14: "q4_k_s", 15: "q4_k_m", 16: "q5_k_s", 17: "q5_k_m", 18: "q6_k", 19: "iq2_xxs", 20: "iq2_xs",
    21: "q2_k_s", 22: "iq3_xs", 23: "iq3_xxs", 24: "iq1_s", 25: "iq4_nl", 26: "iq3_s", 27: "iq3_m", 28: "iq2_s",
    29: "iq2_m", 30: "iq4_xs", 31: "iq1_m", 32: "bf16", 36: "tq1_0", 37: "tq2_0", 38: "mxfp4",
}  # fmt: skip
"""Names of ``general.file_type`` (llama.h: llama_ftype)."""
_SHORT = 64
"""Numbers in a list that is read without being asked for: one for each layer."""
_MOST = 10_000_000
"""More fields, tensors or bytes of one text than any real file has."""


Bytes: TypeAlias = "bytes | mmap.mmap"


class DamagedGgufError(ValueError):
    """The file is not a whole GGUF file; the message says why without naming the file."""


class CutShortError(DamagedGgufError):
    """The head goes on after what there is of it."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """``fields`` by name (skipped lists are their length); ``tensors`` maps names to type and shape; ``bytes`` is the
    length that the file must have at least."""

    fields: dict[str, Any]
    tensors: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    bytes: int = 0

    @property
    def architecture(self) -> str:
        """llama.cpp's name for what it is."""
        return str(self.fields.get("general.architecture") or "")

    def fact(self, name: str, otherwise: Any = None) -> Any:
        """A field of the architecture: ``context_length``, ``attention.head_count``, ..."""
        return self.fields.get(f"{self.architecture}.{name}", otherwise)

    @property
    def quantization(self) -> str:
        """What it is called: "q4_k_m", "q8_0", "f16"; empty where it does not say."""
        return _FILE_TYPES.get(self.fields.get("general.file_type", -1), "")

    @property
    def parameters(self) -> int:
        """How many weights the tensors have."""
        return sum(math.prod(shape) for _, shape in self.tensors.values())

    @property
    def bytes_by_type(self) -> dict[str, int]:
        """Bytes of tensor data for each block type."""
        sizes: dict[str, int] = {}
        for kind, shape in self.tensors.values():
            _, many, size = next((item for item in _BLOCKS.values() if item[0] == kind), ("?", 1, 0))
            sizes[kind] = sizes.get(kind, 0) + math.prod(shape) // many * size
        return sizes


def read_gguf_header(path: Path, lists: Collection[str] = ()) -> GgufHeader:
    """Read and check the head of ``path``; ``lists`` names the lists to read. Raises ``DamagedGgufError`` where it
    cannot be read or the file is shorter than its tensors, ``OSError`` when the file cannot be opened."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if not size:
            raise DamagedGgufError("it is empty")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            header = parse_gguf_header(data, lists)
    if size < header.bytes:
        raise DamagedGgufError(f"it is {bytes_text(header.bytes - size)} shorter than its tensors need")
    return header


def parse_gguf_header(data: Bytes, lists: Collection[str] = (), *, partial: bool = False) -> GgufHeader:
    """Read the head that ``data`` begins with; raises ``DamagedGgufError``, and ``CutShortError`` where the head goes
    on after the end of ``data``. With ``partial`` the fields up to there are enough; dimensions come first."""
    if data[:4] != b"GGUF":
        raise DamagedGgufError("it does not begin like a GGUF file")
    head = _Head(data, frozenset(lists))
    try:
        version, tensors, fields = head.number(4), head.number(8), head.number(8)
        if version not in (2, 3) or tensors > _MOST or fields > _MOST:
            raise DamagedGgufError(f"its version {version} is not one that can be read")
        table: dict[str, Any] = {}
        try:
            for _ in range(fields):
                name = head.text()
                table[name] = head.value(head.number(4), name in head.lists)
            return head.with_tensors(table, tensors)
        except CutShortError:
            if not partial or not table:
                raise
            return GgufHeader(table)
    except (struct.error, KeyError) as error:
        raise DamagedGgufError(f"its head cannot be read ({type(error).__name__})") from None


class _Head:
    """A place in the bytes of a head."""

    def __init__(self, data: Bytes, lists: frozenset[str]) -> None:
        self._data, self._at, self._end, self.lists = data, 4, len(data), lists

    def number(self, width: int) -> int:
        """The next unsigned number of so many bytes."""
        return int.from_bytes(self._take(width), "little")

    def text(self) -> str:
        """The next text."""
        return self._take(self._length()).decode("utf-8", "replace")

    def value(self, kind: int, wanted: bool) -> Any:
        """The next value of ``kind``; of a long list that is not wanted, its length."""
        if kind == _TEXT:
            return self.text()
        if kind != _LIST:
            form = _SCALARS[kind]
            return struct.unpack(form, self._take(struct.calcsize(form)))[0]
        inner, count = self.number(4), self.number(8)
        if count > _MOST:
            raise DamagedGgufError(f"a list has {count} entries")
        if inner == _TEXT:
            return [self.text() for _ in range(count)] if wanted else self._skip_texts(count)
        if inner == _LIST:
            return [self.value(_LIST, wanted) for _ in range(count)]
        width = struct.calcsize(_SCALARS[inner])
        if count > _SHORT and not wanted:
            self._take(0, count * width)
            return count
        return list(struct.unpack(f"<{count}{_SCALARS[inner][1]}", self._take(count * width)))

    def with_tensors(self, table: dict[str, Any], count: int) -> GgufHeader:
        """The whole head: ``table`` and the ``count`` tensors that come next."""
        found: dict[str, tuple[str, tuple[int, ...]]] = {}
        end = 0
        for _ in range(count):
            name, dimensions = self.text(), self.number(4)
            if dimensions > 8:
                raise DamagedGgufError(f"a tensor has {dimensions} dimensions")
            shape = struct.unpack(f"<{dimensions}Q", self._take(8 * dimensions))
            kind, many, size = _BLOCKS.get(self.number(4), ("?", 1, 0))
            offset = self.number(8)
            found[name] = (kind, shape)
            end = max(end, offset + math.prod(shape) // many * size)
        step = table.get("general.alignment") or 32
        start = -(-self._at // step) * step if isinstance(step, int) else self._at
        return GgufHeader(table, found, start + end)

    def _skip_texts(self, count: int) -> int:
        data, at = self._data, self._at
        for _ in range(count):
            at += 8 + int.from_bytes(data[at : at + 8], "little")
        self._at = at
        self._take(0)
        return count

    def _length(self) -> int:
        length = self.number(8)
        if length > _MOST:
            raise DamagedGgufError("a text in its head is longer than the head can be")
        return length

    def _take(self, count: int, skipped: int = 0) -> bytes:
        start = self._at
        self._at += count + skipped
        if self._at > self._end:
            raise CutShortError("it ends inside its head")
        return self._data[start : start + count]
