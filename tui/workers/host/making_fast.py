"""What is done to loaded weights before the first chat: the fastest way of multiplying, and the hand-written pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from tui.settings import load_settings
from tui.workers.host import fp16_linear
from tui.workers.host.compiled.library import open_library
from tui.workers.host.compiled.steps import compiled_steps
from tui.workers.host.cpu_path import CpuPaths
from tui.workers.host.cuda_steps import CudaSteps
from tui.workers.host.linears import packs
from tui.workers.host.lossy_int8 import SAMPLE, take_apart_int8
from tui.workers.host.taking_apart import can_take_apart, take_apart
from tui.workers.reporter import Reporter

MEASURED_FILE = "cpu_linears.json"
COMPILED_FOLDER = "compiled"


def make_fast(
    reporter: Reporter, model: Any, tokenizer: Any, context: int, *, halves: bool, native: bool, total: int
) -> FastModel:
    """The model as the loop shall run it.

    ``halves``: its plain weights are stored in 16 bits and the CPU computes; ``native``: in bfloat16 that this CPU
    computes in. ``total`` bytes are shown as the progress. 8-bit layers are made where the settings ask for them.
    """
    fast = FastModel(model)
    kind = _kind(reporter, fast, native=native, total=total) if halves else _kind_of_others(reporter, fast)

    def told(done: int, whole: int) -> None:
        reporter.progress(total * done / max(1, whole), total, "B", f"laying out weights in {kind}")

    started, halted = time.monotonic(), reporter.stop.is_set
    apart = can_take_apart(model, context)
    if kind == "int8" and not apart:
        kind = "float16"
        fast.notes.append("8-bit layers were asked for; those of this model are not known well enough, so it is exact")
    if kind == "int8":
        fast.model, loss = take_apart_int8(model, tokenizer(SAMPLE)["input_ids"], halted, told)
        fast.notes.append(loss.note)
    elif apart:
        fast.model = take_apart(model, kind, halted, told)
    elif kind in ("float16", "compiled"):
        packed = fp16_linear.pack_linears(model, reporter.stop, told, kind)
        fast.notes.append(f"{packed} linear layers multiply by their weights as they are stored")
    elif kind == "float32":
        model.float()
    if apart:
        fast.notes.append("the hand-written pass for models built like Llama runs it")
        if fast.model.device.type == "cuda":
            fast.model.recorded = CudaSteps(fast.model)
        elif kind == "compiled" and (steps := compiled_steps(fast.model)) is not None:
            fast.model.recorded = steps
    fast.seconds["packing"] = round(time.monotonic() - started, 3)
    return fast


def _kind(reporter: Reporter, fast: FastModel, *, native: bool, total: int) -> str:
    if load_settings(reporter.paths.settings_file).chat.lossy_int8 and packs():
        return "int8"
    started = time.monotonic()
    reporter.progress(0, total, "B", "measuring the fastest way to multiply")
    if reason := open_library(reporter.paths.state / COMPILED_FOLDER):
        fast.notes.append(f"no compiled step: {reason}")
    paths = CpuPaths(fast.model.config, reporter.paths.state / MEASURED_FILE, bfloat16=native)
    path = paths.choose()
    fast.notes.append(path.note)
    if not path.seconds and path.kind == "compiled":
        fast.later = paths.measure
    fast.seconds["measuring"] = round(time.monotonic() - started, 3)
    return path.kind


def _kind_of_others(reporter: Reporter, fast: FastModel) -> str:
    """Plain float32 weights on a CPU need no choice: what is compiled reads the same numbers, one token sooner."""
    import torch

    model = fast.model
    quantized = getattr(model.config, "quantization_config", None) is not None
    if quantized or model.device.type != "cpu" or model.dtype is not torch.float32:
        return "own"
    reason = open_library(reporter.paths.state / COMPILED_FOLDER)
    if reason:
        fast.notes.append(f"no compiled step: {reason}")
    return "own" if reason else "compiled"


class FastModel:
    """A model to run, with notes and the seconds that each step took. ``later`` is done while nobody asks, if at all;
    it gets a function that tells whether somebody does, and raises ``BrokenOff`` then."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self.later: Callable[[Callable[[], bool]], object] | None = None
