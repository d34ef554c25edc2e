"""Recipes by name: those that ship, and those that a person saved as small TOML files and may share.

This module alone reads and writes recipe files. A file holds one recipe::

    about = "8 bits in small groups"

    [recipe]
    method = "gptq"
    bits = 8
    group_size = 32
"""

from __future__ import annotations

import json
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tui.catalog.build import Recipe
from tui.errors import NotFoundError, RecipeError, UsageError
from tui.paths import Paths
from tui.plain_text import clean_line

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_FILE_LIMIT = 100_000


@dataclass(frozen=True, slots=True)
class NamedRecipe:
    """A recipe with its name, and one sentence ``about`` it. ``path`` is its file, None for one that ships."""

    name: str
    about: str
    recipe: Recipe
    path: Path | None = None

    @property
    def ships(self) -> bool:
        """It came with Heft."""
        return self.path is None


PRESETS = (
    NamedRecipe("balanced", "4 bits in groups of 128: what most published GPTQ models are", Recipe()),
    NamedRecipe("careful", "8 bits in groups of 32: next to no loss", Recipe(bits=8, group_size=32)),
    NamedRecipe(
        "fine", "4 bits in groups of 32 with activation order: the best 4 bits", Recipe(group_size=32, desc_act=True)
    ),
    NamedRecipe("small", "3 bits in groups of 128: when 4 do not fit", Recipe(bits=3)),
    NamedRecipe("smallest", "2 bits in groups of 32: to see what breaks", Recipe(bits=2, group_size=32)),
    NamedRecipe("awq", "AWQ, 4 bits in groups of 128: for servers that are fast with it", Recipe("awq", sym=False)),
    NamedRecipe("quick", "4 bits rounded to nearest, without calibration: seconds", Recipe("rtn")),
)


def recipe_from_table(table: Any, of: str = "a recipe") -> Recipe:
    """The recipe of a table as ``asdict`` makes it. Raises ``RecipeError`` for keys or types that no recipe has."""
    if not isinstance(table, Mapping):
        raise RecipeError("this job has no recipe", "ask for it again")
    defaults = {item.name: item.default for item in fields(Recipe)}
    for key, value in table.items():
        if key not in defaults:
            raise RecipeError(f"{of} has no {clean_line(str(key), 40)!r}", f"it has {', '.join(defaults)}")
        wanted = type(defaults[key])
        number = wanted is float and isinstance(value, int) and not isinstance(value, bool)
        if type(value) is not wanted and not number:
            raise RecipeError(f"{key} must be of type {wanted.__name__}, not {clean_line(repr(value), 40)}")
    return Recipe(**table)


def read_recipe_file(file: Path) -> NamedRecipe:
    """The recipe in a TOML file; raises ``NotFoundError`` or ``RecipeError`` that name the file."""
    try:
        if file.stat().st_size > _FILE_LIMIT:
            raise RecipeError(f"{file} is too large for a recipe", "a recipe is a few lines")
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"there is no recipe file {file}", "heft recipes lists the names") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read as a recipe: {clean_line(str(error))}", "it is a TOML file") from None
    about = table.get("about")
    recipe = recipe_from_table(table.get("recipe", {}), f"the recipe in {file.name}")
    return NamedRecipe(file.stem, clean_line(about) if isinstance(about, str) else "", recipe, file)


def recipe_text(named: NamedRecipe) -> str:
    """The file of a recipe: what differs from the defaults and what names it, so that it reads at a glance."""
    lines = [f"about = {_value(named.about)}", "", "[recipe]"]
    plain = asdict(Recipe())
    always = ("method", "bits", "group_size")
    lines += [
        f"{key} = {_value(item)}" for key, item in asdict(named.recipe).items() if key in always or item != plain[key]
    ]
    return "\n".join(lines) + "\n"


class RecipeBook:
    """All recipes that have a name on this machine."""

    def __init__(self, paths: Paths) -> None:
        self._folder = paths.config / "recipes"

    def all(self) -> list[NamedRecipe]:
        """Those that ship, then the saved ones by name; files that are no recipes are left out."""
        found = list(PRESETS)
        for file in sorted(self._folder.glob("*.toml")) if self._folder.is_dir() else ():
            try:
                found.append(read_recipe_file(file))
            except (RecipeError, NotFoundError):
                continue
        return found

    def find(self, ref: str) -> NamedRecipe:
        """The recipe of that name (a saved one before one that ships) or in that file."""
        if ref.endswith(".toml") or "/" in ref:
            return read_recipe_file(Path(ref).expanduser())
        saved = self._folder / f"{ref}.toml"
        if _NAME.fullmatch(ref) and saved.exists():
            return read_recipe_file(saved)
        for named in PRESETS:
            if named.name == ref:
                return named
        known = ", ".join(named.name for named in self.all())
        raise NotFoundError(f"no recipe is called {clean_line(ref, 60)!r}", f"known are {known}; a file ends in .toml")

    def save(self, name: str, recipe: Recipe, about: str = "") -> NamedRecipe:
        """Keep a recipe under ``name``, replacing one of that name; raises ``UsageError`` for a name that is none."""
        if not _NAME.fullmatch(name):
            raise UsageError(
                f"{clean_line(name, 60)!r} is not a name for a recipe", "use small letters, digits, dots and dashes"
            )
        if any(named.name == name for named in PRESETS):
            raise UsageError(f"{name} is a recipe that ships with Heft", "choose another name")
        named = NamedRecipe(name, clean_line(about), recipe, self._folder / f"{name}.toml")
        self._folder.mkdir(parents=True, exist_ok=True)
        beside = self._folder / f".{name}.{secrets.token_hex(4)}"
        with beside.open("w", encoding="utf-8") as file:
            file.write(recipe_text(named))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._folder / f"{name}.toml")
        return named

    def remove(self, name: str) -> NamedRecipe:
        """Forget a saved recipe."""
        named = self.find(name)
        if named.path is None or named.path.parent != self._folder:
            raise UsageError(f"{name} is not a saved recipe", "only saved ones can be removed")
        named.path.unlink()
        return named


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)  # a JSON text without control characters is a TOML text
    return repr(value)
