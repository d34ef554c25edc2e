"""A model that is built like Llama, straight from its files: configuration and weights without transformers' modules.

Only what is known whole comes this way: every word of the configuration, every name and size of the weights. Anything
else is left to transformers, and tests hold both against each other bit by bit. The parts have the names of
transformers' modules, so that ``taking_apart`` takes them like those.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tui.catalog.weight_files import weight_files
from tui.workers.host.rotation import Rotation, knows_rotation

_FLOATS = ("torch.float16", "torch.bfloat16", "torch.float32")
_OLD_ANGLES = re.compile(r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")
"""Stored by old versions, computed anew by all."""


class LightConfig(SimpleNamespace):
    """A configuration as transformers completes it; a name that it lacks is None."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return None

    def get_text_config(self, decoder: bool = True) -> LightConfig:
        """These models read nothing but text."""
        return self


def light_model(folder: Path, config: LightConfig, generation: LightConfig, dtype: Any) -> Any:
    """The model in ``folder`` on the CPU in ``dtype``, its weights mapped from the files as far as they are stored so;
    None where it is not one that is known whole. Raises what safetensors raises for damaged files."""
    wanted = _expected(config)
    if wanted is None:
        return None
    with contextlib.ExitStack() as stack:
        found = _opened(folder, stack)
        if found is None or set(found) != set(wanted):
            return None
        weights = {}
        for name, file in found.items():
            tensor = file.get_tensor(name)
            if tuple(tensor.shape) != wanted[name] or str(tensor.dtype) not in _FLOATS:
                return None
            weights[name] = tensor.to(dtype)
    return _assembled(config, generation, weights, dtype)


def is_light(model: Any) -> bool:
    """Whether ``model`` was made here, so that its computation needs no trial."""
    return isinstance(getattr(model, "config", None), LightConfig)


def _opened(folder: Path, stack: contextlib.ExitStack) -> dict[str, Any] | None:
    """Names of all weights and the open file of each; None where two files hold the same."""
    from safetensors import safe_open

    found: dict[str, Any] = {}
    for name in weight_files(folder):
        file = stack.enter_context(safe_open(str(folder / name), framework="pt"))
        names = [key for key in file.keys() if not _OLD_ANGLES.fullmatch(key)]  # noqa: SIM118 - no mapping
        if found.keys() & set(names):
            return None
        found |= dict.fromkeys(names, file)
    return found


def _expected(config: LightConfig) -> dict[str, tuple[int, ...]] | None:
    """Names and shapes of the weights of such a model; None where a number or a way is not known."""
    sizes = (
        config.hidden_size, config.intermediate_size, config.num_hidden_layers, config.num_attention_heads,
        config.num_key_value_heads, config.vocab_size, config.max_position_embeddings,
    )  # fmt: skip
    if not all(type(size) is int and size > 0 for size in sizes) or config.hidden_act != "silu":
        return None
    hidden, wide, layers, heads, key_heads, vocabulary, _ = sizes
    head_size = config.head_dim or hidden // heads
    if heads % key_heads or head_size % 2 or not knows_rotation(config.rope_parameters):
        return None
    if not isinstance(config.rms_norm_eps, float) or not isinstance(config.tie_word_embeddings, bool):
        return None
    rows, keys = heads * head_size, key_heads * head_size
    family = config.model_type
    reads_biased = family == "qwen2" or (family in ("llama", "qwen3") and bool(config.attention_bias))
    linears = [
        ("self_attn.q_proj", rows, hidden, reads_biased),
        ("self_attn.k_proj", keys, hidden, reads_biased),
        ("self_attn.v_proj", keys, hidden, reads_biased),
        ("self_attn.o_proj", hidden, rows, reads_biased and family != "qwen2"),
        *(("mlp." + name, *size, family == "llama" and bool(config.mlp_bias)) for name, size in (
            ("gate_proj", (wide, hidden)), ("up_proj", (wide, hidden)), ("down_proj", (hidden, wide)),
        )),
    ]  # fmt: skip
    wanted: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for place in range(layers):
        layer = f"model.layers.{place}."
        for name, outputs, inputs, biased in linears:
            wanted[f"{layer}{name}.weight"] = (outputs, inputs)
            if biased:
                wanted[f"{layer}{name}.bias"] = (outputs,)
        for name in ("input_layernorm", "post_attention_layernorm"):
            wanted[f"{layer}{name}.weight"] = (hidden,)
        for name in ("q_norm", "k_norm") if family == "qwen3" else ():
            wanted[f"{layer}self_attn.{name}.weight"] = (head_size,)
    wanted["model.norm.weight"] = (hidden,)
    if not config.tie_word_embeddings:
        wanted["lm_head.weight"] = (vocabulary, hidden)
    return wanted


def _assembled(config: LightConfig, generation: LightConfig, weights: dict[str, Any], dtype: Any) -> Any:
    import torch

    def parameter(name: str) -> Any:
        return torch.nn.Parameter(weights[name], requires_grad=False)

    def linear(name: str) -> Any:
        made = torch.nn.Linear.__new__(torch.nn.Linear)  # without weights of its own
        torch.nn.Module.__init__(made)
        made.weight = parameter(name + ".weight")
        made.bias = parameter(name + ".bias") if name + ".bias" in weights else None
        made.out_features, made.in_features = made.weight.shape
        return made

    def part(**children: Any) -> Any:
        made = torch.nn.Module()
        for name, child in children.items():
            setattr(made, name, child)
        return made

    def norm(name: str) -> Any:
        return part(weight=parameter(name + ".weight"))

    head_size = config.head_dim or config.hidden_size // config.num_attention_heads
    blocks = []
    for place in range(config.num_hidden_layers):
        layer = f"model.layers.{place}."
        attention = {name: linear(f"{layer}self_attn.{name}") for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
        if config.model_type == "qwen3":
            attention |= {name: norm(f"{layer}self_attn.{name}") for name in ("q_norm", "k_norm")}
        mlp = {name: linear(f"{layer}mlp.{name}") for name in ("gate_proj", "up_proj", "down_proj")}
        norms = {name: norm(layer + name) for name in ("input_layernorm", "post_attention_layernorm")}
        blocks.append(
            part(
                self_attn=part(**attention, scaling=head_size**-0.5),
                mlp=part(**mlp, act_fn=torch.nn.SiLU()),
                **norms,
            )
        )
    embedding = norm("model.embed_tokens")
    head = linear("model.embed_tokens" if config.tie_word_embeddings else "lm_head")
    if config.tie_word_embeddings:
        head.weight = embedding.weight
    inner = SimpleNamespace(
        layers=torch.nn.ModuleList(blocks),
        norm=norm("model.norm"),
        embed_tokens=embedding,
        rotary_emb=Rotation(config.rope_parameters, head_size),
    )
    return SimpleNamespace(
        config=config,
        generation_config=generation,
        model=inner,
        lm_head=head,
        device=torch.device("cpu"),
        dtype=dtype,
    )
