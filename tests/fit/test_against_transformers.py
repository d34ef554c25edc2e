"""The estimate against real models of many families: built small by transformers, saved, and run with a real cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tui.catalog.build import Build
from tui.fit.memory_estimate import estimate_build

CONTEXT = 160
SMALL = {"num_hidden_layers": 4, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 256, "head_dim": 16}
LLAMA = {**SMALL, "num_key_value_heads": 2, "intermediate_size": 128, "max_position_embeddings": 512}
GPT = {"n_layer": 3, "n_embd": 64, "n_head": 4, "vocab_size": 256, "n_positions": 512}
OPT = {"word_embed_proj_dim": 64, "ffn_dim": 128, "max_position_embeddings": 512}
NEOX = {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4, "intermediate_size": 128}
DELTA = {
    "linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 16, "linear_value_head_dim": 16,
    "linear_conv_kernel_dim": 4,
}  # fmt: skip
LATENT = {
    "kv_lora_rank": 24, "qk_rope_head_dim": 8, "qk_nope_head_dim": 16, "v_head_dim": 16, "q_lora_rank": 16,
    "first_k_dense_replace": 4, "n_routed_experts": 4, "num_key_value_heads": 4,
}  # fmt: skip
FAMILIES = {
    "llama": LLAMA,
    "mistral": {**LLAMA, "sliding_window": 64},
    "qwen2": LLAMA,
    "qwen3": LLAMA,
    "gemma2": {**LLAMA, "sliding_window": 64, "query_pre_attn_scalar": 16},
    "gemma3_text": {**LLAMA, "num_hidden_layers": 7, "sliding_window": 64, "query_pre_attn_scalar": 16},
    "gpt2": GPT,
    "opt": {**SMALL, **OPT},
    "gpt_neox": {**NEOX, "vocab_size": 256, "max_position_embeddings": 512},
    "gptj": {**GPT, "rotary_dim": 8},
    "bloom": {"n_layer": 3, "hidden_size": 64, "n_head": 4, "vocab_size": 256},
    "falcon": {"num_hidden_layers": 3, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 256},
    "mixtral": {**LLAMA, "num_local_experts": 4},
    "phi3": {**LLAMA, "pad_token_id": 0, "sliding_window": 64},
    "gpt_oss": {**LLAMA, "num_local_experts": 4, "sliding_window": 64},
    "olmo3": {**LLAMA, "num_hidden_layers": 5, "sliding_window": 64},
    "deepseek_v3": {**LLAMA, **LATENT, "head_dim": 8},
    "qwen3_next": {**LLAMA, **DELTA, "num_experts": 4, "num_experts_per_tok": 2},
}

CHILD = """
import json, sys
import torch
from transformers import AutoConfig, AutoModelForCausalLM, DynamicCache

folder, context, families = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])

def size(tensors):
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor) and t.numel() > 1)

def tensors_of(value, seen):
    if isinstance(value, torch.Tensor):
        if id(value) not in seen:
            seen.add(id(value))
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_of(item, seen)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from tensors_of(item, seen)

for name, values in families.items():
    config = AutoConfig.for_model(name, **values)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).eval()
    model.save_pretrained(f"{folder}/{name}")
    seen = set()
    weights = size(p for p in model.parameters() if id(p) not in seen and not seen.add(id(p)))
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(torch.randint(2, 256, (1, context)), past_key_values=cache, use_cache=True)
    seen = set()
    kept = sum(size(tensors_of(vars(layer), seen)) for layer in cache.layers)
    print(json.dumps({"name": name, "weights": weights, "cache": kept}), flush=True)
"""


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, dict[str, int]]]:
    folder = tmp_path_factory.mktemp("families")
    run = subprocess.run(
        [sys.executable, "-c", CHILD, str(folder), str(CONTEXT), json.dumps(FAMILIES)],
        check=False,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    rows = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    return folder, {row["name"]: row for row in rows}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_weights_and_cache_of_real_models(measured, family):
    folder, rows = measured
    build = Build(id=family, path=folder / family, model=family, precision="bfloat16", bytes=0)
    numbers = estimate_build(build, CONTEXT)
    assert numbers.weights == pytest.approx(rows[family]["weights"], rel=0.001)
    # A sliding layer keeps one token less than its window, so 63 of 64.
    assert numbers.kv_cache == pytest.approx(rows[family]["cache"], rel=0.02)
