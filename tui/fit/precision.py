"""The words for a precision ("float16", "gptq-4bit-g128", "int8", ...) and what each costs per parameter.

This module alone reads those words; the estimates work with ``Precision``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tui.errors import UsageError

Kind = Literal["float", "grouped", "rows", "blocks", "flat"]

_FLOATS = {
    "float32": ("float32", 32),
    "fp32": ("float32", 32),
    "f32": ("float32", 32),
    "float16": ("float16", 16),
    "fp16": ("float16", 16),
    "f16": ("float16", 16),
    "half": ("float16", 16),
    "16bit": ("float16", 16),
    "bfloat16": ("bfloat16", 16),
    "bf16": ("bfloat16", 16),
    "float64": ("float64", 64),
}
_LABEL = re.compile(r"(gptq|awq|rtn)-([2348])bit(?:-g(all|-?\d+))?(?:-act)?(?:-asym)?")
_INT_ROWS = ("int8", "8bit", "bitsandbytes-8bit", "fp8", "float8", "float8_e4m3fn", "float8_e5m2")
_GGUF_BITS = {
    "q8_0": 8.5, "q6_k": 6.56, "q5_k_m": 5.69, "q5_k_s": 5.54, "q5_0": 5.54, "q4_k_m": 4.85, "q4_k_s": 4.58,
    "q4_0": 4.55, "q4_1": 5.0, "q3_k_l": 4.27, "q3_k_m": 3.91, "q3_k_s": 3.5, "q2_k": 3.35, "f16": 16.0, "bf16": 16.0,
    "f32": 32.0, "mxfp4": 4.25,
}  # fmt: skip
"""Bits per parameter over a whole file (llama.cpp, tools/quantize/README.md: Llama-3.1-8B sizes)."""


@dataclass(frozen=True, slots=True)
class Precision:
    """How weights are stored. ``float``: every parameter has ``bits``. ``grouped`` (GPTQ, AWQ): linear layers have
    ``bits`` plus a 16-bit scale and a packed zero per ``group_size`` inputs. ``rows`` (int8, fp8): linear layers have
    ``bits`` plus a 32-bit scale per output. ``blocks`` (NF4): plus a 32-bit scale per 64. The rest stays 16-bit.
    ``flat`` (GGUF): an average over all parameters."""

    label: str
    kind: Kind
    bits: float
    group_size: int = 0
    reordered: bool = False
    """GPTQ: an int32 per input row names its group (``g_idx``)."""

    @property
    def is_quantized(self) -> bool:
        """Fewer bits than the 16 that everything else is computed in."""
        return self.kind != "float"

    @property
    def value_bytes(self) -> int:
        """Bytes of one number in the KV cache: as the model computes, 4 in float32 and 2 in everything else."""
        return 4 if self.kind == "float" and self.bits >= 32 else 2


@lru_cache(maxsize=256)
def parse_precision(text: str) -> Precision:
    """Read a precision as people and build labels write it; raises ``UsageError`` with the known ones."""
    word = text.strip().lower()
    if word in _FLOATS:
        label, bits = _FLOATS[word]
        return Precision(label, "float", bits)
    if match := _LABEL.fullmatch(word):
        method, bits_text, group = match.groups()
        size = 128 if group is None else -1 if group == "all" else int(group)
        return Precision(word, "grouped", int(bits_text), size, reordered=method != "awq")
    if word in _INT_ROWS or word == "compressed-tensors-8bit":
        return Precision(word, "rows", 8)
    if word in ("nf4", "int4", "4bit", "bitsandbytes-4bit", "compressed-tensors-4bit", "mxfp4"):
        return Precision(word, "blocks", 4)
    if word.removeprefix("gguf-") in _GGUF_BITS:
        return Precision(word, "flat", _GGUF_BITS[word.removeprefix("gguf-")])
    known = "float32, float16, bfloat16, int8, gptq-8bit, gptq-4bit, gptq-3bit, gptq-2bit (also gptq-4bit-g32), nf4"
    raise UsageError(f"{text!r} is not a precision", f"known are {known}")


def same_precision(build: str, asked: str) -> bool:
    """Whether a build of one label is what was asked for: any 16 bits for 16 bits, any grouping for "gptq-4bit"."""
    sixteen = ("float16", "bfloat16", "")
    return build == asked or (build in sixteen and asked in sixteen) or (bool(asked) and build.startswith(asked + "-"))
