"""Keeps AWQ from changing what a model computes: only scalings that cancel out are let through.

AWQ divides what comes before a group of matrices by a scale and multiplies the matrices with it. That leaves the model
as it was only where nothing else reads what was divided, and where all between the two is linear. GPTQModel 7.6 takes
the norm or matrix that its definition of the family names last, which for some families is another norm (OPT, Gemma 2
and 3), one that the router of a mixture reads too, or one that stores its weight less one. A group without a scaling is
rounded as it is.
"""

from __future__ import annotations

from typing import Any

_BEHIND_NORM = {
    "input_layernorm": {"q_proj", "k_proj", "v_proj"},
    "post_attention_layernorm": {"gate_proj", "up_proj"},
}
_BEHIND_MATRIX = {"v_proj": "o_proj", "up_proj": "down_proj"}
"""Attention is linear in its values, and a gated layer in what it does not gate."""


def only_sound_scalings(model: Any) -> None:
    """Let ``model`` (a GPTQModel) propose for each layer the scalings alone that leave what it computes as it is."""
    original = model.awq_get_modules_for_scaling

    def proposed(module: Any, input_feat: Any, module_kwargs: Any) -> list[dict[str, Any]]:
        return [node for node in original(module, input_feat, module_kwargs) if is_sound(module, node)]

    model.awq_get_modules_for_scaling = proposed


def is_sound(layer: Any, node: dict[str, Any]) -> bool:
    """Whether the scaling ``node`` of GPTQModel (``prev_op`` is divided, ``layers`` are multiplied) cancels out in the
    decoder layer ``layer``."""
    names = {module: name for name, module in layer.named_modules()}
    before = names.get(node["prev_op"], "")
    behind = [names.get(module, "") for module in node["layers"]]
    leaves = {name.rpartition(".")[2] for name in behind}
    if before in _BEHIND_NORM:
        return leaves == _BEHIND_NORM[before] and _reads_alone(layer, before) and not _is_less_one(node["prev_op"])
    place, _, leaf = before.rpartition(".")
    matrix = _BEHIND_MATRIX.get(leaf)
    # expert by expert: the names before the last dot are the same
    return matrix is not None and behind == [f"{place}.{matrix}"] and not hasattr(layer, "v_norm")


def _reads_alone(layer: Any, norm: str) -> bool:
    """Whether the matrices behind ``norm`` are all that reads it: no second branch beside attention, no router beside
    the experts, no norm of its own before the feed-forward part."""
    if getattr(layer, "post_attention_layernorm", None) is None:
        return False
    if norm == "input_layernorm":
        return True
    routed = any(".experts." in name for name, _ in layer.named_modules())
    # OLMo 2 has its norms behind attention and behind the feed-forward part, Gemma 2 and 3 on both sides
    elsewhere = any(hasattr(layer, name) for name in ("pre_feedforward_layernorm", "post_feedforward_layernorm"))
    return not routed and not elsewhere


def _is_less_one(norm: Any) -> bool:
    """Whether ``norm`` multiplies with one more than its weight, which GPTQModel allows for in the first two Gemmas."""
    import torch

    if type(norm).__name__ in ("GemmaRMSNorm", "Gemma2RMSNorm"):
        return False
    kept = norm.weight.data
    try:
        norm.weight.data = torch.zeros_like(kept)
        answer = norm(torch.ones(1, 1, kept.shape[0], dtype=kept.dtype, device=kept.device))
    finally:
        norm.weight.data = kept
    bias = getattr(norm, "bias", None)
    return bool((answer - (0 if bias is None else bias)).abs().max() > 0)
