"""A dry run: one layer quantized for real and thrown away, or two short ones, to say what the whole would take.

The layers give the time per layer, the first without its warming up where there is a second; loading the original,
generating with it and reading a little of the held-out text give what the check after saving takes. What is left is
arithmetic, by the wall's clock and by the processor's.
"""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tui.fit.quantize_plan import Plan
from tui.workers.calibration import token_ids
from tui.workers.figures import PeakMemory, decode_speed
from tui.workers.libraries import peak_memory
from tui.workers.perplexity import LIMIT, perplexity
from tui.workers.quantize.spent import Spent, now
from tui.workers.quantize.steps import DryRunDone, Steps
from tui.workers.weights import load_weights, release_memory

READ_TOKENS = 1024
"""Tokens of the held-out text that are read to learn the pace of reading."""
WARM_UP_TOKENS = 64
"""Tokens that are read first: the first pass of a model is slower than all others."""
QUANTIZED_READS = 2.0
"""How much longer the kernels that run here take to read a text than 16- or 32-bit weights do (a CPU; 1 to 2)."""
QUANTIZED_SPEAKS = 9.0
"""How much longer a CPU takes to generate with 2, 3 or 8 bits, whose kernel unpacks every matrix for every token."""
SAVE_LEAST = 0.8
"""Seconds to save the smallest model."""
WRITE_RATE = 150_000_000
"""Bytes per second at which packed weights are gathered, written, hashed and synced."""


@dataclass(frozen=True, slots=True)
class Layers:
    """``spent`` was used up on the layers that were quantized, ``whole`` is what all of them would take."""

    spent: Spent
    whole: Spent
    each: float


def some_layers(quantize: Callable[[], None], steps: Steps) -> Layers:
    """Run ``quantize`` until enough of its layers are done."""
    steps.dry = True
    try:
        quantize()
    except DryRunDone:
        starts, last = steps.starts, len(steps.starts) - 1
        first, each = starts[1] - starts[0], starts[last] - starts[last - 1]
        # the last layer prepares no inputs for another one
        handover = starts[last] - steps.handovers.get(last - 1, starts[last])
        whole = first + each * (steps.layers - 1) - handover
        return Layers(starts[last] - starts[0], whole, each.wall)
    spent = now() - steps.starts[0]
    return Layers(spent, spent, spent.wall / steps.layers)


def predicted(
    plan: Plan,
    tokenizer: Any,
    texts: Sequence[str],
    layers: Layers,
    started: float,
    libraries: Spent,
    steps: Steps,
) -> dict[str, Any]:
    """What the whole job would take. ``started`` is when this one began, ``libraries`` what importing them took."""
    before = now() - Spent(started, 0.0) - layers.spent
    steps.phase("measuring", "measuring what the check would take")
    phases = {name: seconds for name, seconds in steps.seconds.items() if name in ("loading", "calibrating")}
    memory = PeakMemory(plan.device)
    begun = now()
    model, _ = load_weights(plan.source, dtype=plan.check_dtype, device=plan.device, loader="transformers")
    loaded = now()
    decode_speed(model, tokenizer, texts, plan.context)
    spoken = now()
    perplexity(model, tokenizer, texts, context=plan.context, limit=WARM_UP_TOKENS)
    warm = now()
    found = perplexity(model, tokenizer, texts, context=plan.context, limit=READ_TOKENS)
    pace = (now() - warm) * (1 / max(1, found.tokens))
    held = memory.bytes()
    del model
    gc.collect()
    release_memory()
    whole = min(LIMIT, sum(len(token_ids(tokenizer, text)) for text in texts))
    speaks = QUANTIZED_SPEAKS if plan.device == "cpu" and plan.recipe.bits != 4 else 1.0
    check = libraries + (loaded - begun) * 2 + (spoken - loaded) * (1 + speaks) + pace * (whole * (1 + QUANTIZED_READS))
    saving = SAVE_LEAST + plan.output_bytes / WRITE_RATE
    total = before + layers.whole + Spent(saving, saving) + check
    phases |= {"layers": layers.whole.wall, "saving": saving, "verifying": check.wall}
    return {
        "dry_run": True,
        "layers": plan.layers,
        "layer_seconds": round(layers.each, 2),
        "phases": {name: round(seconds, 2) for name, seconds in phases.items()},
        "predicted_seconds": round(total.wall, 1),
        "predicted_cpu_seconds": round(total.cpu, 1),
        "predicted_memory": max(steps.peak, peak_memory() if plan.device == "cpu" else held),
        "predicted_bytes": plan.output_bytes,
        "busy": os.getloadavg()[0] > 1.5 * (os.cpu_count() or 1),
        "seconds": round(time.monotonic() - started, 1),
    }
