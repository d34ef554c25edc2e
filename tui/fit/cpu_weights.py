"""What weights take in the RAM of a machine that computes on its CPU.

The host computes in float32 and keeps the linear layers of a 16-bit model packed in 16 bits (workers/host/linears.py).
Norms, experts and the cache become 32-bit, and so do embeddings, but for the families that the hand-written pass runs:
it widens the rows that it looks up. An output layer that shares the embedding gets a packed copy of its own. FBGEMM
packs columns in blocks of 512; where there is a C compiler, the host computes in compiled products instead
(workers/host/cpu_path.py), which keep bfloat16 in 12 bits and float32 in 28 (workers/host/compiled/packing.py), as the
values of trained and of random weights allow. A CPU that is twice as fast in float32 takes more than this.
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
    if precision.kind == "flat":
        return weights.total
    if precision.value_bytes == 4:
        return _wide(weights, shape) if precision.bits == 32 else weights.total
    if precision.is_quantized:
        widened = sum(size for name, size in weights.parts if name.startswith(KEPT) or name in _SIXTEEN_BIT)
        return weights.total + widened
    embedding = None if shape is None else embedding_params(shape)
    if shape is None or embedding is None:
        return weights.total
    dtype = precision.label
    head = _kept(2 * embedding, shape.hidden_size, dtype)
    if not _is_packed(shape):
        return 2 * weights.total + head  # all in 32 bit; the output layer packed besides
    stored = 2 * embedding * (2 if weights.head_apart else 1)
    kept = 2 * embedding if runs_by_hand(shape, context) else 4 * embedding
    return _packed(shape, weights.total - weights.unpacked - stored, dtype) + 2 * weights.unpacked + kept + head


def _wide(weights: WeightBytes, shape: Shape | None) -> int:
    """Bytes of a model that is stored in 32 bits: what an embedding shares with the output layer stays as it is."""
    embedding = None if shape is None else embedding_params(shape)
    if shape is None or embedding is None or not has_compiler() or not _is_packed(shape):
        return weights.total
    layers = weights.total - weights.unpacked - 4 * embedding * (2 if weights.head_apart else 1)
    head = 4 * embedding - _kept(4 * embedding, shape.hidden_size, "float32") if weights.head_apart else 0
    return weights.total - (layers - _packed(shape, layers, "float32")) - head


def _is_packed(shape: Shape) -> bool:
    """Whether the host can pack the layers of such a model; those of GPT-2 lie the other way round."""
    return not shape.architecture.startswith("Falcon" if has_compiler() else ("Falcon", "GPT2"))


def _packed(shape: Shape, size: int, dtype: str) -> int:
    """Bytes of layers that are stored in ``size`` bytes of ``dtype``, once they are packed."""
    wide = 4 if dtype == "float32" else 2
    narrowing = wide * (shape.layers or 0) * (shape.hidden_size or 0) * (shape.intermediate_size or 0)
    narrowing = min(narrowing, size)
    return _kept(size - narrowing, shape.hidden_size, dtype) + _kept(narrowing, shape.intermediate_size, dtype)


def _kept(size: int, columns: int | None, dtype: str) -> int:
    """Bytes of matrices of ``columns`` and ``size`` bytes of ``dtype`` as the host keeps them."""
    if not columns:
        return size
    if has_compiler():
        bits, of = COMPILED_BITS.get(dtype, (1, 1))
        return size * bits // of if columns % COMPILED_BLOCK == 0 else size
    return size * (-(-columns // BLOCK) * BLOCK) // columns


@lru_cache(maxsize=1)
def has_compiler() -> bool:
    """Whether the host finds a C compiler on this machine; asked once."""
    return any(shutil.which(name) for name in ("cc", "gcc", "clang"))


COMPILED_BITS = {"bfloat16": (12, 16), "float32": (28, 32)}
"""Bits that the compiled products keep of how many, by what is stored."""
COMPILED_BLOCK = 64
"""Columns that they pack together; other matrices stay as they are stored."""
BLOCK = 512
"""Columns that FBGEMM packs together (its kernels for 16-bit weights; measured: 640 columns take as much as 1,024)."""


def runs_by_hand(shape: Shape, context: int) -> bool:
    """Whether the host's hand-written pass runs such a model (workers/host/taking_apart.py decides it once loaded)."""
    window = shape.sliding_window if shape.architecture.startswith("Mistral") else None
    return shape.architecture in BY_HAND and not (window and context > window)


BY_HAND = ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


_SIXTEEN_BIT = ("weights in F16", "weights in BF16")


@lru_cache(maxsize=1)
def computes_bfloat16_here() -> bool:
    """Whether this machine's CPU has bfloat16 instructions; asked once."""
    return computes_bfloat16()
