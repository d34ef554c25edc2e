"""Bytes that a conversation keeps: the KV cache, layer kind by layer kind.

A full-attention layer keeps keys and values of every token, a sliding one of the last window only, a recurrent, linear
or convolution one a constant state, and a decoder with an encoder beside it also those of the encoder's output.
transformers keeps the compressed form of multi-head latent attention (modeling_deepseek_v3.py: the cache is written
"while latent KV is still compressed"), so that is what is counted.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tui.catalog.model import Model, Shape

GENERATING_KINDS = frozenset(("text", "chat", "code", "multimodal", "translation", "speech", "audio"))
"""Kinds of models that write token after token; the others look once and keep nothing."""

_SLIDING: dict[str, Callable[[int], int]] = {
    "MistralForCausalLM": lambda layers: layers,
    "MixtralForCausalLM": lambda layers: layers,
    "Phi3ForCausalLM": lambda layers: layers,
    "Starcoder2ForCausalLM": lambda layers: layers,
    "Gemma2ForCausalLM": lambda layers: (layers + 1) // 2,
    "Gemma3ForCausalLM": lambda layers: layers - layers // 6,
    "Gemma3ForConditionalGeneration": lambda layers: layers - layers // 6,
    "Gemma4ForConditionalGeneration": lambda layers: layers - layers // 6 - (1 if layers % 6 else 0),
    "GptOssForCausalLM": lambda layers: (layers + 1) // 2,
    "Olmo3ForCausalLM": lambda layers: layers - layers // 4,
    "Cohere2ForCausalLM": lambda layers: layers - layers // 4,
}
"""How many of so many layers slide where the catalog does not say (the defaults in transformers' configuration files).
Architectures that are not here keep everything, GPT-Neo too: its local layers mask, but transformers stores all."""

_ENCODER_DECODER = ("ConditionalGeneration", "MTModel")
_DECODER_ONLY = ("Gemma3For", "Gemma4For", "Qwen3_5For", "Mistral3For", "MoshiFor")
"""Multimodal decoders whose class name ends like that of an encoder-decoder."""
_WHISPER_FRAMES = 1500


@dataclass(frozen=True, slots=True)
class KvCache:
    """Bytes, kind by kind; ``known`` False means that the dimensions are missing."""

    full: int = 0
    sliding: int = 0
    cross: int = 0
    state: int = 0
    known: bool = True
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> int:
        """All of it in bytes."""
        return self.full + self.sliding + self.cross + self.state

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """The terms that are not zero, by name."""
        terms = (
            ("cache of full layers", self.full),
            ("cache of sliding layers", self.sliding),
            ("cache of the encoder's output", self.cross),
            ("recurrent state", self.state),
        )
        return tuple(term for term in terms if term[1])


def generates(model: Model) -> bool:
    """Whether ``model`` writes token after token and so keeps a cache."""
    return model.kind in GENERATING_KINDS


USUAL_CACHE = 50_000
"""Bytes per token of the 16-bit cache of a model of a billion parameters; it grows with their square root: 23 kB for
SmolLM2 135M, 32 kB for Llama 3.2 1B, 131 kB for Llama 3.1 8B, 328 kB for the 70B; older models without grouped heads
keep three times as much."""


def cache_is_known(shape: Shape) -> bool:
    """Whether the dimensions tell how much a model keeps."""
    layers = shape.layers if shape.kv_layers is None else shape.kv_layers
    return layers == 0 or shape.kv_bytes_per_token is not None or (layers is not None and _width(shape) is not None)


def usual_cache(params: int) -> int:
    """What models of so many parameters usually keep for one token in 16 bit, in bytes: a guess, to be told as one."""
    return round(USUAL_CACHE * math.sqrt(params / 1e9))


def kv_cache(shape: Shape, context: int, batch: int = 1, value_bytes: int = 2) -> KvCache:
    """The cache of ``batch`` sequences of ``context`` tokens, ``value_bytes`` for each number."""
    layers = shape.layers if shape.kv_layers is None else shape.kv_layers
    state = batch * (shape.state_bytes or 0)
    if layers == 0:
        return KvCache(state=state)
    width = _width(shape)
    if layers is None or width is None:
        if shape.kv_bytes_per_token is None:
            return KvCache(known=False)
        return KvCache(full=shape.kv_bytes_per_token * value_bytes // 2 * context * batch, state=state)
    full_width = shape.kv_width or width
    window = shape.sliding_window or 0
    sliding = min(layers, _sliding_layers(shape, layers)) if window else 0
    notes = []
    if window and shape.sliding_layers is None and shape.architecture not in _SLIDING:
        notes.append("its sliding window is not counted: every layer is taken to keep all tokens")
    elif sliding:
        notes.append(f"{sliding} of {layers} layers keep the last {window:,} tokens only")
    crossing, cross_tokens = _cross(shape, layers, context)
    return KvCache(
        full=full_width * value_bytes * (layers - sliding) * context * batch,
        sliding=width * value_bytes * sliding * min(context, window) * batch,
        cross=width * value_bytes * crossing * cross_tokens * batch,
        state=state,
        notes=tuple(notes),
    )


def _width(shape: Shape) -> int | None:
    """Numbers that one layer keeps for one token."""
    heads = shape.kv_heads or shape.attention_heads
    head = shape.head_dim
    if head is None and shape.hidden_size and shape.attention_heads:
        head = shape.hidden_size // shape.attention_heads
    return 2 * heads * head if heads and head else shape.kv_width


def _sliding_layers(shape: Shape, layers: int) -> int:
    if shape.sliding_layers is not None:
        return shape.sliding_layers
    count = _SLIDING.get(shape.architecture)
    return count(layers) if count else 0


def _cross(shape: Shape, layers: int, context: int) -> tuple[int, int]:
    """Layers that look at an encoder's output, and how long that is: as the source of a translation, as the target."""
    if shape.cross_layers is not None:
        return shape.cross_layers, shape.cross_tokens or context
    name = shape.architecture
    if not name.endswith(_ENCODER_DECODER) or name.startswith(_DECODER_ONLY):
        return 0, 0
    return layers, _WHISPER_FRAMES if name.startswith("Whisper") else context
