"""Which models a host loads on a CPU without transformers: those whose configuration holds nothing unknown.

The host looks at the weights too (workers/host/light_model.py); this much is known before anything is loaded, and by
the estimate of its memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
_ANY = {
    "_name_or_path", "architectures", "attention_bias", "attention_dropout", "bos_token_id", "dtype", "eos_token_id",
    "head_dim", "hidden_act", "hidden_size", "initializer_range", "intermediate_size", "layer_types",
    "max_position_embeddings", "max_window_layers", "mlp_bias", "model_type", "num_attention_heads",
    "num_hidden_layers", "num_key_value_heads", "pad_token_id", "rms_norm_eps", "rope_parameters", "rope_scaling",
    "rope_theta", "sliding_window", "tie_word_embeddings", "torch_dtype", "transformers_version", "unsloth_fixed",
    "unsloth_version", "use_cache", "use_sliding_window", "vocab_size",
}  # fmt: skip
"""Words of a configuration that are looked at, or that change nothing of what is computed here."""
_NEUTRAL: dict[str, tuple[Any, ...]] = {"pretraining_tp": (1, None), "rope_interleaved": (False, None)}
"""Words that change nothing with these values."""
_ROTATIONS = ("default", "linear", "llama3")


def may_be_light(config: Mapping[str, Any]) -> bool:
    """Whether the words of this ``config.json`` are all known, and what they say."""
    rotations = [config.get(name) or {} for name in ("rope_parameters", "rope_scaling")]
    return (
        config.get("model_type") in FAMILIES
        and all(name in _ANY or name in _NEUTRAL for name in config)
        and all(config[name] in values for name, values in _NEUTRAL.items() if name in config)
        and config.get("hidden_act", "silu") == "silu"
        and all(isinstance(table, Mapping) and _kind(table) in _ROTATIONS for table in rotations)
    )


def _kind(rotation: Mapping[str, Any]) -> object:
    return rotation.get("rope_type", rotation.get("type", "default"))
