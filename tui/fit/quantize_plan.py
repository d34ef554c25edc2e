"""What a recipe means for one source build: route, dtype and layers, decided before anything heavy is loaded.

Pure: it reads config.json and the headers of the weights only, so that a recipe that cannot work is refused in
milliseconds and in words, before a job is asked for and again when it starts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.catalog.build import Recipe
from tui.catalog.build_folder import folder_facts
from tui.catalog.quantization import quantization_label, quantization_table
from tui.catalog.safetensors_header import DamagedWeightsError, read_safetensors_header
from tui.catalog.weight_files import weight_files
from tui.errors import BuildBrokenError, RecipeError
from tui.fit.quantize_recipe import Linear, check_dimensions, check_recipe
from tui.fit.quantize_routes import refuse_architecture, route_of, text_config

_LAYER_WEIGHT = re.compile(r"(?:^|\.)(?:layers|h|blocks|block)\.(\d+)\.(.+)\.weight$")
_NOT_QUANTIZED = re.compile(r"(?:^|\.)(?:gate|router|shared_expert_gate|wte|wpe|[\w]*norm[\w]*|ln_\w+)$")
_DTYPES = ("float32", "float16", "bfloat16")
_TRANSPOSED = {"gpt2"}
"""These store a matrix as [in, out] (transformers' Conv1D)."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a recipe is carried out on one source. ``dtype`` is what is computed in, ``check_dtype`` what both models are
    held against each other in, ``save_dtype`` what the weights that stay unquantized are stored in; ``loader`` is the
    library that loads the result; ``context`` in tokens; ``output_bytes`` estimates what will be written."""

    source: Path
    recipe: Recipe
    model_type: str
    route: str
    device: str
    dtype: str
    check_dtype: str
    save_dtype: str
    loader: str
    offload: bool
    resumable: bool
    layers: int
    linears: tuple[Linear, ...]
    context: int
    hidden_size: int
    output_bytes: int
    source_bytes: int

    @property
    def act_group_aware(self) -> bool:
        """Reorder columns inside groups by activation; only with groups and without desc_act."""
        recipe = self.recipe
        return recipe.method == "gptq" and recipe.act_group_aware and recipe.group_size > 0 and not recipe.desc_act


def make_plan(source: Path, recipe: Recipe, *, device: str, native_bfloat16: bool) -> Plan:
    """Hold ``recipe`` against the build in ``source``; ``device`` is "cpu" or "cuda".

    Raises ``RecipeError`` when it cannot be carried out and ``BuildBrokenError`` when the source is not whole.
    """
    check_recipe(recipe, device)
    config = _read_config(source)
    _check_source(source, config)
    table = text_config(config)
    model_type = str(table.get("model_type") or "")
    tensors = _tensors(source)
    _refuse_joined_experts(source, tensors)
    linears = _linears(tensors, transposed=model_type in _TRANSPOSED)
    route = route_of(recipe, config, linears)
    if not linears:
        raise RecipeError(
            f"{source.name} ({model_type}) has no linear layers that Heft knows how to quantize",
            "its layers are fused or named in a way that GPTQ does not handle; choose another model",
        )
    check_dimensions(linears, recipe)
    stored = _stored_dtype(config, tensors)
    dtype = _compute_dtype(stored, device, native_bfloat16)
    total = sum(_elements(shape) * _width(kind) for kind, shape in tensors.values())
    return Plan(
        source=source,
        recipe=recipe,
        model_type=model_type,
        route=route.name,
        device=device,
        dtype=("float16" if stored == "float32" else stored) if recipe.method == "awq" else dtype,
        check_dtype=dtype,
        save_dtype=stored,
        loader=route.loader,
        offload=route.offload,
        resumable=route.resumable,
        layers=max(linear.layer for linear in linears) + 1,
        linears=linears,
        context=_context(table),
        hidden_size=int(table.get("hidden_size") or table.get("n_embd") or 0),
        output_bytes=_output_bytes(tensors, linears, recipe),
        source_bytes=total,
    )


def context_of(source: Path) -> int:
    """How many tokens the model in ``source`` can look back on."""
    return _context(text_config(_read_config(source)))


def dtype_of(source: Path, *, device: str, native_bfloat16: bool) -> str:
    """The dtype in which the model in ``source`` is best computed on ``device``."""
    return _compute_dtype(_stored_dtype(_read_config(source), _tensors(source)), device, native_bfloat16)


def _read_config(source: Path) -> dict[str, Any]:
    try:
        config = json.loads((source / "config.json").read_bytes())
    except FileNotFoundError:
        if any(source.glob("*.gguf")):
            raise RecipeError(
                f"{source.name} holds GGUF files, which are already quantized for llama.cpp",
                "quantize the original safetensors model instead",
            ) from None
        raise BuildBrokenError(f"{source.name}: config.json is missing", "download the model again") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BuildBrokenError(f"{source.name}: config.json cannot be read ({error})", "download it again") from None
    if not isinstance(config, dict):
        raise BuildBrokenError(f"{source.name}: config.json does not hold an object", "download the model again")
    return config


def _check_source(source: Path, config: dict[str, Any]) -> None:
    label = quantization_label({"quantization_config": quantization_table(source)})
    if label:
        raise RecipeError(
            f"{source.name} is already quantized ({label})",
            "quantize the original instead; heft builds lists what is here",
        )
    problem = folder_facts(source).problem
    if problem:
        raise BuildBrokenError(f"{source.name} is not whole: {problem}", "download the model again")
    refuse_architecture(config, source.name)


def _tensors(source: Path) -> dict[str, tuple[str, tuple[int, ...]]]:
    found: dict[str, tuple[str, tuple[int, ...]]] = {}
    for name in weight_files(source):
        try:
            header = read_safetensors_header(source / name)
        except DamagedWeightsError as error:
            raise BuildBrokenError(f"{source.name}: {name} is damaged: {error}", "download the model again") from None
        for tensor, entry in header.tensors.items():
            found[tensor] = (str(entry["dtype"]), tuple(entry["shape"]))
    return found


def _refuse_joined_experts(source: Path, tensors: dict[str, tuple[str, tuple[int, ...]]]) -> None:
    joined = next((name for name, (_, shape) in tensors.items() if len(shape) == 3 and ".experts." in name), "")
    if joined:
        raise RecipeError(
            f"{source.name} stores its experts joined in one tensor ({joined}), which GPTQModel cannot take apart",
            "choose a repository of it that has one matrix per expert, or one that is quantized already",
        )


def _linears(tensors: dict[str, tuple[str, tuple[int, ...]]], *, transposed: bool) -> tuple[Linear, ...]:
    found = []
    for name, (_, shape) in tensors.items():
        match = _LAYER_WEIGHT.search(name)
        if match is None or len(shape) != 2 or _NOT_QUANTIZED.search(match[2]):
            continue
        rows, columns = reversed(shape) if transposed else shape
        found.append(Linear(name.removesuffix(".weight"), int(match[1]), match[2], columns, rows))
    return tuple(sorted(found, key=lambda linear: (linear.layer, linear.name)))


def _stored_dtype(config: dict[str, Any], tensors: dict[str, tuple[str, tuple[int, ...]]]) -> str:
    sizes: dict[str, int] = {}
    for kind, shape in tensors.values():
        sizes[kind] = sizes.get(kind, 0) + _elements(shape)
    most = max(sizes, key=sizes.__getitem__)
    stored = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}.get(most)
    declared = config.get("dtype") or config.get("torch_dtype")
    if stored is None:
        return declared if declared in _DTYPES else "float32"
    return stored


def _compute_dtype(stored: str, device: str, native_bfloat16: bool) -> str:
    # Without bfloat16 instructions a CPU takes about seven times as long in bfloat16 as in float32.
    if device == "cuda":
        return "float16" if stored == "float32" else stored
    return "bfloat16" if stored == "bfloat16" and native_bfloat16 else "float32"


def _context(config: Mapping[str, Any]) -> int:
    for key in ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length", "context_length"):
        value = config.get(key)
        if isinstance(value, int) and value > 0:
            return value
    return 2048


def _output_bytes(tensors: dict[str, tuple[str, tuple[int, ...]]], linears: tuple[Linear, ...], recipe: Recipe) -> int:
    quantized = {f"{linear.name}.weight" for linear in linears}
    kept = sum(_elements(shape) * _width(kind) for name, (kind, shape) in tensors.items() if name not in quantized)
    packed = 0
    for linear in linears:
        groups = 1 if recipe.group_size < 0 else linear.in_features // recipe.group_size
        weights = linear.in_features * linear.out_features * recipe.bits // 8
        packed += weights + groups * linear.out_features * (16 + recipe.bits) // 8 + 4 * linear.in_features
    return kept + packed


def _elements(shape: tuple[int, ...]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _width(kind: str) -> int:
    return {"F64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2}.get(kind, 2)
