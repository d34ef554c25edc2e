"""What a process takes besides weights, cache and activations, by engine: measured, not guessed.

On a CPU the numbers are resident memory after loading and a first answer, the model's own bytes taken off: real hosts
of the starter (heft serve, heft chat, VmHWM of /proc), Linux x86-64 on an Intel Xeon with AVX-512 and 2 cores, Python
3.11, torch 2.13, transformers 5.24. tests/benchmarks/fit_measured.py compares the whole sum for eight families. What
is taken for a moment is given back: up to 100 MB of matrices by which the ways of multiplying are compared, once for
each width and mostly while nobody asks, and the pages of the checkpoint, which the kernel drops when it needs room.
"""

from __future__ import annotations

import math

from tui.fit.precision import Precision

GPU_OVERHEAD_LEAST = 500_000_000
GPU_OVERHEAD_SHARE = 0.10
"""On a GPU: CUDA context, kernels and activations, as max(0.5 GB, 10 % of the weights). With it the stated needs of
published language models come out within 6 % at 16 bit (tests/fit/test_stated_needs.py holds them to 12 %)."""

CPU_PROCESS = 415_000_000
"""torch, transformers and one model family: 390 to 410 MB, of which 110 MB are pages of libraries."""
CPU_PROCESS_LIGHT = 270_000_000
"""torch alone, for a model that is loaded without transformers (light_config.py): 245 to 270 MB, of which 100 MB are
pages of libraries."""
CPU_PROCESS_GPTQ = 545_000_000
"""The same with optimum and gptqmodel, which a GPTQ or AWQ build needs there: 540 MB."""
CPU_PROCESS_LLAMA = 60_000_000
"""llama.cpp, which needs neither: 50 MB."""
CPU_EXPORT = 30_000_000
"""What stays when such a process has written the GGUF file itself, from a GPTQ build."""
CPU_SHARE = 0.05
"""The allocator's slack in RAM, as a share of the weights."""


def overhead_on_gpu(weights: int) -> int:
    """Bytes on a GPU besides ``weights`` bytes and the cache."""
    return max(GPU_OVERHEAD_LEAST, math.ceil(GPU_OVERHEAD_SHARE * weights))


def process_in_ram(precision: Precision, in_llama: bool, light: bool = False) -> int:
    """Bytes of a process on a CPU before it holds anything of a model; ``light``: one that needs no transformers."""
    if in_llama:
        return CPU_PROCESS_LLAMA + (CPU_EXPORT if precision.kind == "grouped" else 0)
    if precision.kind == "grouped":
        return CPU_PROCESS_GPTQ
    return CPU_PROCESS_LIGHT if light and precision.kind == "float" else CPU_PROCESS


def slack_in_ram(weights: int) -> int:
    """Bytes that the allocator keeps beside ``weights`` bytes."""
    return math.ceil(CPU_SHARE * weights)
