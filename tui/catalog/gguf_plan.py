"""Which builds llama.cpp can hold without loss, and in which of its block types; every refusal with its reason.

Pure: it reads config.json and the heads of the weights only, so the question is answered in milliseconds before a job
is asked for. What llama.cpp fixes in its code and no GGUF field can say (facts of its model files, 2026) is here too:
the attention scale of Gemma, its layer pattern, and the layers of SmolLM3 without rotation.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.catalog.safetensors_header import DamagedWeightsError, read_safetensors_header
from tui.catalog.weight_files import weight_files
from tui.errors import BuildBrokenError, RecipeError

BLOCK = 32
"""Weights in one block of Q4_0, Q4_1 and Q8_0; they share a scale."""
TYPES = ("auto", "f32", "f16", "bf16", "q8_0", "q4_0")
ARCHITECTURES = {
    "llama": "llama",
    "mistral": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma": "gemma",
    "gemma2": "gemma2",
    "gemma3_text": "gemma3",
    "phi3": "phi3",
    "smollm3": "smollm3",
}
"""transformers' ``model_type`` to llama.cpp's architecture."""

_NEEDED = ("hidden_size", "num_attention_heads", "num_hidden_layers")
_OTHER_MODEL = "choose another model, or chat with it through transformers"
_ACTIVATIONS = {
    "gemma": ("gelu_pytorch_tanh", "gelu"),
    "gemma2": ("gelu_pytorch_tanh",),
    "gemma3_text": ("gelu_pytorch_tanh",),
}


@dataclass(frozen=True, slots=True)
class GgufPlan:
    """How a build becomes a GGUF file. ``type`` is the block type of its linear layers ("Q4_0", "F16", ...); ``exact``:
    they hold the build's own weights bit for bit; ``context`` is how many tokens llama.cpp computes as the model does,
    which ``notes`` explain where it is shorter than the model's own. ``bytes`` estimates the file."""

    source: Path
    model_type: str
    architecture: str
    type: str
    exact: bool
    context: int
    bytes: int
    config: Mapping[str, Any]
    bits: int = 0
    group_size: int = 0
    version: int = 1
    """Version of the GPTQ format: 1 stores zero points less one, 2 as they are."""
    notes: tuple[str, ...] = ()

    @property
    def quantized(self) -> bool:
        """The source is a GPTQ build."""
        return self.bits > 0


def plan_gguf(source: Path, wanted: str = "auto") -> GgufPlan:
    """Decide how ``source`` is exported; raises ``RecipeError`` with the reason, ``BuildBrokenError`` for files that
    cannot be read."""
    if source.is_file() or any(source.glob("*.gguf")):
        raise RecipeError(f"{source.name} is a GGUF build already", "heft serve loads it as it is")
    config = _read_config(source)
    model_type = str(config.get("model_type") or "")
    if model_type not in ARCHITECTURES:
        raise RecipeError(
            f"{model_type or 'this architecture'} is not among what Heft exports to GGUF",
            f"known are {', '.join(ARCHITECTURES)}",
        )
    if not (source / "tokenizer.json").is_file():
        raise RecipeError(f"{source.name} has no tokenizer.json", "choose a repository that publishes one")
    unsaid = next((key for key in _NEEDED if not isinstance(config.get(key), int)), "")
    if unsaid:
        raise RecipeError(f"config.json of {source.name} does not say its {unsaid}", _OTHER_MODEL)
    context, notes = _exact_context(config, model_type)
    table = config.get("quantization_config")
    if isinstance(table, dict):
        kind, bits, group, version = _gptq(table, wanted, source)
    else:
        kind, bits, group, version = (wanted if wanted != "auto" else "f16").upper(), 0, 0, 0
        if kind.lower() not in TYPES:
            raise RecipeError(f"{wanted!r} is not a type that Heft writes", f"known are {', '.join(TYPES)}")
    elements, stored, packed = _sizes(source)
    size = stored if bits else round(elements * _BITS[kind] / 8)
    if bits in (2, 3):
        size += round(packed * (4.5 / bits - 1))
        notes += (f"its {bits} bits are kept in blocks of 4: no smaller block of llama.cpp holds them exactly",)
    exact = bits > 0 and kind != "Q4_1"
    return GgufPlan(
        source, model_type, ARCHITECTURES[model_type], kind, exact, context, size, config, bits, group, version, notes
    )


