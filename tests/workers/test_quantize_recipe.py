"""Recipes as they come out of a job, and the mark by which interrupted work is recognised."""

from __future__ import annotations

from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import pytest

from tui.catalog.build import Recipe
from tui.catalog.recipes import recipe_from_table
from tui.errors import RecipeError
from tui.workers.calibration import Calibration
from tui.workers.quantize import fingerprint
from tui.workers.quantize.probes import is_same

ROWS = Calibration(((1, 2, 3),), "built-in", "abc")
HASHES = {"model.safetensors": "1" * 64}


def test_a_recipe_survives_the_job() -> None:
    recipe = Recipe(bits=8, group_size=32, desc_act=True, seed=7)
    assert recipe_from_table(asdict(recipe)) == recipe


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (None, "no recipe"),
        ({"bitz": 4}, "no 'bitz'"),
        ({"bits": "4"}, "bits must be of type int"),
        ({"bits": True}, "bits must be of type int"),
        ({"desc_act": 1}, "desc_act must be of type bool"),
    ],
)
def test_a_table_that_is_no_recipe_is_refused(table: Any, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        recipe_from_table(table)


def test_a_whole_number_is_a_number() -> None:
    assert recipe_from_table({"damp_percent": 1}).damp_percent == 1


def test_every_part_of_the_recipe_changes_the_fingerprint() -> None:
    base = fingerprint(Recipe(), HASHES, ROWS)
    others = {"bits": 8, "group_size": 64, "desc_act": True, "sym": False, "damp_percent": 0.1, "samples": 7}
    others |= {"sample_length": 64, "seed": 1, "calibration": "x", "route": "optimum", "method": "other"}
    others["act_group_aware"] = False
    assert set(others) == {item.name for item in fields(Recipe)}
    marks = {fingerprint(replace(Recipe(), **{key: value}), HASHES, ROWS) for key, value in others.items()}
    marks.add(fingerprint(Recipe(), {"model.safetensors": "2" * 64}, ROWS))
    marks.add(fingerprint(Recipe(), HASHES, replace(ROWS, sha256="other")))
    assert len(marks | {base}) == len(others) + 3
    assert fingerprint(Recipe(), dict(HASHES), ROWS) == base


def test_work_on_another_recipe_is_not_taken_up(tmp_path: Path) -> None:
    assert not is_same(tmp_path / "work", "first")
    assert is_same(tmp_path / "work", "first")
    assert not is_same(tmp_path / "work", "second")
    assert not is_same(tmp_path / "work", "first")
    (tmp_path / "work" / "fingerprint.json").write_text("torn")
    assert not is_same(tmp_path / "work", "first")
