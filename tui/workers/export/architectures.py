"""What each architecture is called in a GGUF file, and where its tensors go.

llama.cpp rotates neighbouring pairs of a head for ``llama`` and ``smollm3``, transformers its two halves: the rows of
their query and key layers are put into the other order. Gemma's norms are stored less one. Everything else keeps its
place. Names come from the ``gguf`` package's own table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tui.catalog.gguf_plan import GgufPlan, head_size, rope_of
from tui.errors import RecipeError
from tui.workers.export.checkpoint import Array, Checkpoint, Packed

_ROTATES_PAIRS = ("llama", "smollm3")


@dataclass(frozen=True, slots=True)
class Place:
    """One tensor of the file: its name, the checkpoint's tensors that it is made of (one above the other), the heads
    whose rows change their order (0: none), and whether one is added."""

    name: str
    sources: tuple[str, ...]
    heads: int = 0
    plus_one: bool = False

    def packed(self, checkpoint: Checkpoint) -> Packed:
        """The quantized weight in the file's order."""
        found = checkpoint.packed(self.sources[0])
        for source in self.sources[1:]:
            found = found.above(checkpoint.packed(source))
        return found.rows(_pairs(found.q.shape[0], self.heads)) if self.heads else found

    def floats(self, checkpoint: Checkpoint) -> Array:
        """The weight in float32 in the file's order."""
        found = np.concatenate([checkpoint.floats(source) for source in self.sources])
        if self.heads:
            found = found[_pairs(found.shape[0], self.heads)]
        return found + np.float32(1) if self.plus_one else found


def places(plan: GgufPlan, checkpoint: Checkpoint) -> list[Place]:
    """Where every tensor of the checkpoint goes; raises ``RecipeError`` for one that has no place."""
    import gguf

    arch = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == plan.architecture)
    table = gguf.get_tensor_name_map(arch, int(plan.config["num_hidden_layers"]))
    names = [name for name in checkpoint.names() if not _is_dropped(name, plan, checkpoint)]
    found = []
    for name in names:
        if name.endswith("mlp.up_proj.weight") and plan.architecture == "phi3":
            continue  # GPTQModel splits the fused layer; it goes with its other half
        sources: tuple[str, ...] = (name,)
        fused = name
        if name.endswith("mlp.gate_proj.weight") and plan.architecture == "phi3":
            sources = (name, name.replace("gate_proj", "up_proj"))
            fused = name.replace("gate_proj", "gate_up_proj")
        target = table.get_name(fused, try_suffixes=(".weight", ".bias"))
        if target is None:
            raise RecipeError(f"llama.cpp's {plan.architecture} has no place for {name}", "choose another model")
        found.append(Place(target, sources, _heads(name, plan), _is_gemma_norm(name, plan)))
    return found


def rotation_factors(plan: GgufPlan) -> dict[str, Array]:
    """Tensors that scale positions, float32 [half of the rotated numbers], by name; empty where none are needed."""
    rope = rope_of(plan.config)
    if rope["rope_type"] == "longrope":
        return {
            f"rope_factors_{kind}.weight": np.asarray(rope[f"{kind}_factor"], np.float32) for kind in ("long", "short")
        }
    if rope["rope_type"] != "llama3":
        return {}
    return {"rope_freqs.weight": _llama3_factors(rope, head_size(plan.config))}


def _llama3_factors(rope: Mapping[str, Any], size: int) -> Array:
    """Divisors of Llama 3.1's frequencies (transformers: modeling_rope_utils, rope type llama3)."""
    original = float(rope["original_max_position_embeddings"])
    low, high, factor = (float(rope[key]) for key in ("low_freq_factor", "high_freq_factor", "factor"))
    divisors = []
    for place in range(0, size, 2):
        length = 2 * math.pi * float(rope["rope_theta"]) ** (place / size)
        if length < original / high:
            divisors.append(1.0)
        elif length > original / low:
            divisors.append(factor)
        else:
            smooth = (original / length - low) / (high - low)
            divisors.append(1 / ((1 - smooth) / factor + smooth))
    return np.asarray(divisors, np.float32)


def describe(plan: GgufPlan, writer: Any, rows: int) -> None:
    """Write the dimensions and constants of the model; ``rows`` is how many tokens its embedding has."""
    config = plan.config
    heads, size = int(config["num_attention_heads"]), head_size(config)
    rope = rope_of(config)
    writer.add_context_length(plan.context)
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(size)
    writer.add_value_length(size)
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_rope_freq_base(float(rope["rope_theta"]))
    share = float(rope.get("partial_rotary_factor") or config.get("partial_rotary_factor") or 1.0)
    writer.add_rope_dimension_count(int(share * size))
    writer.add_vocab_size(rows)
    _describe_rotation(plan, writer, rope)
    if plan.architecture in ("gemma2", "gemma3"):
        writer.add_sliding_window(int(config["sliding_window"]))
    if plan.architecture == "phi3":
        writer.add_sliding_window(0)
    if plan.architecture == "gemma2":
        writer.add_attn_logit_softcapping(float(config["attn_logit_softcapping"]))
        writer.add_final_logit_softcapping(float(config["final_logit_softcapping"]))


def _describe_rotation(plan: GgufPlan, writer: Any, rope: Mapping[str, Any]) -> None:
    import gguf

    kind = rope["rope_type"]
    if kind == "longrope":
        original = int(plan.config.get("original_max_position_embeddings") or rope["original_max_position_embeddings"])
        longest = int(plan.config["max_position_embeddings"])
        scale = float(rope.get("factor") or longest / original)
        wanted = rope.get("attention_factor")
        computed = math.sqrt(1 + math.log(scale) / math.log(original)) if scale > 1 else 1.0
        writer.add_rope_scaling_orig_ctx_len(original)
        writer.add_rope_scaling_attn_factors(float(computed if wanted is None else wanted))
    if kind in ("linear", "yarn"):
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR if kind == "linear" else gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(float(rope["factor"]))
    if kind == "yarn":
        longest = int(plan.config["max_position_embeddings"])
        writer.add_rope_scaling_orig_ctx_len(int(rope.get("original_max_position_embeddings") or longest))


def _pairs(rows: int, heads: int) -> Array:
    """The order of rows that puts the two halves of every head side by side."""
    return np.arange(rows).reshape(heads, 2, rows // heads // 2).swapaxes(1, 2).reshape(rows)


def _heads(name: str, plan: GgufPlan) -> int:
    if plan.architecture not in _ROTATES_PAIRS:
        return 0
    heads = int(plan.config["num_attention_heads"])
    if ".self_attn.q_proj." in name:
        return heads
    return int(plan.config.get("num_key_value_heads") or heads) if ".self_attn.k_proj." in name else 0


def _is_gemma_norm(name: str, plan: GgufPlan) -> bool:
    return plan.architecture.startswith("gemma") and name.endswith("norm.weight")


def _is_dropped(name: str, plan: GgufPlan, checkpoint: Checkpoint) -> bool:
    if name.endswith(("rotary_emb.inv_freq", ".attn.bias", ".masked_bias")):
        return True  # computed, not learned
    if name != "lm_head.weight":
        return False
    tied = plan.config.get("tie_word_embeddings", plan.architecture.startswith("gemma"))
    if not tied and plan.architecture.startswith("gemma"):
        embedding = checkpoint.floats("model.embed_tokens.weight")
        if checkpoint.is_packed(name) or not np.array_equal(checkpoint.floats(name), embedding):
            raise RecipeError("llama.cpp's Gemma has no output layer of its own, this model has one", "export another")
        return True
    return bool(tied)
