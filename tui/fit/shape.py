"""From a ``config.json`` to the dimensions that the estimate needs.

Every family names them its own way and nests them (``text_config``); this module alone knows the names, and which of
the layers keep what for each token. Nothing is guessed: what a config does not say stays None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.catalog.model import Shape

_NESTED = ("text_config", "llm_config", "language_config", "decoder")
_SLIDING = ("sliding_attention", "chunked_attention", "hybrid_sliding", "reference_sliding_attention", "sliding")
_STATE_ONLY = ("linear_attention", "mamba", "mamba2", "conv", "recurrent", "rglru", "linear")
_NOTHING = ("moe", "mlp")
_PATTERNS = {
    "gemma2": 2,
    "gpt_oss": 2,
    "gemma3_text": 6,
    "gemma3": 6,
    "gemma4_text": 6,
    "gemma3n_text": 5,
    "cohere2": 4,
    "olmo3": 4,
}
"""Every n-th layer is full and the others slide, where the config has a window and no list of layers."""
_ALL_SLIDE = frozenset(("mistral", "mixtral", "phi3", "starcoder2", "qwen2_moe", "stablelm", "ministral"))
_RECURRENT = frozenset(("rwkv", "mamba", "mamba2", "falcon_mamba", "xlstm"))
_DECODERS = ("CausalLM", "LMHeadModel", "ConditionalGeneration", "MTModel", "DoubleHeadsModel")


def shape_from_config(config: Mapping[str, Any]) -> Shape:
    """Read the dimensions out of a parsed ``config.json``; wrong types count as absent."""
    names = config.get("architectures")
    architecture = str(names[0]) if isinstance(names, list) and names else ""
    inner = _text_part(config)
    layers = _first(
        inner, "decoder_layers", "num_decoder_layers", "num_hidden_layers", "n_layer", "n_layers", "num_layers"
    )
    hidden = _first(inner, "hidden_size", "n_embd", "d_model", "dim")
    heads = _first(inner, "decoder_attention_heads", "num_attention_heads", "n_head", "n_heads", "num_heads")
    head = _first(inner, "head_dim", "kv_channels", "d_kv", "attention_head_dim")
    if head is None and hidden and heads:
        head = hidden // heads
    full, sliding, state_layers, window = _layer_kinds(inner, layers, architecture)
    model_type = str(inner.get("model_type") or "")
    tied = inner.get("tie_word_embeddings", config.get("tie_word_embeddings"))
    return Shape(
        architecture=architecture,
        layers=layers,
        kv_layers=None if layers is None else full + sliding,
        hidden_size=hidden,
        intermediate_size=_first(
            inner, "intermediate_size", "ffn_dim", "decoder_ffn_dim", "n_inner", "d_ff", "ffn_hidden_size"
        ),
        attention_heads=heads,
        kv_heads=_kv_heads(inner, heads),
        head_dim=head,
        vocab_size=_first(inner, "vocab_size"),
        sliding_window=window if sliding else None,
        tied_embeddings=tied if isinstance(tied, bool) else True if model_type in ("gpt2", "opt", "gemma") else None,
        dtype=_dtype(config, inner),
        sliding_layers=sliding if layers is not None else None,
        kv_width=_kv_width(inner),
        cross_layers=layers if config.get("is_encoder_decoder") is True else 0,
        cross_tokens=_first(inner, "max_source_positions"),
        state_bytes=_state_bytes(inner, hidden, state_layers) if state_layers else None,
    )


def _text_part(config: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in _NESTED:
        part = config.get(name)
        if isinstance(part, Mapping) and _first(part, "hidden_size", "n_embd", "d_model", "dim"):
            return part
    return config


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = config.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def _kv_heads(config: Mapping[str, Any], heads: int | None) -> int | None:
    found = _first(config, "num_key_value_heads", "multi_query_group_num")
    attention = config.get("attn_config")
    if isinstance(attention, Mapping):
        found = found or _first(attention, "kv_n_heads")
    if config.get("model_type") == "falcon":
        if config.get("new_decoder_architecture") is True:
            return _first(config, "num_kv_heads") or heads
        return 1 if config.get("multi_query", True) is True else heads
    if config.get("model_type") == "gpt_bigcode" and config.get("multi_query", True) is True:
        return 1
    return found or _first(config, "num_kv_heads", "n_head_kv") or heads


def _kv_width(config: Mapping[str, Any]) -> int | None:
    rank = _first(config, "kv_lora_rank")
    if rank is not None:
        return rank + (_first(config, "qk_rope_head_dim") or 0)
    wide = _first(config, "global_head_dim")
    if wide is not None:
        heads = _first(config, "num_global_key_value_heads") or _first(config, "num_key_value_heads") or 1
        return 2 * heads * wide
    return None


def _layer_kinds(config: Mapping[str, Any], layers: int | None, architecture: str) -> tuple[int, int, int, int | None]:
    """How many layers keep everything, slide, keep a constant state; and the window in tokens."""
    window = _first(config, "sliding_window", "attention_chunk_size")
    if layers is None:
        return 0, 0, 0, None
    if config.get("model_type") in _RECURRENT:
        return 0, 0, layers, None
    if architecture and not architecture.endswith(_DECODERS) and config.get("is_decoder") is not True:
        return 0, 0, 0, None
    kinds = _kinds_listed(config, layers)
    if kinds is not None:
        shared = _first(config, "num_kv_shared_layers") or 0
        kinds = kinds[: max(0, layers - shared)]
        sliding = sum(kind in _SLIDING for kind in kinds)
        state = sum(kind in _STATE_ONLY or kind.startswith("hybrid") for kind in kinds)
        full = sum(kind not in _SLIDING + _STATE_ONLY + _NOTHING for kind in kinds)
        return (full, sliding, state, window) if window else (full + sliding, 0, state, None)
    sliding = _sliding_count(config, layers) if window else 0
    return layers - sliding, sliding, 0, window


def _kinds_listed(config: Mapping[str, Any], layers: int) -> list[str] | None:
    """The kind of every layer, where the config lists or spaces them."""
    for name in ("layer_types", "layers_block_type", "block_types"):
        listed = config.get(name)
        if isinstance(listed, list) and listed:
            return [str(listed[index % len(listed)]) for index in range(layers)]
    every = _first(config, "full_attention_interval", "attn_layer_period")
    if every is not None:
        at = config.get("attn_layer_offset") if "attn_layer_period" in config else every - 1
        return ["full_attention" if index % every == at else "linear_attention" for index in range(layers)]
    for name in ("full_attn_idxs", "attn_layer_indices"):
        listed = config.get(name)
        if isinstance(listed, list):
            return ["full_attention" if index in listed else "conv" for index in range(layers)]
    return None


def _sliding_count(config: Mapping[str, Any], layers: int) -> int:
    if "use_sliding_window" in config or config.get("model_type") in ("qwen2", "qwen3"):
        if config.get("use_sliding_window") is not True:
            return 0
        return max(0, layers - (_first(config, "max_window_layers") or 0))
    kind = str(config.get("model_type") or "")
    every = _first(config, "sliding_window_pattern", "_sliding_window_pattern") or _PATTERNS.get(kind)
    if every is not None:
        return layers - layers // every
    return layers if kind in _ALL_SLIDE else 0


def _state_bytes(config: Mapping[str, Any], hidden: int | None, layers: int) -> int | None:
    """Constant state per sequence in bytes, in float32 where the reference implementations keep it so."""
    if hidden is None:
        return None
    if config.get("model_type") == "rwkv":
        return 5 * hidden * layers * 4  # modeling_rwkv.py: five vectors per layer
    value_heads = _first(config, "linear_num_value_heads")
    if value_heads is not None:  # gated delta net: a matrix per head, and the last inputs of a short convolution
        keys, values = _first(config, "linear_key_head_dim") or 0, _first(config, "linear_value_head_dim") or 0
        across = 2 * (_first(config, "linear_num_key_heads") or 0) * keys + value_heads * values
        return layers * (value_heads * keys * values * 4 + across * (_first(config, "linear_conv_kernel_dim") or 0) * 2)
    inner = (_first(config, "mamba_expand", "expand") or 2) * hidden
    state = _first(config, "mamba_d_state", "ssm_state_size", "state_size")
    kernel = _first(config, "mamba_d_conv", "conv_kernel", "conv_L_cache")
    if state is not None:
        return layers * inner * (state * 4 + (kernel or 4) * 2)
    return layers * hidden * kernel * 2 if kernel else None


def _dtype(config: Mapping[str, Any], inner: Mapping[str, Any]) -> str:
    for table in (config, inner):
        for name in ("dtype", "torch_dtype"):
            value = table.get(name)
            if isinstance(value, str):
                return value.removeprefix("torch.")
    return ""
