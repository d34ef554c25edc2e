"""Recipes by name: those that ship are possible, saved ones come back as they were, strange files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.catalog.build import Recipe
from tui.catalog.recipes import PRESETS, RecipeBook, read_recipe_file, recipe_text
from tui.errors import NotFoundError, RecipeError, UsageError
from tui.fit.quantize_recipe import check_recipe
from tui.paths import Paths


@pytest.mark.parametrize("named", PRESETS, ids=lambda named: named.name)
def test_what_ships_can_be_carried_out_and_survives_a_file(named: object, tmp_path: Path) -> None:
    for device in ("cpu", "cuda"):
        check_recipe(named.recipe, device)  # type: ignore[attr-defined]
    file = tmp_path / "shared.toml"
    file.write_text(recipe_text(named))  # type: ignore[arg-type]
    assert read_recipe_file(file).recipe == named.recipe  # type: ignore[attr-defined]


def test_a_saved_recipe_is_found_by_name_and_by_file(paths: Paths, tmp_path: Path) -> None:
    book = RecipeBook(paths)
    recipe = Recipe(bits=3, group_size=64, sym=False, calibration='/data/"mine".txt', damp_percent=0.1)
    saved = book.save("mine", recipe, 'for "us"\nonly')
    assert book.find("mine") == saved
    copy = tmp_path / "theirs.toml"
    copy.write_bytes(saved.path.read_bytes())  # type: ignore[union-attr]
    assert book.find(str(copy)).recipe == recipe
    assert [named.name for named in book.all()] == [*(named.name for named in PRESETS), "mine"]
    book.save("mine", Recipe(bits=8))
    assert book.find("mine").recipe == Recipe(bits=8)
    book.remove("mine")
    with pytest.raises(NotFoundError, match="no recipe is called 'mine'") as caught:
        book.find("mine")
    assert "balanced" in caught.value.hint


@pytest.mark.parametrize("name", ["", "../x", "With Space", "a/b", ".hidden", "x" * 80, "balanced"])
def test_a_name_that_is_none_is_refused(paths: Paths, name: str) -> None:
    with pytest.raises(UsageError):
        RecipeBook(paths).save(name, Recipe())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("bits = ", "cannot be read as a recipe"),
        ("[recipe]\nbitz = 4", "has no 'bitz'"),
        ("[recipe]\nbits = '4'", "bits must be of type int"),
    ],
)
def test_a_strange_file_is_refused_in_words(paths: Paths, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "odd.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=words):
        RecipeBook(paths).find(str(file))
    (paths.config / "recipes").mkdir()
    (paths.config / "recipes" / "odd.toml").write_text(text)
    assert len(RecipeBook(paths).all()) == len(PRESETS)
