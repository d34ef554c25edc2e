"""AWQ's scalings, each applied with random scales: what is let through leaves the model's answers as they were."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from tests.families import FAMILIES
from tui.workers.quantize.scaling import is_sound

WIDTHS: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 4,
    "num_key_value_heads": 4, "head_dim": 8, "max_position_embeddings": 64, "pad_token_id": 2,
}  # fmt: skip
ATTENTION = ("input_layernorm", ("q_proj", "k_proj", "v_proj"))
VALUES = ("v_proj", ("o_proj",))
GATED = ("post_attention_layernorm", ("gate_proj", "up_proj"))
UP = ("up_proj", ("down_proj",))
SOUND = {
    "llama": {ATTENTION, VALUES, GATED, UP},
    "qwen3": {ATTENTION, VALUES, GATED, UP},
    "gemma": {ATTENTION, VALUES, GATED, UP},
    "gemma2": {ATTENTION, VALUES, UP},
    "gemma3_text": {VALUES, UP},
    "stablelm": {ATTENTION, VALUES, GATED, UP},
    "olmo2": {VALUES, UP},
    "opt": set(),
    "cohere": {VALUES, UP},
}
GROUPS = (
    ("q_proj", "k_proj", "v_proj"), ("o_proj",), ("out_proj",), ("gate_proj", "up_proj"), ("down_proj",),
    ("fc1",), ("fc2",),
)  # fmt: skip


@pytest.mark.parametrize("family", SOUND)
def test_what_is_let_through_cancels_out(family: str) -> None:
    from gptqmodel.quantization.awq.quantize.scale import apply_scale

    torch.manual_seed(3)
    more = {"ffn_dim": 48, "word_embed_proj_dim": 32} if family == "opt" else FAMILIES.get(family, {})
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **{**WIDTHS, **more})).float().eval()
    layer = next(part for name, part in model.named_modules() if name.endswith("layers.0"))
    with torch.no_grad():
        for parameter in layer.parameters():  # norms begin at one or nought, where a wrong scale would not show
            parameter.add_(torch.randn_like(parameter) * 0.2)
    ids = torch.arange(3, 23)[None]
    before = model(ids).logits.detach()
    parts = dict(layer.named_modules())
    found = set()
    for name, group in product(parts, GROUPS):
        behind = [part for part in parts if part.rpartition(".")[2] in group]
        if len(behind) != len(group) or not hasattr(parts[name], "weight"):
            continue
        if not is_sound(layer, {"prev_op": parts[name], "layers": [parts[part] for part in behind]}):
            continue
        scales = torch.rand(parts[behind[0]].weight.shape[1]) + 0.5
        apply_scale(layer, [(name, behind, scales, None)])
        torch.testing.assert_close(model(ids).logits, before, rtol=1e-3, atol=1e-4, msg=f"{family}: {name} {group}")
        found.add((name.rpartition(".")[2], group))
    assert found == SOUND[family]
