"""A tiny model of every family that quantizing promises something about, trained for a moment so that garbage shows.

Random weights answer every token alike, and a build that reloads as garbage answers as well as they do; after some
dozens of steps on the starter's own text the difference is a factor.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tui.starter import starter_folder

VOCABULARY = 2048
STEPS = 60
ROWS = 8
LENGTH = 64

_WIDTHS = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
_EXPERTS = {"moe_intermediate_size": 128, "num_experts_per_tok": 2}
FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {},
    "mistral": {},
    "qwen2": {},
    "qwen3": {},
    "gemma": {},
    "gemma2": {"query_pre_attn_scalar": 32, "sliding_window": 128},
    "gemma3_text": {"query_pre_attn_scalar": 32, "sliding_window": 128},
    "phi3": {},
    "opt": {"ffn_dim": 256, "word_embed_proj_dim": 128},
    "gpt_neox": {},
    "gpt2": {"n_embd": 128, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "bloom": {"n_layer": 2, "n_head": 4},
    "falcon": {"num_attention_heads": 4, "new_decoder_architecture": False, "multi_query": True, "alibi": False},
    "stablelm": {},
    "smollm3": {},
    "qwen3_moe": {"num_experts": 4, **_EXPERTS},
    "olmoe": {"num_experts": 4, "num_experts_per_tok": 2},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "rwkv": {"attention_hidden_size": 128, "context_length": 512},
    "t5": {"d_model": 128, "d_ff": 256, "num_layers": 2, "num_heads": 4, "d_kv": 32, "decoder_start_token_id": 2},
}
"""Family to what its config needs beside the common widths."""


def family_folder(family: str, folder: Path, steps: int = STEPS) -> Path:
    """Make the family's model with the starter's tokenizer in ``folder``."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer

    torch.manual_seed(7)
    widths = {key: value for key, value in _WIDTHS.items() if family != "falcon" or "head" not in key}
    config = AutoConfig.for_model(family, **{**widths, **FAMILIES[family]})
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    model = kind.from_config(config, dtype=torch.float32)
    source = starter_folder()
    tokenizer = AutoTokenizer.from_pretrained(source)
    if not config.is_encoder_decoder:
        _train(model, tokenizer, steps)
    folder.mkdir(parents=True, exist_ok=True)
    model.eval().save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(source / name, folder / name)
    return folder


def _train(model: Any, tokenizer: Any, steps: int) -> None:
    import torch

    from tui.workers.calibration import calibration

    rows = calibration(tokenizer, file="", samples=64, sample_length=LENGTH, context=512, seed=1).rows
    data = torch.tensor(rows) % VOCABULARY
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    model.train()
    for step in range(steps):
        batch = data[torch.arange(step * ROWS, (step + 1) * ROWS) % len(data)]
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