_BITS = {"F32": 32, "F16": 16, "BF16": 16, "Q8_0": 8.5, "Q4_0": 4.8}


def _gptq(table: Mapping[str, Any], wanted: str, source: Path) -> tuple[str, int, int, int]:
    method, bits, group = table.get("quant_method") or "gptq", table.get("bits"), table.get("group_size")
    if method != "gptq" or not isinstance(bits, int):
        raise RecipeError(
            f"{source.name} is quantized with {method}, whose weights are not those of a GGUF block",
            "export a GPTQ build, or the original",
        )
    group = group if isinstance(group, int) else -1
    if table.get("desc_act"):
        raise RecipeError(
            "its columns are ordered by activation (desc_act), so neighbours do not share a scale as GGUF blocks do",
            "quantize without --desc-act",
        )
    if group != -1 and (group <= 0 or group % BLOCK):
        raise RecipeError(f"its groups have {group} weights, a GGUF block {BLOCK}", "quantize with --group-size 128")
    kinds = {(2, True): "Q4_0", (3, True): "Q4_0", (4, True): "Q4_0", (4, False): "Q4_1", (8, True): "Q8_0"}
    kind = kinds.get((bits, table.get("sym") is not False))
    if kind is None:
        how = "" if table.get("sym") is not False else " asymmetric"
        raise RecipeError(
            f"no GGUF block holds {bits}-bit{how} GPTQ weights as they are", "quantize with 4 bits, or symmetrically"
        )
    if wanted not in ("auto", kind.lower()):
        raise RecipeError(
            f"{source.name} holds what {kind} holds; as {wanted} it would be another build",
            f"leave --type away, or export the original as {wanted}",
        )
    named = str(table.get("checkpoint_format") or table.get("format") or "gptq")
    if named not in ("gptq", "gptq_v2"):
        raise RecipeError(f"its weights are packed as {named}, which Heft does not read", _OTHER_MODEL)
    return kind, bits, group, 2 if named == "gptq_v2" else 1


