"""What weights take in the RAM of a machine that computes on its CPU.

The host computes in float32 and keeps the linear layers of a 16-bit model packed in 16 bits (workers/host/linears.py).
Norms, experts and the cache become 32-bit, and so do embeddings, but for the families that the hand-written pass runs:
it widens the rows that it looks up. An output layer that shares the embedding gets a packed copy of its own. FBGEMM
packs columns in blocks of 512; where there is a C compiler, the host takes it for whole blocks only, and the compiled
products for all others (workers/host/cpu_path.py), which take bfloat16 in 12 bits where its values allow it: then this
is up to a quarter too much. A CPU that is twice as fast in float32 takes more than this.
"""

from __future__ import annotations

import shutil
from functools import lru_cache

from tui.catalog.model import Shape
from tui.fit.parameters import embedding_params
from tui.fit.precision import Precision
from tui.fit.weights import WeightBytes
from tui.hardware.host_probe import computes_bfloat16

KEPT = "embeddings, output layer and norms"
"""How the part of a quantized model's weights begins that stays in floating point."""


def cpu_weights(precision: Precision, weights: WeightBytes | None, shape: Shape | None, context: int = 0) -> int | None:
    """Bytes in RAM of weights that take ``weights`` on a GPU, for a model of ``shape`` (None: one that writes no text)
    loaded for ``context`` tokens. None when unknown."""
    if weights is None:
        return None
    if precision.kind == "flat" or precision.value_bytes == 4:
        return weights.total
    if precision.is_quantized:
        widened = sum(size for name, size in weights.parts if name.startswith(KEPT) or name in _SIXTEEN_BIT)
        return weights.total + widened
    embedding = None if shape is None else embedding_params(shape)
    if shape is None or embedding is None:
        return weights.total
    head = _in_blocks(2 * embedding, shape.hidden_size)
    if shape.architecture.startswith(NOT_LINEAR):
        return 2 * weights.total + head  # all in 32 bit; the output layer packed besides
    stored = 2 * embedding * (2 if weights.head_apart else 1)
    kept = 2 * embedding if runs_by_hand(shape, context) else 4 * embedding
    return _packed(shape, weights.total - weights.unpacked - stored) + 2 * weights.unpacked + kept + head


def _packed(shape: Shape, size: int) -> int:
    """Bytes of layers that are stored in ``size`` bytes, once they are packed."""
    narrowing = 2 * (shape.layers or 0) * (shape.hidden_size or 0) * (shape.intermediate_size or 0)
    narrowing = min(narrowing, size)
    return _in_blocks(size - narrowing, shape.hidden_size) + _in_blocks(narrowing, shape.intermediate_size)


def _in_blocks(size: int, columns: int | None) -> int:
    """Bytes of matrices of ``columns`` and ``size`` bytes as the host keeps them."""
    return size * (-(-columns // BLOCK) * BLOCK) // columns if columns and not has_compiler() else size


@lru_cache(maxsize=1)
def has_compiler() -> bool:
    """Whether the host finds a C compiler on this machine; asked once."""
    return any(shutil.which(name) for name in ("cc", "gcc", "clang"))


BLOCK = 512
"""Columns that FBGEMM packs together (its kernels for 16-bit weights; measured: 640 columns take as much as 1,024)."""


def runs_by_hand(shape: Shape, context: int) -> bool:
    """Whether the host's hand-written pass runs such a model (workers/host/taking_apart.py decides it once loaded)."""
    window = shape.sliding_window if shape.architecture.startswith("Mistral") else None
    return shape.architecture in BY_HAND and not (window and context > window)


BY_HAND = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


NOT_LINEAR = ("GPT2", "Falcon")
"""Families whose layers are of a class of their own, so that the host cannot pack them."""
_SIXTEEN_BIT = ("weights in F16", "weights in BF16")


@lru_cache(maxsize=1)
def computes_bfloat16_here() -> bool:
    """Whether this machine's CPU has bfloat16 instructions; asked once."""
    return computes_bfloat16()
