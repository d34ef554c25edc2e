"""Random models of a few thousand weights, one per architecture, for tests of the decode loop."""

from __future__ import annotations

from typing import Any

SMALL = {
    "vocab_size": 512,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 256,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}


def tiny_model(architecture: str, **more: Any) -> Any:
    """A model with random weights, large enough in spread that its greedy path does not repeat one token."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    own: dict[str, dict[str, Any]] = {
        "llama": {},
        "qwen2": {"use_sliding_window": False},
        "qwen3": {"use_sliding_window": False},
        "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 256},
        "opt": {"ffn_dim": 128, "word_embed_proj_dim": 64},
        "gpt_neox": {},
        "gemma2": {"sliding_window": 24, "query_pre_attn_scalar": 16, "tie_word_embeddings": False},
        "mistral": {"sliding_window": 24},
        "rwkv": {"attention_hidden_size": 64, "context_length": 256},
    }
    torch.manual_seed(5)
    config = AutoConfig.for_model(architecture, **{**SMALL, **own[architecture], **more}, initializer_range=0.3)
    return AutoModelForCausalLM.from_config(config).eval()
