"""A model described by its own ``config.json``: a folder on this disk, or a repository that the catalog does not know.

It stands above the catalog because reading a shape out of a config is the estimate's business.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tui.catalog.model import Model, Shape
from tui.catalog.quantization import quantization_label
from tui.catalog.safetensors_header import DamagedWeightsError, read_safetensors_header
from tui.catalog.weight_files import weight_files
from tui.errors import BuildBrokenError
from tui.fit.memory_estimate import shape_from_config


def with_config(model: Model, config: Mapping[str, Any]) -> Model:
    """``model`` with what its ``config.json`` says where the catalog says nothing."""
    told = shape_from_config(config)
    known = {item.name: getattr(model.shape, item.name) for item in fields(Shape)}
    shape = replace(told, **{name: value for name, value in known.items() if value not in (None, "")})
    context = (
        model.context_length or _integer(config.get("max_position_embeddings")) or _integer(config.get("n_positions"))
    )
    label = quantization_label(dict(config)) if config.get("quantization_config") else ""
    return replace(model, shape=shape, context_length=context, quantization=model.quantization or label)


def folder_model(folder: Path, model_id: str = "") -> Model:
    """Describe the model in ``folder``; raises ``BuildBrokenError`` when it has no readable config."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BuildBrokenError(f"{folder} holds no config.json", "a model folder has one beside its weights") from None
    except (OSError, ValueError) as error:
        raise BuildBrokenError(f"{folder / 'config.json'} cannot be read: {error}", "get the model again") from None
    if not isinstance(config, dict):
        raise BuildBrokenError(f"{folder / 'config.json'} holds no table", "get the model again")
    params, size = _weights(folder)
    if config.get("quantization_config"):
        params = None  # packed integers hold several weights each
    name = model_id or folder.name
    bare = Model(id=name, name=name, repo=str(folder), params=params, weights_bytes=size, source="folder")
    return with_config(bare, config)


def _weights(folder: Path) -> tuple[int | None, int | None]:
    params = size = 0
    for name in weight_files(folder):
        path = folder / name
        size += path.stat().st_size if path.exists() else 0
        if not name.endswith(".safetensors"):
            return None, size or None
        try:
            header = read_safetensors_header(path)
        except (OSError, DamagedWeightsError):
            return None, size or None
        params += sum(_count(tensor) for tensor in header.tensors.values())
    return params or None, size or None


def _count(tensor: Any) -> int:
    count = 1
    for length in tensor["shape"]:
        count *= length
    return count


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
