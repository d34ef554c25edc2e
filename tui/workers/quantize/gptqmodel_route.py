"""Quantizes with GPTQModel's own loop: layer by layer from disk, with progress, stop and (where it can) resume.

Knows three things about that loop which nothing warns of. Only ``subset_callback`` can stop it: what
``layer_callback`` raises is swallowed and leaves a half-quantized model that says it is whole. A checkpoint session
takes over SIGTERM. And the model that ``quantize`` leaves in memory computes nothing right until it is saved and
loaded, so its layers are noted at the moment when they hold the quantized weights and are not packed yet.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tui.errors import HeftError
from tui.fit.quantize_plan import Plan
from tui.workers.calibration import Calibration
from tui.workers.libraries import torch_dtype
from tui.workers.quantize.kept import new_objects_watched, release_kept
from tui.workers.quantize.probes import ProbeNotes
from tui.workers.quantize.rounding import rounding_heard
from tui.workers.quantize.scaling import only_sound_scalings
from tui.workers.quantize.steps import Steps


def quantize(plan: Plan, rows: Calibration, making: Path, work: Path, notes: ProbeNotes, steps: Steps) -> None:
    """Quantize ``plan.source`` into ``making``; ``work`` (in the job folder) keeps checkpoint and finished layers."""
    from gptqmodel import GPTQModel

    checkpoint = work / "checkpoint"
    _remove_attempts(checkpoint)
    placed = _placed(plan)
    model = GPTQModel.load(str(plan.source), _config(plan, work), dtype=torch_dtype(plan.dtype), **placed)
    if plan.recipe.method == "rtn":
        notes.clear()
        with rounding_heard(notes, steps, len(plan.linears)):
            model.quantize(None)
    else:
        steps.phase("calibrating", f"calibrating with {len(rows.rows)} samples, {rows.tokens} tokens")
        model.subset_callback = _Listener(model, notes, steps, whole_layers=plan.recipe.method == "awq")
        data = [{"input_ids": list(row), "attention_mask": [1] * len(row)} for row in rows.rows]
        options: dict[str, Any] = {"batch_size": 1, "calibration_sort": None}
        if plan.recipe.method == "awq":
            only_sound_scalings(model)
            options["backend"] = placed["backend"]
        with new_objects_watched():
            if plan.resumable:
                _quantize_resumable(model, data, options, checkpoint, notes, steps)
            else:
                notes.clear()
                model.quantize(data, **options)
    steps.reporter.check()
    if not model.quantized:
        raise HeftError("GPTQModel ended without quantizing every layer", "the log has its words")
    steps.phase("saving")
    model.save(str(making))


def _config(plan: Plan, work: Path) -> Any:
    from gptqmodel import QuantizeConfig
    from gptqmodel.quantization.config import AWQConfig, RTNConfig

    recipe = plan.recipe
    # The compiled packer wants a compiler and half a minute; on a CPU it saves less than that over a whole model,
    # and for 3 bits the plain one is faster anyway.
    compiled = plan.device == "cuda" and recipe.bits != 3
    common = {
        "bits": recipe.bits,
        "group_size": recipe.group_size,
        "sym": recipe.sym,
        "offload_to_disk": plan.offload,
        "offload_to_disk_path": str(work / "layers") if plan.offload else None,
        "pack_impl": "cpu" if compiled else "original",
    }
    if recipe.method == "awq":
        return AWQConfig(**common)
    if recipe.method == "rtn":
        return RTNConfig(**common)
    return QuantizeConfig(
        **common,
        desc_act=recipe.desc_act,
        damp_percent=recipe.damp_percent,
        act_group_aware=plan.act_group_aware,
    )


def _placed(plan: Plan) -> dict[str, Any]:
    from gptqmodel import BACKEND

    # Left to itself it looks for a CUDA kernel for AWQ, and gives up without one.
    on_cpu = plan.device != "cuda"
    backend = BACKEND.AWQ_TORCH if plan.recipe.method == "awq" and on_cpu else BACKEND.AUTO
    return {"device": "cpu" if on_cpu else "cuda:0", "backend": backend}


def _quantize_resumable(
    model: Any, data: list[Any], options: dict[str, Any], checkpoint: Path, notes: ProbeNotes, steps: Steps
) -> None:
    from gptqmodel.looper.checkpoint_store import CheckpointConfig, CheckpointError

    if not (checkpoint / "CURRENT").exists():
        notes.clear()
        shutil.rmtree(checkpoint, ignore_errors=True)
    else:
        steps.reporter.say("going on from the last finished layer")
    with _own_signals():
        try:
            model.quantize(data, **options, checkpoint=CheckpointConfig(path=str(checkpoint)))
        except CheckpointError as error:
            steps.reporter.check()
            shutil.rmtree(checkpoint, ignore_errors=True)
            raise HeftError(f"the checkpoint cannot be used: {error}", "retry the job; it starts over") from error


@contextmanager
def _own_signals() -> Iterator[None]:
    # A checkpoint session would replace the worker's handlers and stop only at the end of a layer: minutes.
    from gptqmodel.looper import gptq_checkpoint

    original = gptq_checkpoint.signal
    gptq_checkpoint.signal = SimpleNamespace(
        SIGINT=signal.SIGINT, SIGTERM=signal.SIGTERM, getsignal=signal.getsignal, signal=lambda number, handler: None
    )
    try:
        yield
    finally:
        gptq_checkpoint.signal = original


def _remove_attempts(checkpoint: Path) -> None:
    # Each killed process leaves its private folder of finished layers; what the checkpoint needs lies elsewhere.
    for folder in checkpoint.glob("attempt-*"):
        shutil.rmtree(folder, ignore_errors=True)


class _Listener:
    """Hears GPTQModel's loop: notes each layer's quantized weights, tells progress, and raises when it shall stop."""

    def __init__(self, model: Any, notes: ProbeNotes, steps: Steps, *, whole_layers: bool) -> None:
        self.model = model
        self.notes = notes
        self.steps = steps
        self.whole_layers = whole_layers
        """AWQ quantizes a layer at once, when its last group of matrices has been heard."""
        self.pending: list[str] = []
        self.read = 0
        self.prefix = ""

    def __call__(
        self,
        *,
        stage: str,
        layer_idx: int,
        subset_index: int,
        subset_total: int,
        module_names: list[str],
        processor: Any,
    ) -> None:
        """One event of the loop; ``stage`` is forward_start, forward_end, quant_start or quant_complete."""
        self.steps.reporter.check()
        if stage in ("forward_start", "quant_complete"):
            release_kept()
        if not self.prefix:
            self.prefix = self._layers_node()
            self.steps.phase("layers", f"quantizing layers {layer_idx + 1} to {self.steps.layers}")
        part = {"forward_start": 0.0, "forward_end": 0.4, "quant_start": 0.4, "quant_complete": 1.0}.get(stage, 0.0)
        done = (subset_index + part) / subset_total
        if stage != "quant_complete":
            self.steps.layer(layer_idx, done, ", ".join(module_names[:4]))
            return
        self.pending += [f"{self.prefix}.{layer_idx}.{name}" for name in module_names]
        if not self.whole_layers or subset_index + 1 == subset_total:
            self.notes.note(layer_idx, {name: self._weight(name) for name in self.pending})
            self.pending = []
        last, loss = self._losses(processor)
        self.steps.layer(layer_idx, done, last or module_names[-1], loss)

    def _layers_node(self) -> str:
        node = self.model.extract_layers_node()
        return str(node[0] if isinstance(node, list | tuple) else node)

    def _weight(self, name: str) -> Any:
        module = self.model.model.get_submodule(name)
        inner = getattr(module, "module", module)
        weight = module.weight.data
        return weight.T if type(inner).__name__.endswith("Conv1D") else weight  # GPT-2 stores [in, out]

    def _losses(self, processor: Any) -> tuple[str, float | None]:
        log = getattr(getattr(processor, "__self__", processor), "log", [])
        last, loss = "", None
        for entry in log[self.read :]:
            last = str(entry.get("module", ""))
            loss = self.steps.note_loss(f"{entry.get('layer')}.{last}", entry.get("loss"))
        self.read = len(log)
        return last, loss
