"""The dimensions of a GGUF file, from its head: what the estimate needs where there is no ``config.json``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.catalog.gguf_header import DamagedGgufError, GgufHeader, read_gguf_header
from tui.catalog.model import Model, Shape
from tui.catalog.weight_files import weight_files

_HALF_SLIDE = {"gemma2": 2, "gemma3": 6, "gpt-oss": 2, "cohere2": 4}
"""Every n-th layer keeps the whole context and the others a window, in architectures whose files do not say so."""


def gguf_header_of(path: Path) -> GgufHeader | None:
    """The head of the GGUF build in ``path`` (its folder, or its first file); None for other builds."""
    try:
        names = weight_files(path)
        if not names or not names[0].endswith(".gguf"):
            return None
        return read_gguf_header((path.parent if path.is_file() else path) / names[0])
    except (OSError, DamagedGgufError):
        return None


def with_gguf(model: Model, header: GgufHeader, size: int, quantization: str) -> Model:
    """``model`` with what the head of its GGUF file says; ``size`` counts the bytes of the file's parts."""
    return replace(
        model,
        shape=shape_from_gguf(header),
        context_length=header.fact("context_length") or model.context_length,
        weights_bytes=size,
        quantization=f"gguf-{quantization}" if quantization else "gguf",
    )


def shape_from_gguf(header: GgufHeader) -> Shape:
    """Read the dimensions; what the file does not say stays None."""
    layers, heads = _whole(header.fact("block_count")), _whole(header.fact("attention.head_count"))
    hidden = _whole(header.fact("embedding_length"))
    head = _whole(header.fact("attention.key_length")) or (hidden // heads if hidden and heads else None)
    kept = header.fact("attention.head_count_kv")
    kept_layers = sum(bool(count) for count in kept) if isinstance(kept, list) else layers
    window = _whole(header.fact("attention.sliding_window"))
    period = _HALF_SLIDE.get(header.architecture)
    sliding = layers - layers // period if window and period and layers else 0
    embedding = header.tensors.get("token_embd.weight")
    return Shape(
        architecture=header.architecture,
        layers=layers,
        kv_layers=kept_layers,
        hidden_size=hidden,
        intermediate_size=_whole(header.fact("feed_forward_length")),
        attention_heads=heads,
        kv_heads=_whole(kept) or heads,
        head_dim=head,
        vocab_size=_whole(header.fact("vocab_size")) or (embedding[1][-1] if embedding else None),
        sliding_window=window if sliding else None,
        tied_embeddings="output.weight" not in header.tensors if header.tensors else None,
        sliding_layers=sliding,
    )


def _whole(value: Any) -> int | None:
    if isinstance(value, list):
        value = max((item for item in value if isinstance(item, int)), default=None)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
