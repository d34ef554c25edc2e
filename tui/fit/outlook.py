"""What a recipe would take on a model: size, memory, time, and whether it can work, before anything starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Model
from tui.fit.parameters import split_parameters
from tui.fit.quantize_estimate import quantize_estimate

_FILES_BESIDE = ("tokenizer and config",)


@dataclass(frozen=True, slots=True)
class Outlook:
    """``size`` of the build and ``memory`` of the job in bytes, ``seconds`` of it; None where they are not known.
    ``problem`` says why the recipe cannot work, empty when nothing speaks against it."""

    size: int | None
    memory: int | None
    seconds: float | None
    problem: str = ""


def outlook(model: Model, recipe: Recipe, source: Build | None, builds: Iterable[Build], device: str) -> Outlook:
    """Estimate ``recipe`` on ``model``; the time comes from what the ``builds`` made on this device took."""
    estimate = quantize_estimate(model, recipe, source)
    memory = estimate.memory if device == "cuda" else estimate.ram
    weights = sum(size for name, size in estimate.disk_terms if name not in _FILES_BESIDE) or estimate.disk
    return Outlook(weights, memory, _seconds(model, recipe, builds, device))


def work_of(linear: int, widest: int, recipe: Recipe) -> float:
    """How much a recipe has to do on ``linear`` weights, in multiplications up to a constant that the machine decides.

    GPTQ reads the calibration text about six times per layer (once per group of matrices, and once for the next layer)
    and collects the Hessian, both in proportion to weights times tokens; rounding column by column is in proportion to
    weights times the width of the input. Rounding to nearest touches each weight once.
    """
    if recipe.method == "rtn":
        return linear * 64.0
    return linear * (12.0 * recipe.samples * recipe.sample_length + 2.0 * widest)


def _seconds(model: Model, recipe: Recipe, builds: Iterable[Build], device: str) -> float | None:
    split = split_parameters(model)
    if split is None:
        return None
    done = []
    for build in builds:
        facts = build.provenance
        phases, work = facts.get("phases"), facts.get("work")
        alike = build.recipe is not None and build.recipe.method == recipe.method and facts.get("device") == device
        if alike and isinstance(phases, dict) and isinstance(work, int | float) and work > 0:
            layers = float(phases.get("layers") or 0)
            rest = float(facts.get("seconds") or 0) - layers
            done.append((str(build.created), layers / work, rest))
    if not done:
        return None
    _, pace, rest = max(done)
    return pace * work_of(split.linear, split.largest_input, recipe) + rest