def rope_of(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rotation of positions in one table, from either of the two forms that configs have had."""
    table = dict(config.get("rope_parameters") or {})
    if "full_attention" in table:  # gemma3: one table for each kind of layer
        local = dict(table.get("sliding_attention") or {})
        table = {**dict(table["full_attention"]), "local_theta": local.get("rope_theta")}
    table |= {key: value for key, value in dict(config.get("rope_scaling") or {}).items() if value is not None}
    table.setdefault("rope_theta", config.get("rope_theta") or 10000.0)
    table["rope_type"] = str(table.get("rope_type") or table.get("type") or "default")
    return table


def head_size(config: Mapping[str, Any]) -> int:
    """Numbers in one attention head."""
    return int(config.get("head_dim") or int(config["hidden_size"]) // int(config["num_attention_heads"]))


def _exact_context(config: Mapping[str, Any], model_type: str) -> tuple[int, tuple[str, ...]]:
    """Tokens up to which llama.cpp computes this model as transformers does; raises where it never does."""
    _refuse_shapes(config, model_type)
    context, notes = int(config.get("max_position_embeddings") or 2048), []
    rope = rope_of(config)
    if rope["rope_type"] == "longrope":
        original = int(config.get("original_max_position_embeddings") or rope["original_max_position_embeddings"])
        if context > original:
            notes.append(f"to {original} tokens: beyond them llama.cpp scales positions in another way (longrope)")
            context = original
    window = config.get("sliding_window")
    windowed = model_type in ("mistral", "phi3") or (model_type == "qwen2" and config.get("use_sliding_window"))
    if windowed and isinstance(window, int) and window < context:
        notes.append(f"to {window} tokens: llama.cpp reads {model_type} without its sliding window")
        context = window
    return context, tuple(notes)


def _refuse_shapes(config: Mapping[str, Any], model_type: str) -> None:
    rope = rope_of(config)
    known = {"default", "linear", "llama3", "yarn"} if not model_type.startswith("gemma") else {"default", "linear"}
    if model_type == "phi3":
        known = {"default", "longrope"}
    if rope["rope_type"] not in known:
        raise RecipeError(f"llama.cpp does not scale positions of {model_type} by {rope['rope_type']}", _OTHER_MODEL)
    if rope["rope_type"] == "yarn" and not _is_plain_yarn(rope):
        raise RecipeError("its yarn scaling has parameters that GGUF cannot say", _OTHER_MODEL)
    wanted = _ACTIVATIONS.get(model_type, ("silu",))
    activation = config.get("hidden_activation") or config.get("hidden_act") or wanted[0]
    if activation not in wanted:
        raise RecipeError(
            f"llama.cpp computes {model_type} with {wanted[0]}, this model with {activation}", _OTHER_MODEL
        )
    if config.get("mlp_bias") or (config.get("attention_bias") and model_type not in ("qwen2",)):
        raise RecipeError(f"llama.cpp's {model_type} has no biases in these layers", _OTHER_MODEL)
    if model_type in ("gemma2", "gemma3_text"):
        _refuse_gemma(config, model_type)
    layers = int(config["num_hidden_layers"])
    kept = config.get("no_rope_layers")
    if model_type == "smollm3" and kept is not None and list(kept) != [int((n + 1) % 4 != 0) for n in range(layers)]:
        raise RecipeError("llama.cpp leaves every fourth layer of SmolLM3 unrotated, this model others", _OTHER_MODEL)
    if model_type in ("qwen2", "qwen3", "smollm3", "llama") and "sliding_attention" in (
        config.get("layer_types") or ()
    ):
        raise RecipeError(f"llama.cpp's {model_type} has no layers with a sliding window", _OTHER_MODEL)


def _refuse_gemma(config: Mapping[str, Any], model_type: str) -> None:
    layers, size = int(config["num_hidden_layers"]), head_size(config)
    largest = {"gemma2": 46, "gemma3_text": 62}[model_type]
    if layers == largest:
        size = int(config["hidden_size"]) // int(config["num_attention_heads"])
    scalar = config.get("query_pre_attn_scalar")
    if scalar is not None and not math.isclose(float(scalar), size):
        raise RecipeError(
            f"llama.cpp scales attention of {model_type} by {size}, this model by {scalar} (query_pre_attn_scalar)",
            _OTHER_MODEL,
        )
    period = {"gemma2": 2, "gemma3_text": 6}[model_type]
    kinds = config.get("layer_types")
    expected = ["full_attention" if (n + 1) % period == 0 else "sliding_attention" for n in range(layers)]
    if kinds is not None and list(kinds) != expected:
        raise RecipeError(f"llama.cpp has every {period}th layer of {model_type} without a window", _OTHER_MODEL)
    if model_type == "gemma3_text":
        local = rope_of(config).get("local_theta") or config.get("rope_local_base_freq") or 10000.0
        if not math.isclose(float(local), 10000.0):
            raise RecipeError(
                f"llama.cpp rotates windowed layers with base 10000, this model with {local}", _OTHER_MODEL
            )
        if config.get("attn_logit_softcapping") or config.get("final_logit_softcapping"):
            raise RecipeError("llama.cpp's gemma3 caps no logits", _OTHER_MODEL)


def _is_plain_yarn(rope: Mapping[str, Any]) -> bool:
    plain = {"beta_fast": 32, "beta_slow": 1, "truncate": True}
    others = ("attention_factor", "mscale", "mscale_all_dim")
    return all(rope.get(name) in (None, value) for name, value in plain.items()) and not any(
        rope.get(name) is not None for name in others
    )


def _read_config(source: Path) -> dict[str, Any]:
    try:
        config = json.loads((source / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        raise BuildBrokenError(f"config.json of {source.name} cannot be read: {error}", "get the model again") from None
    if not isinstance(config, dict):
        raise BuildBrokenError(f"config.json of {source.name} holds no table", "get the model again")
    return config


def _sizes(source: Path) -> tuple[int, int, int]:
    """Elements and bytes of the tensors in ``source``, and of the bytes those of packed weights."""
    elements = stored = packed = 0
    try:
        for name in weight_files(source):
            header = read_safetensors_header(source / name)
            elements += sum(math.prod(tensor["shape"]) for tensor in header.tensors.values())
            stored += sum(header.bytes_by_dtype.values())
            packed += sum(
                4 * math.prod(tensor["shape"]) for key, tensor in header.tensors.items() if key.endswith(".qweight")
            )
    except (OSError, DamagedWeightsError) as error:
        raise BuildBrokenError(f"the weights of {source.name} cannot be read: {error}", "get the model again") from None
    return elements, stored, packed
