"""The lines of the recipe form, and the recipe that they stand for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tui.catalog.build import Recipe
from tui.catalog.calibration_names import BUILT_IN, HUB_TEXTS
from tui.catalog.recipes import NamedRecipe
from tui.fit.gguf_fit import GgufFile
from tui.quantities import bytes_text
from tui.ui.lines.fit_lines import GLYPHS
from tui.ui.widgets.choices import Choice, Choices

FORM = (
    *("method", "bits", "group_size", "desc_act", "sym", "act_group_aware", "damp_percent"),
    *("samples", "sample_length", "route"),
)
"""The parts of a recipe that have a line of their own, shown for a custom one."""
_TITLES = {"balanced": "4-bit GPTQ", "careful": "8-bit GPTQ"}
_FILE = "file"


def choices_for(recipes: Sequence[NamedRecipe], *, from_build: bool) -> list[Choice]:
    """The lines of the form; a build on this disk can only be quantized."""
    what = ["original", *(named.name for named in recipes), "custom"]
    words = ["as published", *(_TITLES.get(named.name, named.name) for named in recipes), "custom"]
    if from_build:
        what, words = what[1:], words[1:]
    texts = [*BUILT_IN, *(text.name for text in HUB_TEXTS), _FILE]
    return [
        Choice("what", "precision", what, words),
        Choice("file", "GGUF file", [None], [""], shown=False),
        _line("method", "method", {"gptq": "GPTQ", "awq": "AWQ", "rtn": "rounding"}),
        _line("bits", "bits", {2: "2", 3: "3", 4: "4", 8: "8"}),
        _line("group_size", "group size", {32: "32", 64: "64", 128: "128", -1: "whole row"}),
        _line("desc_act", "desc_act", {False: "off", True: "on"}, "activation order: better, slower"),
        _line("sym", "symmetric", {True: "on", False: "off"}),
        _line("act_group_aware", "group-aware", {True: "on", False: "off"}, "order inside groups"),
        _line("damp_percent", "damping", {0.01: "0.01", 0.05: "0.05", 0.1: "0.1"}),
        Choice("calibration", "calibration", texts, ["built-in", *texts[1:-1], "own file"], shown=False),
        _line("samples", "samples", {32: "32", 64: "64", 128: "128", 256: "256", 512: "512"}),
        _line("sample_length", "sample tokens", {128: "128", 256: "256", 512: "512", 1024: "1024", 2048: "2048"}),
        _line("route", "route", {"auto": "auto", "gptqmodel": "GPTQModel", "optimum": "optimum"}),
        Choice("load", "then", [True, False], ["load it to chat", "only get it"], shown=not from_build),
    ]


def _line(name: str, label: str, values: dict[Any, str], note: str = "") -> Choice:
    usual = getattr(Recipe(), name)
    return Choice(name, label, list(values), list(values.values()), list(values).index(usual), note, shown=False)


def offer_files(form: Choices, files: Sequence[GgufFile]) -> None:
    """Let the form choose between the quantizations of a GGUF repository, each with its size and its verdict."""
    choice = form.choice("file")
    choice.values = [file.model for file in files]
    choice.words = [f"{GLYPHS[file.fit.verdict].text} {file.name} {bytes_text(file.bytes)}" for file in files]
    choice.at = next((place for place, file in enumerate(files) if file.usual), 0)
    choice.shown = form.value("what") == "original"


def fill_form(form: Choices, recipe: Recipe) -> None:
    """Set the lines to a recipe, so that a custom one begins with the last one looked at."""
    for choice in form.choices:
        value = getattr(recipe, choice.name, None)
        if choice.name in FORM and value in choice.values:
            choice.at = list(choice.values).index(value)


def recipe_of(form: Choices, recipes: Sequence[NamedRecipe], file: str) -> Recipe | None:
    """The recipe that the form stands for, with the calibration ``file`` where one is chosen; None for the model as
    published."""
    what = form.value("what")
    if what == "original":
        return None
    named = next((named.recipe for named in recipes if named.name == what), None)
    recipe = named or Recipe(**{name: form.value(name) for name in FORM})
    chosen = form.value("calibration")
    text = file if chosen == _FILE else chosen
    return replace(recipe, calibration=text) if text or named is None else recipe
