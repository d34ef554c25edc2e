"""What GPTQModel's loop leaves behind is given back before the next pass."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tui.workers.quantize.gptqmodel_route import _Listener
from tui.workers.quantize.probes import ProbeNotes

pytestmark = pytest.mark.slow


class Inputs(list[int]):
    """Stands for a calibration set; a plain list takes no weak reference."""


def left_behind() -> weakref.ref[Inputs]:
    """One forward pass as the loop ends it: the frame that holds the inputs lives on in the traceback."""
    from gptqmodel.nn_modules.hooked_linear import STOP_FORWARD_EXCEPTION, StopForward

    def forward() -> weakref.ref[Inputs]:
        inputs = Inputs()
        inputs.append(inputs)  # type: ignore[arg-type]
        seen = weakref.ref(inputs)
        try:
            raise STOP_FORWARD_EXCEPTION.with_traceback(None)
        except StopForward:
            return seen

    return forward()


def test_the_inputs_of_a_pass_are_gone_at_the_next_event(tmp_path: Path) -> None:
    steps: Any = SimpleNamespace(
        reporter=SimpleNamespace(check=lambda: None), phase=lambda *words: None, layer=lambda *words: None, layers=2
    )
    model: Any = SimpleNamespace(extract_layers_node=lambda: "model.layers")
    listener = _Listener(model, ProbeNotes(tmp_path), steps, whole_layers=False)
    gc.disable()  # whether it would have run by itself just now is chance
    try:
        seen = left_behind()
        assert seen() is not None
        listener(stage="forward_start", layer_idx=0, subset_index=0, subset_total=1, module_names=["a"], processor=None)
        assert seen() is None
    finally:
        gc.enable()
