"""The head of a safetensors file: which tensors it holds, and how long the file must be.

Reading a few kilobytes tells whether gigabytes are whole: 8 bytes of little-endian length, that many bytes of JSON, and
then exactly the bytes that the largest ``data_offsets`` names (format: huggingface/safetensors, README "Format").
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.quantities import bytes_text

HEADER_LIMIT = 100_000_000
"""Longest header in bytes that the reference implementation accepts."""


class DamagedWeightsError(ValueError):
    """The file is not a whole safetensors file; the message says why without naming the file."""


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What one file says about itself. ``tensors`` maps names to ``{"dtype", "shape", "data_offsets"}``."""

    tensors: dict[str, dict[str, Any]]
    metadata: dict[str, str]
    bytes: int
    """Length of the whole file in bytes."""

    @property
    def bytes_by_dtype(self) -> dict[str, int]:
        """Bytes of tensor data for each stored dtype ("BF16", "I32", ...)."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors.values():
            start, end = tensor["data_offsets"]
            sizes[tensor["dtype"]] = sizes.get(tensor["dtype"], 0) + end - start
        return sizes


def read_safetensors_header(path: Path) -> SafetensorsHeader:
    """Read and check the header of ``path``.

    Raises ``DamagedWeightsError`` when header and file length disagree, ``OSError`` when the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        head = file.read(8)
        if len(head) < 8:
            raise DamagedWeightsError(f"it is {size} bytes long, too short for a safetensors file")
        (length,) = struct.unpack("<Q", head)
        if length > HEADER_LIMIT or 8 + length > size:
            raise DamagedWeightsError("its header runs past the end of the file, or it is not a safetensors file")
        text = file.read(length)
    return parse_safetensors_header(text, size)


def parse_safetensors_header(text: bytes, size: int) -> SafetensorsHeader:
    """Read the JSON of a header that stands in a file of ``size`` bytes; raises ``DamagedWeightsError`` as above."""
    length = len(text)
    try:
        table = json.loads(text)
        metadata = table.pop("__metadata__", None) or {}
        end = max((tensor["data_offsets"][1] for tensor in table.values()), default=0)
        header = SafetensorsHeader(table, dict(metadata), size)
        header.bytes_by_dtype  # noqa: B018 - raises here when an entry is not a tensor's
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        raise DamagedWeightsError("its header cannot be read") from None
    expected = 8 + length + end
    if expected != size:
        relation = "shorter" if size < expected else "longer"
        raise DamagedWeightsError(
            f"it is {relation} than its header says ({bytes_text(size)} of {bytes_text(expected)}, "
            f"{abs(expected - size)} bytes off)"
        )
    return header
