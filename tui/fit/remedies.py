"""What would make a model fit: fewer bits, a shorter context, an ended job, more cards, or the CPU; all in words.

Each remedy is tried with the numbers of the estimate before it is offered.
"""

from __future__ import annotations

from collections.abc import Sequence

from tui.catalog.model import Model
from tui.fit.context import STEP, longest_context
from tui.fit.memory_estimate import MemoryEstimate, estimate
from tui.fit.overhead import GPU_OVERHEAD_LEAST, GPU_OVERHEAD_SHARE
from tui.fit.place import Place
from tui.fit.precision import parse_precision
from tui.quantities import bytes_text

LEAST_CONTEXT = 1024
"""Tokens below which a shorter context is no answer to "it does not fit"."""
SMALLER = ("gptq-8bit", "gptq-4bit")
"""What is offered, in this order, where a model does not fit as it is."""
MOST_CARDS = 8
_GPTQ_KINDS = ("text", "chat", "code")
_FLOATS = ("float16", "bfloat16", "float32")
_NOT_RELOADED = ("GPT2", "Rwkv", "Mamba")
"""Families that ``quantize_routes.py`` refuses."""


def takes_gptq(model: Model) -> bool:
    """Whether a GPTQ build of ``model`` can be made and loaded: a causal language model of a family that reloads, whose
    weights are not quantized already."""
    if model.kind not in _GPTQ_KINDS or model.quantization or model.shape.dtype not in ("", *_FLOATS):
        return False
    return not model.shape.architecture.startswith(_NOT_RELOADED)


def smaller(model: Model, numbers: MemoryEstimate, places: Sequence[Place]) -> str:
    """The highest precision below this one that fits now; with a shorter context where need be."""
    if not takes_gptq(model):
        return ""
    bits = parse_precision(numbers.precision).bits if numbers.precision else 16
    here = max(places, key=lambda place: place.free)
    lower = [label for label in SMALLER if parse_precision(label).bits < bits]
    for label in lower:
        need = estimate(model, label, numbers.context, numbers.batch).terms(here.is_gpu)[3]
        if need is not None and need <= here.free:
            return f"{label} needs {bytes_text(need)} and fits"
    if lower:
        text = shorter(estimate(model, lower[-1], numbers.context, numbers.batch), here)
        return f"{lower[-1]}: {text}" if text else ""
    return ""


def shorter(numbers: MemoryEstimate, here: Place) -> str:
    """The longest context that fits now; empty where none does that is worth having."""
    longest = longest_context(numbers, here.free, numbers.context - 1, on_gpu=here.is_gpu)
    if longest is None or longest < LEAST_CONTEXT:
        return ""
    return f"a context of {longest // STEP * STEP:,} tokens fits"


def unload(need: int, here: Place) -> str:
    """Which of our own jobs to end so that ``need`` bytes are free: one where one is enough, the smallest of those."""
    ours = [process for process in (here.gpu.processes if here.gpu else ()) if process.job_id and process.used]
    enough = [process for process in ours if here.free + (process.used or 0) >= need]
    if enough:
        least = min(enough, key=lambda process: process.used or 0)
        return f"cancel job {least.job_id}, which holds {bytes_text(least.used)}, and it fits"
    if ours and here.free + sum(process.used or 0 for process in ours) >= need:
        return f"cancel the jobs {', '.join(str(process.job_id) for process in ours)}, and it fits"
    return ""


def split(numbers: MemoryEstimate, places: Sequence[Place]) -> str:
    """Over how many cards of this machine an engine that splits models would spread it. Each gets an equal part of
    weights and cache and an overhead of its own, so the fullest of the cards decides."""
    cards = sorted((place.free for place in places if place.is_gpu), reverse=True)
    if numbers.weights is None or numbers.kv_cache is None:
        return ""
    for count in (2, 4, MOST_CARDS):
        part = (numbers.weights + numbers.kv_cache) // count
        share = part + max(GPU_OVERHEAD_LEAST, round(GPU_OVERHEAD_SHARE * numbers.weights / count))
        if count <= len(cards) and share <= cards[count - 1]:
            where = f"split over {count} GPUs it takes {bytes_text(share)} of each, which is free"
            return f"{where} (Heft loads onto one; vLLM splits with --tensor-parallel-size {count})"
    return ""


def in_ram(numbers: MemoryEstimate, memory: Place) -> str:
    """Whether the same fits without a GPU."""
    need = numbers.total_cpu
    if need is None or need > memory.free:
        return ""
    return f"it fits into RAM ({bytes_text(need)} of {bytes_text(memory.free)} free), slower on the CPU"


def smaller_in_ram(model: Model, numbers: MemoryEstimate, memory: Place) -> str:
    """The same on the CPU with fewer bits, where a GPU cannot take it even quantized."""
    bits = parse_precision(numbers.precision).bits if numbers.precision else 16
    if not takes_gptq(model):
        return ""
    for label in SMALLER:
        need = estimate(model, label, numbers.context, numbers.batch).total_cpu
        if parse_precision(label).bits < bits and need is not None and need <= memory.free:
            return f"{label} fits into RAM ({bytes_text(need)}), slower on the CPU"
    return ""
