"""What config.json says of a model in a folder: its architecture, and how its weights are quantized."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tui.catalog.build import Recipe
from tui.plain_text import clean_line

OLD_GPTQ_FILE = "quantize_config.json"
"""Where AutoGPTQ wrote it."""


def folder_model_type(path: Path) -> str:
    """What config.json in ``path`` calls the architecture ("llama"); empty when it does not say."""
    try:
        table = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return ""
    found = table.get("model_type") if isinstance(table, dict) else None
    return found if isinstance(found, str) else ""


def quantization_table(path: Path) -> dict[str, Any]:
    """How the weights in ``path`` are quantized: the table in config.json, else the file quantize_config.json that
    AutoGPTQ wrote beside it (it means GPTQ); empty when they are not."""
    for name in ("config.json", OLD_GPTQ_FILE):
        try:
            table = json.loads((path / name).read_bytes())
        except (OSError, ValueError, RecursionError):
            continue
        if not isinstance(table, dict):
            continue
        if name == OLD_GPTQ_FILE:
            return {"quant_method": "gptq", **table} if isinstance(table.get("bits"), int) else {}
        inner = table.get("text_config")
        found = table.get("quantization_config") or (isinstance(inner, dict) and inner.get("quantization_config"))
        if isinstance(found, dict):
            return found
    return {}


def quantization_label(config: dict[str, Any]) -> str:
    """Name how the weights of a config.json are quantized: a recipe label ("gptq-4bit-g128"), "bitsandbytes-4bit",
    "fp8", "compressed-tensors-4bit", ...; empty when they are not."""
    table = config.get("quantization_config")
    if not isinstance(table, dict):
        inner = config.get("text_config")
        table = inner.get("quantization_config") if isinstance(inner, dict) else None
    if not isinstance(table, dict) or not table:
        return ""
    method = clean_line(str(table.get("quant_method") or ""), 30).lower()
    bits, group = table.get("bits"), table.get("group_size")
    if not method and isinstance(bits, int):
        method = "gptq"
    if method in ("gptq", "awq") and isinstance(bits, int):
        size = group if isinstance(group, int) else -1
        desc_act = method == "gptq" and table.get("desc_act") is True
        sym = method != "gptq" or table.get("sym") is not False
        return Recipe(method=method, bits=bits, group_size=size, desc_act=desc_act, sym=sym).label
    if method == "bitsandbytes" or table.get("load_in_4bit") or table.get("load_in_8bit"):
        return "bitsandbytes-4bit" if table.get("load_in_4bit") else "bitsandbytes-8bit"
    if method == "compressed-tensors":
        groups = table.get("config_groups")
        for part in groups.values() if isinstance(groups, dict) else ():
            weights = part.get("weights") if isinstance(part, dict) else None
            if isinstance(weights, dict) and isinstance(weights.get("num_bits"), int):
                return f"compressed-tensors-{weights['num_bits']}bit"
    return method or "quantized"
