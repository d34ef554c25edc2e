"""Which recipes can work at all, and on layers of which sizes. Pure; each refusal says what to choose instead."""

from __future__ import annotations

from dataclasses import dataclass

from tui.catalog.build import Recipe
from tui.errors import RecipeError

METHODS = ("gptq", "awq", "rtn")
BITS = (2, 3, 4, 8)
GROUP_SIZES = (128, 64, 32, -1)
ROUTES = ("auto", "gptqmodel", "optimum")
WORD = 32
"""Both sides of a weight are packed into 32-bit words."""


@dataclass(frozen=True, slots=True)
class Linear:
    """One weight that will be quantized. ``layer`` counts from 0, ``module`` is its name inside the layer."""

    name: str
    layer: int
    module: str
    in_features: int
    out_features: int


def check_recipe(recipe: Recipe, device: str) -> None:
    """Raise ``RecipeError`` for values that no model could be quantized with on ``device``."""
    if recipe.method not in METHODS:
        raise RecipeError(
            f"{recipe.method} is not a method that Heft quantizes with", f"use one of {', '.join(METHODS)}"
        )
    if recipe.bits not in BITS:
        raise RecipeError(f"{recipe.bits} bits are not possible with {recipe.method.upper()}", "choose 2, 3, 4 or 8")
    if recipe.method == "awq" and recipe.bits != 4:
        raise RecipeError(f"AWQ checkpoints have 4 bits, not {recipe.bits}", "choose 4 bits, or use gptq")
    if recipe.method == "awq" and recipe.group_size == -1:
        raise RecipeError("AWQ with one group per row has no kernel here", "use group size 128")
    if recipe.method != "gptq" and recipe.desc_act:
        raise RecipeError(f"{recipe.method.upper()} knows no activation order", "leave desc_act off, or use gptq")
    if recipe.method != "gptq" and recipe.route == "optimum":
        raise RecipeError("optimum quantizes with GPTQ alone", "leave the route to Heft")
    if recipe.group_size not in GROUP_SIZES:
        raise RecipeError(
            f"a group size of {recipe.group_size} is not possible", "choose 32, 64, 128 or -1 (one group)"
        )
    if recipe.group_size == -1 and recipe.bits == 4 and device == "cpu":
        raise RecipeError(
            "4 bits with one group per row cannot run on a CPU: its 4-bit kernel wants groups of 32, 64 or 128",
            "use group size 128",
        )
    if recipe.route not in ROUTES:
        raise RecipeError(f"{recipe.route!r} is not a route", f"choose one of {', '.join(ROUTES)}")
    if not 0 < recipe.damp_percent < 1:
        raise RecipeError(f"damp_percent {recipe.damp_percent} is not between 0 and 1", "0.05 is usual")
    if recipe.samples < 1 or recipe.sample_length < 32:
        raise RecipeError(
            f"{recipe.samples} calibration samples of {recipe.sample_length} tokens are too few",
            "use at least 1 sample of 32 tokens; 128 of 512 are usual",
        )


def check_dimensions(linears: tuple[Linear, ...], recipe: Recipe) -> None:
    """Raise ``RecipeError`` that names the first layer whose sides do not fit groups and 32-bit words."""
    for linear in linears:
        for side, size in (("input", linear.in_features), ("output", linear.out_features)):
            if size % WORD:
                raise RecipeError(
                    f"{linear.name} has {size} {side} features, which is not a multiple of {WORD}",
                    "no GPTQ kernel can hold this layer; choose another model",
                )
    if recipe.group_size < 0:
        return
    bad = next((linear for linear in linears if linear.in_features % recipe.group_size), None)
    if bad is None:
        return
    smaller = [
        size
        for size in GROUP_SIZES
        if 0 < size < recipe.group_size and all(linear.in_features % size == 0 for linear in linears)
    ]
    raise RecipeError(
        f"{bad.name} has {bad.in_features} input features, which groups of {recipe.group_size} do not divide",
        f"use group size {smaller[0]}" if smaller else "use group size -1 with 8 bits",
    )
