"""How many bytes a model takes when it is loaded and answers: weights + KV cache + overhead, every term kept apart.

From the catalog's counts before anything is downloaded, from the headers of the safetensors files once it is here. The
numbers say what the model takes, never whether that is there: ``verdict.py`` holds them against the machine.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.catalog.build import Build
from tui.catalog.model import Model, Shape
from tui.errors import UsageError
from tui.fit.cpu_weights import cpu_weights, runs_by_hand
from tui.fit.engine import LLAMA_CPP, engine_on_cpu, will_run_in_llama
from tui.fit.gguf_shape import gguf_header_of, shape_from_gguf
from tui.fit.kv_cache import KvCache, cache_is_known, generates, kv_cache, usual_cache
from tui.fit.light_config import may_be_light
from tui.fit.overhead import overhead_on_gpu, process_in_ram, slack_in_ram
from tui.fit.parameters import split_parameters
from tui.fit.precision import Precision, parse_precision
from tui.fit.quantize_estimate import QuantizeEstimate, quantize_estimate
from tui.fit.shape import shape_from_config
from tui.fit.terms import MemoryEstimate
from tui.fit.weights import WeightBytes, weight_bytes, weights_of_tensors, weights_on_disk

__all__ = [
    "MemoryEstimate",
    "QuantizeEstimate",
    "default_context",
    "estimate",
    "estimate_build",
    "published_precision",
    "quantize_estimate",
    "shape_from_config",
]

DEFAULT_CONTEXT = 8192
"""Tokens that are assumed where nobody asks for a number and the model can hold them."""


def default_context(model: Model) -> int:
    """Tokens to assume for ``model``: what it can hold, at most ``DEFAULT_CONTEXT``."""
    return min(model.context_length or DEFAULT_CONTEXT, DEFAULT_CONTEXT)


def published_precision(model: Model) -> str:
    """The precision that "as published" means: how it is quantized, else its dtype, else float16."""
    if model.quantization == "gguf" and not model.weights_bytes:
        return f"gguf-{(model.gguf or 'Q4_K_M').lower()}"  # what a download of such a repository fetches
    if model.quantization:
        return model.quantization
    return model.shape.dtype or "float16"


def estimate(model: Model, precision: str = "", context: int | None = None, batch: int = 1) -> MemoryEstimate:
    """Estimate ``model`` from what the catalog says. ``precision`` empty means as published.

    Raises ``UsageError`` for an unknown precision, or when context or batch is below 1.
    """
    tokens = _tokens(context, default_context(model))
    _require_positive(batch, "a batch")
    wanted, weights = _catalog_weights(model, precision)
    notes = list(weights.notes) if weights else []
    if context is None and generates(model) and (model.context_length or 0) > tokens:
        notes.append(f"for a context of {tokens:,} tokens; the model can hold {model.context_length:,}")
    if model.active_params and model.params and model.active_params < model.params:
        notes.append("a mixture of experts: all experts are loaded, whichever few a token uses")
    if model.tensors is not None:
        files = "1 file" if model.tensors.files == 1 else f"{model.tensors.files} files"
        notes.append(f"weights are exact: read from the heads of {files}, commit {model.tensors.commit[:8]}")
    elif model.params_is_estimate:
        notes.append("its parameter count is itself an estimate")
    if model.kind == "image-gen":
        notes.append("what drawing takes depends on the size of the picture and is not counted")
    shape = model.shape if generates(model) else None
    guessed = model.source == "hub" and bool(model.params) and shape is not None and not cache_is_known(shape)
    if guessed and shape is not None:
        shape = replace(shape, kv_bytes_per_token=usual_cache(model.params or 0))
        notes.append("its cache is taken as usual for its size: a list of the hub does not tell its layers")
    if weights is not None and wanted.kind == "float" and not weights.unpacked:
        weights = replace(weights, unpacked=_experts(model, weights))
    planned = bool(precision) and precision != published_precision(model)
    in_llama = planned and will_run_in_llama(wanted, model.shape.architecture)
    in_ram = weights.total if in_llama and weights else cpu_weights(wanted, weights, shape, tokens)
    numbers = _combine(wanted, weights, shape, tuple(notes), tokens, batch, in_ram, in_llama=in_llama)
    return replace(numbers, guessed=guessed)


def estimate_build(build: Build, context: int | None = None, batch: int = 1, engine: str = "auto") -> MemoryEstimate:
    """Estimate a build on this disk: exact weights from the headers of its files, the cache from its config. ``engine``
    is the one that is asked for on a CPU ("transformers", "llama.cpp", or "auto").

    Raises ``UsageError`` when context or batch is below 1; what cannot be read is missing in the estimate.
    """
    config = _read_config(build.path)
    header = gguf_header_of(build.path)
    shape = shape_from_config(config) if header is None else shape_from_gguf(header)
    longest = _longest(config) if header is None else header.fact("context_length")
    tokens = _tokens(context, min(longest or DEFAULT_CONTEXT, DEFAULT_CONTEXT))
    _require_positive(batch, "a batch")
    wanted = _build_precision(build, shape)
    notes: tuple[str, ...] = ()
    if context is None and longest and longest > tokens:
        notes = (f"for a context of {tokens:,} tokens; the model can hold {longest:,}",)
    weights = weights_on_disk(build.path)
    in_llama = header is not None or engine_on_cpu(build.path, engine) == LLAMA_CPP
    in_ram = weights.total if in_llama and weights else cpu_weights(wanted, weights, shape, tokens)
    known = may_be_light(config)
    return _combine(wanted, weights, shape, notes, tokens, batch, in_ram, in_llama=in_llama, known=known)


def _catalog_weights(model: Model, precision: str) -> tuple[Precision, WeightBytes | None]:
    published = published_precision(model)
    if precision and precision != published:
        wanted = parse_precision(precision)
        parts = split_parameters(model)
        params = model.tensors.params if model.tensors is not None and model.tensors.linear else model.params
        return wanted, weight_bytes(wanted, params, parts)
    wanted = _lenient(published)
    if model.tensors is not None:
        return wanted, weights_of_tensors(model.tensors)
    counted = weight_bytes(wanted, model.params, split_parameters(model))
    stated = model.weights_bytes
    if stated is None:
        return wanted, counted
    if counted is not None and wanted.kind == "float" and abs(stated - counted.total) < 0.01 * counted.total:
        return wanted, counted  # the catalog rounds to hundredths of a gigabyte; a count does not
    return wanted, WeightBytes(stated, (("published weights", stated),))


def _experts(model: Model, weights: WeightBytes) -> int:
    """Bytes of the experts of a mixture, as good as all of its blocks; 0 for other models."""
    if not model.active_params:
        return 0
    split = split_parameters(model)
    return weights.total * split.linear // split.total if split else weights.total


def _lenient(word: str) -> Precision:
    """A precision that a catalog row or a build names; one that is not known computes in 16 bit."""
    try:
        return parse_precision(word)
    except UsageError:
        return Precision(word, "flat", 16)


def _build_precision(build: Build, shape: Shape) -> Precision:
    return replace(_lenient(build.precision or shape.dtype or "float16"), label=build.precision or shape.dtype)


def _combine(
    wanted: Precision,
    weights: WeightBytes | None,
    shape: Shape | None,
    notes: tuple[str, ...],
    tokens: int,
    batch: int,
    in_ram: int | None,
    *,
    in_llama: bool = False,
    known: bool = True,
) -> MemoryEstimate:
    in_llama = in_llama or wanted.label.startswith("gguf")
    values = wanted.value_bytes if in_llama else 4
    cache = KvCache() if shape is None else kv_cache(shape, tokens, batch, wanted.value_bytes)
    cache_in_ram = KvCache() if shape is None else kv_cache(shape, tokens, batch, values)
    size = weights.total if weights else None
    light = known and shape is not None and runs_by_hand(shape, tokens)
    process = process_in_ram(wanted, in_llama, light)
    return MemoryEstimate(
        weights=size,
        kv_cache=cache.total if cache.known else None,
        overhead=None if size is None else overhead_on_gpu(size),
        notes=notes + cache.notes,
        overhead_cpu=None if in_ram is None else process + slack_in_ram(in_ram),
        weight_parts=weights.parts if weights else (),
        precision=wanted.label,
        context=tokens,
        batch=batch,
        missing="the number of its parameters" if size is None else "" if cache.known else "its layers and heads",
        shape=shape,
        value_bytes=wanted.value_bytes,
        weights_cpu=in_ram,
        kv_cache_cpu=cache_in_ram.total if cache.known else None,
        value_bytes_cpu=values,
        process_cpu=process,
    )


def _tokens(context: int | None, otherwise: int) -> int:
    if context is None:
        return otherwise
    _require_positive(context, "a context")
    return context


def _require_positive(number: int, what: str) -> None:
    if number < 1:
        raise UsageError(f"{what} of {number} is not possible", "give a whole number of at least 1")


def _read_config(folder: Path) -> Mapping[str, Any]:
    try:
        table = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _longest(config: Mapping[str, Any]) -> int | None:
    for table in (config, config.get("text_config")):
        if isinstance(table, Mapping):
            for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_target_positions"):
                value = table.get(name)
                if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                    return value
    return None
