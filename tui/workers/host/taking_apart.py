"""From a transformers model to the parts of ``llama_like``: which models these are, and the taking of their weights.

The list of families is short because each is known whole; and the first layer is run both ways before anything is
taken, so that a version of the libraries that computes otherwise leaves the model as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tui.fit.light_config import FAMILIES
from tui.workers.host.compiled.products import Product
from tui.workers.host.light_model import is_light
from tui.workers.host.linears import is_plain, linear_of
from tui.workers.host.llama_like import Layer, LlamaLike, Shape

_ROTATIONS = ("default", "linear", "llama3", "yarn")
"""Ways to rotate whose angles do not change with the length of the text."""

CLOSE = 1e-3
"""Largest difference between the two ways, as a share of the largest value."""


def can_take_apart(model: Any, context: int) -> bool:
    """Whether ``model`` is of a family that is known, and keeps all of ``context`` tokens in sight."""
    if is_light(model):
        return keeps_all_in_sight(model.config, context)
    blocks = getattr(getattr(model, "model", None), "layers", None)
    if not keeps_all_in_sight(model.config, context) or not blocks:
        return False
    try:
        return _agrees(model)
    except Exception:  # whatever a strange layer raises, it is run as transformers runs it
        return False


def keeps_all_in_sight(config: Any, context: int) -> bool:
    """Whether ``config`` is of a known family, sees all of ``context`` tokens, and rotates them in a known way."""
    text = config.get_text_config(decoder=True)
    if config.model_type not in FAMILIES or text is not config:
        return False
    kinds = set(getattr(text, "layer_types", None) or ["full_attention"])
    window = getattr(text, "sliding_window", None)
    if kinds != {"full_attention"} and not (window and context <= window):
        return False
    if config.model_type == "mistral" and window and context > window:
        return False
    rotation = (getattr(text, "rope_parameters", None) or {}).get("rope_type", "default")
    return rotation in _ROTATIONS


def take_apart(model: Any, kind: str, halted: Callable[[], bool], report: Callable[[int, int], None]) -> LlamaLike:
    """The model in parts, its products of the kind ``kind``; ``model`` is empty afterwards, as far as it was taken.

    Goes layer by layer, so a 16-bit checkpoint never stands in memory as a whole in 32 bits. ``report`` is told how
    many bytes of how many are done.
    """
    inner = model.model
    taken = frame(model, kind)
    total, done = bytes_of(inner.layers) + bytes_of(model.lm_head), 0
    for block in inner.layers:
        if halted():
            break
        size = bytes_of(block)
        taken.layers.append(layer_of(block, kind, taken.dtype))
        let_go(block)
        done += size
        report(done, total)
    taken.final_norm = inner.norm.weight.detach().to(taken.dtype)
    shared = model.lm_head.weight is inner.embed_tokens.weight
    taken.head = linear_of([model.lm_head], kind, shared=shared)
    taken.embedding = inner.embed_tokens.weight.detach()
    if shared and isinstance(taken.head, Product) and taken.head.weight is not None:
        taken.embedding = taken.head.weight  # one copy is enough
    taken.config, taken.generation_config = model.config, getattr(model, "generation_config", None)
    report(total, total)
    return taken


def frame(model: Any, kind: str) -> LlamaLike:
    """The shape of ``model`` without any weights, for products of the kind ``kind``."""
    import torch

    text = model.config
    head_size = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    first = model.model.layers[0]
    shape = Shape(
        hidden=text.hidden_size,
        heads=text.num_attention_heads,
        key_heads=text.num_key_value_heads,
        head_size=head_size,
        epsilon=text.rms_norm_eps,
        scale=float(first.self_attn.scaling),
    )
    dtype = {"own": model.dtype, "bfloat16": torch.bfloat16}.get(kind, torch.float32)
    return LlamaLike(shape, dtype, model.device, model.model.rotary_emb)


def layer_of(block: Any, kind: str, dtype: Any) -> Layer:
    """One block of transformers in parts."""
    attention, mlp = block.self_attn, block.mlp
    head_norms = None
    if getattr(attention, "q_norm", None) is not None:
        head_norms = (attention.q_norm.weight.detach().to(dtype), attention.k_norm.weight.detach().to(dtype))
    return Layer(
        first_norm=block.input_layernorm.weight.detach().to(dtype),
        second_norm=block.post_attention_layernorm.weight.detach().to(dtype),
        head_norms=head_norms,
        attend=linear_of([attention.q_proj, attention.k_proj, attention.v_proj], kind),
        attended=linear_of([attention.o_proj], kind),
        widen=linear_of([mlp.gate_proj, mlp.up_proj], kind),
        narrow=linear_of([mlp.down_proj], kind),
        activate=mlp.act_fn,
    )


def _agrees(model: Any) -> bool:
    """Whether the first layer gives the same both ways, for a few tokens at once and one by one.

    On a CPU in float32, whatever the weights are stored in.
    """
    from copy import deepcopy

    import torch

    block, kind = model.model.layers[0], "own"
    if model.device.type == "cpu" and is_plain(block.mlp.down_proj):
        block, kind = deepcopy(block).float(), "float32"
    ours = frame(model, kind)
    ours.layers.append(layer_of(block, kind, ours.dtype))
    shape, tokens = ours.shape, 5
    noise = torch.randn(tokens, shape.hidden, generator=torch.Generator().manual_seed(0))
    rows = noise.to(model.device, ours.dtype)
    places = torch.arange(tokens, device=model.device)[None]
    with torch.inference_mode():
        angles = model.model.rotary_emb(rows[None], places)
        theirs = block(rows[None].clone(), attention_mask=None, position_ids=places, position_embeddings=angles)
        theirs = (theirs[0] if isinstance(theirs, tuple) else theirs)[0]
        together, single = _both(ours, rows)
    largest = theirs.abs().max()
    loose = CLOSE if ours.dtype is torch.float32 else 0.05
    return all(bool((way - theirs).abs().max() <= loose * largest) for way in (together, single))


def _both(ours: LlamaLike, rows: Any) -> tuple[Any, Any]:
    import torch

    results = []
    for pieces in ([rows], rows.split(1)):
        cache, found = ours.new_cache(), []
        for piece in pieces:
            start, count = len(cache.ids), len(piece)
            cache.make_room(start + count)
            found.append(ours.through(piece.clone(), cache, lambda: None))
            cache.ids += [0] * count
        results.append(torch.cat(found))
    return results[0], results[1]


def bytes_of(module: Any) -> int:
    """Bytes of the parameters of ``module``."""
    return sum(each.numel() * each.element_size() for each in module.parameters())


def let_go(block: Any) -> None:
    """Free the plain weights of ``block``, which have been taken."""
    import torch

    for module in block.modules():
        if is_plain(module):
            module.weight = torch.nn.Parameter(torch.empty(0), requires_grad=False)
            module.bias = None
