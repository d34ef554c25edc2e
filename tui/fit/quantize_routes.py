"""Which library quantizes which architecture, and which one loads the result. Pure.

The tables are what was measured with GPTQModel 7.6, optimum 2.3 and transformers 5.24 (tests/benchmarks/families.py
prints them anew); an architecture that they do not name is tried, and the check after saving decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tui.catalog.build import Recipe
from tui.errors import RecipeError
from tui.fit.quantize_recipe import Linear

_RELOADED_BY_GPTQMODEL = {
    "falcon": "transformers reloads quantized Falcon models as garbage, without an error",
    "gpt2": "transformers cannot load quantized GPT-2 models",
}
_NOT_BY_OPTIMUM = {
    "falcon": "optimum finds no linear layers in Falcon models",
    "gpt2": "transformers cannot load the GPT-2 models that optimum quantizes",
}
_REFUSED = {
    "rwkv": "no GPTQ library knows RWKV; it can be loaded in 8 bits instead (heft serve --load-as int8)",
    "mamba": "no GPTQ library knows Mamba",
}
_FUSED = ("gate_up_proj", "qkv_proj")
"""GPTQModel splits these projections (Phi-3, GLM-4), which plain transformers cannot load again; optimum does not."""
_SCALED = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
"""Layers that AWQ can scale so that it cancels out: with other layouts GPTQModel scales through an activation, through
half of a joined projection, or by the wrong norm, and the model computes something else."""
_MIXTRAL = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}
"""What its checkpoints call the layers of an expert."""
_NOT_SCALED = {"opt", "gpt_neox", "gpt2", "bloom", "falcon", "phi", "phi3", "gptj", "mpt", "starcoder2"}
"""Architectures without such layers, for models whose weights are not here yet."""
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_WITHOUT_OFFLOAD = {"gpt_neox"}
"""GPTQModel loses lm_head.weight of these when it moves finished layers to disk."""
_RESUMABLE = {"llama", "qwen3_moe"}
"""The architectures that GPTQModel's checkpoints support."""


@dataclass(frozen=True, slots=True)
class Route:
    """``name`` quantizes ("gptqmodel" or "optimum"), ``loader`` loads the result ("transformers", or "gptqmodel" where
    plain transformers cannot). ``offload`` moves finished layers to disk, ``resumable`` keeps checkpoints."""

    name: str
    loader: str
    offload: bool
    resumable: bool


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a config.json that describes the language model."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def refuse_architecture(config: Mapping[str, Any], name: str) -> None:
    """Raise ``RecipeError`` for models that nothing here quantizes, from their config.json alone."""
    if config.get("is_encoder_decoder"):
        raise RecipeError(f"{name} is an encoder-decoder model", "quantizing works on causal language models here")
    kind = str(text_config(config).get("model_type") or "")
    if kind in _REFUSED:
        raise RecipeError(f"{kind} models are not quantized: {_REFUSED[kind]}", "choose another model")
    names = [str(entry) for entry in config.get("architectures") or ()]
    if names and not any(entry.endswith(("ForCausalLM", "LMHeadModel")) for entry in names):
        raise RecipeError(f"{name} is a {names[0]}, not a causal language model", "choose a text model")


def refuse_method(recipe: Recipe, config: Mapping[str, Any]) -> None:
    """Raise ``RecipeError`` where the method of ``recipe`` does not suit the architecture of this config.json."""
    kind = str(text_config(config).get("model_type") or "")
    if recipe.method == "awq" and kind in _NOT_SCALED:
        raise _not_by_awq(kind)


def _not_by_awq(kind: str) -> RecipeError:
    why = "it scales what stands before each layer, and among theirs that does not cancel out"
    return RecipeError(f"{kind} models are not quantized with AWQ: {why}", "use gptq")


def route_of(recipe: Recipe, config: Mapping[str, Any], linears: tuple[Linear, ...]) -> Route:
    """The route for ``recipe`` on a model with this config and these layers; raises ``RecipeError``."""
    table = text_config(config)
    kind = str(table.get("model_type") or "")
    experts = next((str(key) for key in _EXPERTS if isinstance(table.get(key), int) and table[key] > 1), "")
    fused = next((linear.name for linear in linears if linear.module.endswith(_FUSED)), "")
    refuse_method(recipe, config)
    leaves = {linear.module.rpartition(".")[2] for linear in linears}
    if recipe.method == "awq" and not {_MIXTRAL.get(leaf, leaf) for leaf in leaves} >= _SCALED:
        raise _not_by_awq(kind)
    name = recipe.route
    if name == "auto":
        name = "optimum" if fused and not experts and recipe.method == "gptq" else "gptqmodel"
    if name == "optimum":
        _check_optimum(kind, table, experts)
        return Route(name, "transformers", offload=False, resumable=False)
    by_itself = bool(experts or fused) or kind in _RELOADED_BY_GPTQMODEL
    return Route(
        name,
        "gptqmodel" if by_itself else "transformers",
        offload=kind not in _WITHOUT_OFFLOAD,
        resumable=kind in _RESUMABLE and recipe.method == "gptq",
    )


def why_by_gptqmodel(model_type: str) -> str:
    """Why plain transformers does not load what is made of such a model."""
    return _RELOADED_BY_GPTQMODEL.get(model_type, "transformers expects its layers joined, GPTQModel took them apart")


def _check_optimum(kind: str, table: Mapping[str, Any], experts: str) -> None:
    if kind in _NOT_BY_OPTIMUM:
        raise RecipeError(f"{_NOT_BY_OPTIMUM[kind]}", "leave the route to Heft, or choose gptqmodel")
    if experts:
        raise RecipeError(
            f"optimum leaves the experts of {kind} models in 16 bits", "leave the route to Heft, or choose gptqmodel"
        )
    kinds = table.get("layer_types")
    if isinstance(kinds, list) and len(set(map(str, kinds))) > 1:
        raise RecipeError(
            f"optimum calibrates every layer with the first layer's mask, and this {kind} model mixes "
            f"{' and '.join(sorted(set(map(str, kinds))))}",
            "choose the gptqmodel route",
        )
