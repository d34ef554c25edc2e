"""GPTQ groups as blocks of llama.cpp: 32 neighbours of a row with their scale (ggml-common.h: block_q4_0, q4_1, q8_0).

A group of 128 becomes four blocks with the same scale; 2 and 3 bits are a part of what 4 can say. Nothing is rounded
for symmetric weights; an asymmetric block keeps ``-scale * zero`` as one float16, which is rounded.
"""

from __future__ import annotations

import numpy as np

from tui.errors import RecipeError
from tui.workers.export.checkpoint import Array, Packed

BLOCK = 32
_MIDDLE = {"Q4_0": 8, "Q8_0": 128}


def blocks(packed: Packed, kind: str, bits: int) -> Array:
    """The bytes of every row, uint8 [outputs, bytes of a row]; raises ``RecipeError`` where ``kind`` cannot hold
    weights of so many ``bits``."""
    outputs, inputs = packed.q.shape
    if inputs % BLOCK or packed.group % BLOCK:
        raise RecipeError(
            f"a row of {inputs} weights in groups of {packed.group} is no row of blocks", "choose another model"
        )
    middle = 1 << (bits - 1)
    if kind in _MIDDLE and not (packed.zeros == middle).all():
        raise RecipeError(
            "its zero points are not in the middle, though it calls itself symmetric", "export the original"
        )
    many = packed.group // BLOCK
    q: Array = packed.q.reshape(outputs, -1, BLOCK)
    if kind in _MIDDLE and middle != _MIDDLE[kind]:
        q = q + np.uint8(_MIDDLE[kind] - middle)
    parts = [np.repeat(packed.scales, many, axis=1)]
    if kind == "Q4_1":
        least = -(packed.scales.astype(np.float32) * packed.zeros.astype(np.float32))
        parts.append(np.repeat(least.astype(np.float16), many, axis=1))
    # a byte less 128 in two's complement is the byte with its highest bit turned over
    weights = q ^ 0x80 if kind == "Q8_0" else q[..., : BLOCK // 2] | (q[..., BLOCK // 2 :] << 4)
    heads = [np.ascontiguousarray(part)[..., None].view(np.uint8) for part in parts]
    return np.asarray(np.concatenate([*heads, weights], axis=-1).reshape(outputs, -1))
