"""Quantizing while weights load: no job, no copy on disk, and nothing to keep. Which ways there are, and why one of
them does not work here.

Pure: it looks for packages without importing them. What was measured with bitsandbytes 0.50 and torchao 0.18: all three
ways work on a CPU and on an NVIDIA GPU; bitsandbytes has no wheels for other processors than x86-64 and aarch64.
"""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.util import find_spec

BNB_INT8 = "int8"
BNB_NF4 = "nf4"
TORCHAO_INT8 = "torchao-int8"


@dataclass(frozen=True, slots=True)
class LoadTime:
    """One way. ``precision`` is the word that the memory estimates know, ``package`` does the work."""

    name: str
    title: str
    precision: str
    package: str
    note: str


LOAD_TIME = (
    LoadTime(BNB_INT8, "8-bit, bitsandbytes", "bitsandbytes-8bit", "bitsandbytes", "LLM.int8(): outliers stay 16-bit"),
    LoadTime(BNB_NF4, "4-bit NF4, bitsandbytes", "bitsandbytes-4bit", "bitsandbytes", "NF4 with double quantization"),
    LoadTime(TORCHAO_INT8, "8-bit, torchao", "int8", "torchao", "weights in int8, one scale per output"),
)


def load_time(name: str) -> LoadTime | None:
    """The way called ``name``."""
    return next((way for way in LOAD_TIME if way.name == name), None)


def why_not(way: LoadTime, precision: str, model_type: str = "", machine: str = "") -> str:
    """Why weights stored in ``precision`` cannot be loaded that way here; empty when they can. ``model_type`` is what
    config.json calls the architecture."""
    if precision not in ("", "float32", "float16", "bfloat16", "unknown"):
        return f"the weights are quantized already ({precision})"
    if way.name == TORCHAO_INT8 and model_type == "rwkv":
        return "RWKV divides its weights in place while it runs, which torchao's int8 does not take; int8 works"
    machine = machine or platform.machine()
    if way.package == "bitsandbytes" and machine not in ("x86_64", "AMD64", "aarch64", "arm64"):
        return f"bitsandbytes has no kernels for {machine} processors"
    if find_spec(way.package) is None:
        return f"{way.package} is not installed; pip install {way.package}"
    return ""
