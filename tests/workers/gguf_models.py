"""Tiny GPTQ checkpoints of every architecture that is exported, packed here by the format's definition, and the same
weights as a plain model: what llama.cpp computes is held against what transformers computes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tui.starter import starter_folder

SHAPE = {
    "vocab_size": 2048,
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
OWN: dict[str, dict[str, Any]] = {
    "llama": {"tie_word_embeddings": False},
    "mistral": {"sliding_window": None, "tie_word_embeddings": False},
    "qwen2": {"use_sliding_window": False, "head_dim": 16, "tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": False},
    "gemma": {},
    "gemma2": {"sliding_window": 16, "query_pre_attn_scalar": 32},
    "gemma3_text": {"num_hidden_layers": 7, "sliding_window": 16, "query_pre_attn_scalar": 32},
    "phi3": {"head_dim": 16, "num_key_value_heads": 2, "sliding_window": None},
    "smollm3": {"num_hidden_layers": 4, "head_dim": 16},
}


def model_of(model_type: str, **more: Any) -> Any:
    """A random model whose linear layers are to be replaced."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    torch.manual_seed(7)
    config = AutoConfig.for_model(model_type, **{**SHAPE, **OWN[model_type], "initializer_range": 0.15, **more})
    model = AutoModelForCausalLM.from_config(config).float().eval()
    with torch.no_grad():
        for name, value in model.named_parameters():
            if value.dim() == 1:  # norms of one and biases of zero would hide what is forgotten
                value.add_(torch.randn_like(value) * 0.1)
            elif "embed" in name or "lm_head" in name:
                value.copy_(value.half().float())  # float16 holds these exactly
    return model


def pack(values: np.ndarray[Any, Any], bits: int) -> np.ndarray[Any, Any]:
    """uint8 [rows, columns] as int32 words along the rows, lowest bits first; 3 bits run on over the words."""
    each = np.unpackbits(values.T[..., None], axis=-1, bitorder="little")[..., :bits]  # [columns, rows, bits]
    words = np.packbits(each.reshape(values.shape[1], -1), axis=-1, bitorder="little").view("<u4")
    return np.ascontiguousarray(words.T).view(np.int32)


def quantize(model: Any, *, bits: int, group: int, sym: bool, version: int = 1) -> dict[str, Any]:
    """Round the linear layers of ``model`` in place to random scales and zeros, and return the packed tensors."""
    import torch

    random = np.random.default_rng(3)
    tensors: dict[str, Any] = {}
    layers = {
        name: module
        for name, module in model.named_modules()
        if type(module).__name__ == "Linear" and "lm_head" not in name
    }
    for name, module in layers.items():
        outputs, inputs = module.weight.shape
        groups = inputs // group
        top = (1 << bits) - 1
        q = random.integers(0, top + 1, (inputs, outputs), dtype=np.uint8)
        scales = (random.uniform(0.5, 1.5, (groups, outputs)) * 0.3 / (1 << bits)).astype(np.float16)
        middle = 1 << (bits - 1)
        zeros = np.full((groups, outputs), middle) if sym else random.integers(1, top, (groups, outputs))
        kept = zeros.T.astype(np.uint8) - (version == 1)  # none is nought, so none borrows from its neighbour
        words = pack(kept.astype(np.uint8), bits).view(np.uint32)
        tensors[f"{name}.qweight"] = torch.from_numpy(pack(q, bits))
        tensors[f"{name}.qzeros"] = torch.from_numpy(np.ascontiguousarray(words.T).view(np.int32))
        tensors[f"{name}.scales"] = torch.from_numpy(scales)
        tensors[f"{name}.g_idx"] = torch.arange(inputs, dtype=torch.int32) // group
        wide = np.repeat(scales.astype(np.float32), group, 0) * (
            q.astype(np.float32) - np.repeat(zeros, group, 0).astype(np.float32)
        )
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(wide.T.copy()))
        if module.bias is not None:
            tensors[f"{name}.bias"] = module.bias.detach().clone()
    for name, value in model.state_dict().items():
        tied = name == "lm_head.weight" and model.config.tie_word_embeddings
        if name.rpartition(".")[0] not in layers and not tied:
            tensors[name] = value.detach().clone()
    return tensors


def save(
    folder: Path, model: Any, tensors: dict[str, Any], quantization: dict[str, Any] | None, shards: int = 1
) -> Path:
    """A folder as Heft's own builds are, with the starter's tokenizer."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    for file in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copyfile(starter_folder() / file, folder / file)
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["dtype"] = "float32"
    config["architectures"] = [type(model).__name__]
    if quantization:
        config["quantization_config"] = quantization
        (folder / "quantize_config.json").write_text(json.dumps(quantization))
    (folder / "config.json").write_text(json.dumps(config))
    names = sorted(tensors)
    if shards == 1:
        save_file({name: tensors[name].contiguous() for name in names}, folder / "model.safetensors")
        return folder
    weight_map = {}
    for shard in range(shards):
        file = f"model-{shard + 1:05d}-of-{shards:05d}.safetensors"
        held = names[shard::shards]
        save_file({name: tensors[name].contiguous() for name in held}, folder / file)
        weight_map |= dict.fromkeys(held, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def gptq_folder(
    folder: Path,
    model_type: str,
    *,
    bits: int = 4,
    group: int = 32,
    sym: bool = True,
    version: int = 1,
    shards: int = 1,
    more: dict[str, Any] | None = None,
    **said: Any,
) -> tuple[Path, Any]:
    """A GPTQ checkpoint, and the model with the same weights in float32. ``said`` changes what its config says."""
    model = model_of(model_type, **(more or {}))
    tensors = quantize(model, bits=bits, group=group, sym=sym, version=version)
    named = "gptq" if version == 1 else "gptq_v2"
    table = {"quant_method": "gptq", "bits": bits, "group_size": group, "sym": sym, "desc_act": False}
    return save(folder, model, tensors, {**table, "checkpoint_format": named, **said}, shards), model


def plain_folder(folder: Path, model: Any) -> Path:
    """The same model without quantization."""
    tensors = {
        name: value
        for name, value in model.state_dict().items()
        if not (name == "lm_head.weight" and model.config.tie_word_embeddings)
    }
    return save(folder, model, tensors, None)
