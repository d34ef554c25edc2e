"""The starter's row: its numbers are read from its own files, because it may be trained again for each release.

It is a Llama of ours, so that its config.json has exactly the keys below; reading the configs of others is
``fit/config_facts.py``.
"""

from __future__ import annotations

import json
from dataclasses import replace
from math import prod
from pathlib import Path

from tui.catalog.model import Model, Shape
from tui.catalog.safetensors_header import DamagedWeightsError, read_safetensors_header

_DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def with_own_numbers(row: Model, folder: Path) -> Model:
    """Return ``row`` with parameters, dimensions and context as the files in ``folder`` say; as it is when they are
    missing or damaged."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        header = read_safetensors_header(folder / "model.safetensors")
        layers, kv_heads, head_dim = (
            int(config[key]) for key in ("num_hidden_layers", "num_key_value_heads", "head_dim")
        )
        shape = Shape(
            architecture=str(config["architectures"][0]),
            layers=layers,
            kv_layers=layers,
            hidden_size=int(config["hidden_size"]),
            intermediate_size=int(config["intermediate_size"]),
            attention_heads=int(config["num_attention_heads"]),
            kv_heads=kv_heads,
            head_dim=head_dim,
            vocab_size=int(config["vocab_size"]),
            tied_embeddings=bool(config["tie_word_embeddings"]),
            dtype=_DTYPES.get(max(header.bytes_by_dtype, key=header.bytes_by_dtype.__getitem__), ""),
            kv_bytes_per_token=4 * layers * kv_heads * head_dim,
        )
        context = int(config["max_position_embeddings"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, DamagedWeightsError):
        return row
    params = sum(prod(tensor["shape"]) for tensor in header.tensors.values())
    size = sum(header.bytes_by_dtype.values())
    return replace(row, params=params, context_length=context, weights_bytes=size, shape=shape)
