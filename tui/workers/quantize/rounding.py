"""Hears GPTQModel round weights to nearest (RTN): a loop without calibration and without callbacks of its own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tui.workers.quantize.probes import ProbeNotes
from tui.workers.quantize.steps import Steps


@contextmanager
def rounding_heard(notes: ProbeNotes, steps: Steps, matrices: int) -> Iterator[None]:
    """While this is open, every rounded matrix (of so many ``matrices`` in all) is noted and told, and a wish to stop
    is heard between two of them."""
    from gptqmodel.looper.weight_only_processor import WeightOnlyProcessor

    original = WeightOnlyProcessor.quantize_module
    steps.phase("layers", f"rounding {steps.layers} layers")
    per_layer = max(1.0, matrices / steps.layers)
    seen: dict[int, int] = {}

    def quantize_module(self: Any, module: Any, *arguments: Any, **options: Any) -> Any:
        layer = module.layer_index or 0
        steps.layer(layer, seen.get(layer, 0) / per_layer, str(module.name))
        answer = original(self, module, *arguments, **options)
        weight = module.module.weight.data
        weight = weight.T if type(module.module).__name__ == "Conv1D" else weight  # GPT-2 stores [in, out]
        notes.note(layer, {module.full_name: weight})
        seen[layer] = seen.get(layer, 0) + 1
        steps.layer(layer, min(1.0, seen[layer] / per_layer), str(module.name))
        return answer

    WeightOnlyProcessor.quantize_module = quantize_module
    try:
        yield
    finally:
        WeightOnlyProcessor.quantize_module = original
