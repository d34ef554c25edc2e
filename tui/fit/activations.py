"""What a forward pass keeps besides weights and cache, in the RAM of a machine that computes on its CPU.

A host reads a prompt in chunks, so it is one chunk's worth however long the prompt is; only an attention that is
computed as a whole matrix grows with the context too.
"""

from __future__ import annotations

from tui.catalog.model import Shape

CHUNK = 512
"""Tokens that a host reads in one pass on a CPU (workers/host/decoding.py)."""
WHOLE_MATRIX = ("Gemma2For",)
"""Families whose attention scores transformers computes as a whole matrix, because they are capped."""
_HIDDEN, _INNER, _MATRICES = 8, 4, 2
"""Vectors of the model's and of the feed-forward part's width, and matrices of scores, that are alive at once (set from
peaks: tests/benchmarks/fit_measured.py)."""
_HEAP_MATRICES, _HEAP_MOST = 6, 120_000_000
"""What the C library keeps besides: matrices of less than 32 MB come from its heap, which grows with holes (as much at
1,024 tokens of context as at 2,048; a host gives it back once the prompt is read)."""


def activations(shape: Shape | None, context: int, batch: int, value_bytes: int) -> int:
    """Bytes of the activations of one chunk; 0 where the widths are not known."""
    if shape is None or not shape.hidden_size:
        return 0
    tokens = min(context, CHUNK) * batch
    inner = shape.intermediate_size or 4 * shape.hidden_size
    size = tokens * value_bytes * (_HIDDEN * shape.hidden_size + _INNER * inner)
    if shape.architecture.startswith(WHOLE_MATRIX):
        scores = tokens * context * (shape.attention_heads or 1) * 4
        size += _MATRICES * scores + min(_HEAP_MATRICES * scores, _HEAP_MOST)
    return size
