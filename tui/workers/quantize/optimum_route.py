"""Quantizes with transformers and optimum's ``GPTQQuantizer``: for architectures that GPTQModel's loop takes apart in a
way that plain transformers cannot put together again.

optimum has no callbacks, so its progress bar is replaced by a listener that can also stop it. Its own ``save`` writes
weights of one format under the name of another and is not used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tui.errors import HeftError
from tui.fit.quantize_plan import Plan
from tui.workers.calibration import Calibration
from tui.workers.libraries import torch_dtype
from tui.workers.quantize.probes import ProbeNotes
from tui.workers.quantize.steps import Steps


def quantize(plan: Plan, rows: Calibration, making: Path, work: Path, notes: ProbeNotes, steps: Steps) -> None:
    """Quantize ``plan.source`` into ``making``; nothing is kept in ``work``, a killed job starts over."""
    from gptqmodel.utils.model import convert_gptq_v2_to_v1_format
    from transformers import AutoModelForCausalLM

    notes.clear()
    model = AutoModelForCausalLM.from_pretrained(plan.source, dtype=torch_dtype(plan.dtype))
    quantizer = _quantizer(plan, rows, notes, steps)
    steps.phase("calibrating", f"calibrating with {len(rows.rows)} samples, {rows.tokens} tokens")
    with _listening(steps):
        model = quantizer.quantize_model(model)
    steps.reporter.check()
    if not notes.names():
        raise HeftError(
            f"optimum found no linear layers in this {plan.model_type} model",
            "choose the gptqmodel route, or another model",
        )
    steps.phase("saving")
    model = convert_gptq_v2_to_v1_format(model, quantizer.quantizeConfig, quantizer.quant_linear)
    model.config.quantization_config = {**quantizer.to_dict(), "dataset": None, "format": "gptq"}
    model.save_pretrained(making)


def _quantizer(plan: Plan, rows: Calibration, notes: ProbeNotes, steps: Steps) -> Any:
    from optimum.gptq import GPTQQuantizer

    class NotingQuantizer(GPTQQuantizer):  # type: ignore[misc]
        """Notes every quantized matrix between the last layer and the packing."""

        def pack_model(self, model: Any, quantizers: dict[str, Any]) -> None:
            by_layer: dict[int, dict[str, Any]] = {}
            for name in quantizers:
                found = re.search(r"\.(\d+)\.", name)
                by_layer.setdefault(int(found[1]) if found else 0, {})[name] = model.get_submodule(name).weight.data
            for layer, weights in by_layer.items():
                steps.reporter.check()
                notes.note(layer, weights)
            steps.phase("packing", f"packing {len(quantizers)} layers")
            super().pack_model(model, quantizers)

    recipe = plan.recipe
    return NotingQuantizer(
        bits=recipe.bits,
        dataset=[{"input_ids": [list(row)], "attention_mask": [[1] * len(row)]} for row in rows.rows],
        group_size=recipe.group_size,
        damp_percent=recipe.damp_percent,
        desc_act=recipe.desc_act,
        act_group_aware=plan.act_group_aware,
        sym=recipe.sym,
        model_seqlen=plan.context,
    )


@contextmanager
def _listening(steps: Steps) -> Iterator[None]:
    import optimum.gptq.quantizer as module

    original = module.tqdm
    module.tqdm = _listener(steps)
    try:
        yield
    finally:
        module.tqdm = original


def _listener(steps: Steps) -> Any:
    layer = 0

    def bars(items: Any, desc: str = "", **_: Any) -> Iterator[Any]:
        # optimum has two bars: "Quantizing ... blocks" over the layers, and one over the linear modules inside.
        nonlocal layer
        items = list(items)
        outer = desc.rstrip().endswith("blocks")
        if outer:
            steps.phase("layers", f"quantizing {steps.layers} layers")
        for place, item in enumerate(items):
            if outer:
                layer = place
                steps.layer(layer, 0.0, "inputs")
            else:
                steps.layer(layer, place / len(items), ", ".join(item))
            yield item
        if not outer:
            steps.layer(layer, 1.0, "outputs")

    return bars
