"""Which parameters of a model sit in linear layers of its blocks, and which do not.

Quantizers touch the former alone; embeddings, the output layer, norms and biases stay 16-bit, which for a small model
with a large vocabulary is most of it. The catalog holds exact totals but seldom the width of the feed-forward part, so
that width is solved for: only one of "tied" and "untied" embeddings makes it a round number.
"""

from __future__ import annotations

from dataclasses import dataclass

from tui.catalog.model import Model, Shape
from tui.catalog.tensors import Tensors

_TIED = (
    *(
        "GPT2LM",
        "OPTFor",
        "BloomFor",
        "MptFor",
        "FalconFor",
        "GPTNeoFor",
        "GPTBigCodeFor",
        "XGLMFor",
        "Gemma",
        "Cohere",
    ),
    *("Lfm2For", "GraniteMoeHybridFor", "M2M100For", "MarianMT", "WhisperFor", "NllbMoeFor"),
)
"""Beginnings of the names of architectures whose output layer is their input embedding in every published size."""


@dataclass(frozen=True, slots=True)
class _Family:
    """What besides the dimensions decides the count of a block: norms per block, query/key/value biases, norms of
    queries and keys ("head": per head, "full": over all heads)."""

    norms: int = 2
    qkv_bias: bool = False
    qk_norm: str = ""
    final_norm: bool = True


_GATED = {
    "LlamaForCausalLM": _Family(),
    "MistralForCausalLM": _Family(),
    "Phi3ForCausalLM": _Family(),
    "SmolLM3ForCausalLM": _Family(),
    "GraniteForCausalLM": _Family(),
    "GemmaForCausalLM": _Family(),
    "Gemma2ForCausalLM": _Family(norms=4),
    "Gemma3ForCausalLM": _Family(norms=4, qk_norm="head"),
    "Qwen2ForCausalLM": _Family(qkv_bias=True),
    "Qwen3ForCausalLM": _Family(qk_norm="head"),
    "OlmoForCausalLM": _Family(norms=0, final_norm=False),
    "Olmo2ForCausalLM": _Family(qk_norm="full"),
    "Olmo3ForCausalLM": _Family(qk_norm="full"),
    "CohereForCausalLM": _Family(norms=1),
}
"""Families with three matrices in the feed-forward part, whose counts are exact (transformers' modelling files)."""


@dataclass(frozen=True, slots=True)
class Parameters:
    """The split of a count. ``linear`` parameters sit in linear layers of the blocks, ``kept`` ones do not.
    ``inputs`` and ``outputs`` are the sums over those layers of their input and output widths; ``largest_input`` is
    the widest input, ``largest_linear`` the count of the largest layer; ``tied``: the output layer is the embedding;
    ``exact``: the dimensions explain the count to the last parameter."""

    linear: int
    kept: int
    inputs: int
    outputs: int
    largest_input: int
    largest_linear: int
    tied: bool
    exact: bool

    @property
    def total(self) -> int:
        """All parameters, tied ones counted once."""
        return self.linear + self.kept


def split_parameters(model: Model) -> Parameters | None:
    """Split the count of ``model``: read off its tensors where those are known, else solved for; None where the count
    or the dimensions are unknown."""
    if model.tensors is not None and model.tensors.linear:
        return _from_tensors(model.tensors)
    shape, total = model.shape, model.params
    if total is None or shape.hidden_size is None or shape.vocab_size is None or shape.layers is None:
        return None
    solved = _solve(shape, total)
    if solved is not None:
        return solved
    embedding = shape.vocab_size * shape.hidden_size
    tied = shape.tied_embeddings
    if tied is None:
        tied = shape.architecture.startswith(_TIED)
    kept = min(total, embedding * (1 if tied else 2))
    return _from_linear(shape, total - kept, kept, tied)


def _from_tensors(tensors: Tensors) -> Parameters:
    return Parameters(
        linear=tensors.linear,
        kept=tensors.params - tensors.linear,
        inputs=tensors.inputs,
        outputs=tensors.outputs,
        largest_input=tensors.largest_input,
        largest_linear=tensors.largest_linear,
        tied=not tensors.head_apart,
        exact=True,
    )


def embedding_params(shape: Shape) -> int | None:
    """Parameters of the input embedding; None where the dimensions are unknown."""
    return shape.vocab_size * shape.hidden_size if shape.vocab_size and shape.hidden_size else None


def _attention(shape: Shape) -> tuple[int, int] | None:
    """Widths of all query heads and of all key heads together."""
    if not shape.attention_heads or not shape.hidden_size:
        return None
    head = shape.head_dim or shape.hidden_size // shape.attention_heads
    return shape.attention_heads * head, (shape.kv_heads or shape.attention_heads) * head


def _solve(shape: Shape, total: int) -> Parameters | None:
    family, widths = _GATED.get(shape.architecture), _attention(shape)
    if family is None or widths is None or not shape.hidden_size or not shape.vocab_size or not shape.layers:
        return None
    hidden, (queries, keys) = shape.hidden_size, widths
    head = shape.head_dim or hidden // (shape.attention_heads or 1)
    attention = hidden * (queries + 2 * keys) + queries * hidden
    extras = family.norms * hidden
    extras += queries + 2 * keys if family.qkv_bias else 0
    extras += {"head": 2 * head, "full": queries + keys, "": 0}[family.qk_norm]
    best: tuple[int, bool, int] | None = None
    for tied in (True, False) if shape.tied_embeddings is None else (shape.tied_embeddings,):
        outside = shape.vocab_size * hidden * (1 if tied else 2) + (hidden if family.final_norm else 0)
        left = total - outside - shape.layers * (attention + extras)
        width, odd = divmod(left, shape.layers * 3 * hidden)
        if odd == 0 and width > 0 and width % 16 == 0 and (shape.intermediate_size in (None, width)):
            roundness = width & -width
            if best is None or roundness > best[0]:
                best = (roundness, tied, width)
    if best is None:
        return None
    width = best[2]
    linear = shape.layers * (attention + 3 * hidden * width)
    return Parameters(
        linear=linear,
        kept=total - linear,
        inputs=shape.layers * (3 * hidden + queries + 2 * hidden + width),
        outputs=shape.layers * (queries + 2 * keys + hidden + 2 * width + hidden),
        largest_input=max(hidden, queries, width),
        largest_linear=hidden * max(queries, width),
        tied=best[1],
        exact=True,
    )


def _from_linear(shape: Shape, linear: int, kept: int, tied: bool) -> Parameters:
    """Widths of a model whose blocks are not known exactly: the usual four attention matrices, and a feed-forward part
    of two matrices (four times as wide as the model unless the shape says) around what is left."""
    hidden, layers = shape.hidden_size or 1, shape.layers or 1
    queries, keys = _attention(shape) or (hidden, hidden)
    attention = hidden * (queries + 2 * keys) + queries * hidden
    across = max(0, linear // layers - attention)
    matrices = 2 if shape.intermediate_size is None else max(2, round(across / (hidden * shape.intermediate_size)))
    width = across // (matrices * hidden)
    return Parameters(
        linear=linear,
        kept=kept,
        inputs=layers * (3 * hidden + queries + (matrices - 1) * hidden + width),
        outputs=layers * (queries + 2 * keys + hidden + (matrices - 1) * width + hidden),
        largest_input=max(hidden, queries, shape.intermediate_size or min(width, 4 * hidden)),
        largest_linear=hidden * max(queries, shape.intermediate_size or min(width, 4 * hidden)),
        tied=tied,
        exact=False,
    )
