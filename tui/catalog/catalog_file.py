"""The catalog: the models.toml that ships with Heft, and the user's own on top of it.

This module alone reads these files. A mistake never takes the list away: it becomes a ``CatalogProblem`` with file,
line, row and key, and everything else still loads, row by row where the file as a whole is not TOML.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path

from tui.catalog.catalog_rows import CatalogProblem, FileRows, read_rows
from tui.catalog.catalog_schema import Table, build_model
from tui.catalog.model import Model
from tui.catalog.starter_row import with_own_numbers
from tui.paths import Paths
from tui.starter import starter_folder

__all__ = ["Catalog", "CatalogProblem", "load_catalog", "shipped_models_file"]

STARTER_REPO = "@starter"
"""What a row writes for the folder of the starter, which is elsewhere in each installation."""


@dataclass(frozen=True)
class Catalog:
    """All rows in the order of the list, and what is wrong with the files they came from."""

    models: tuple[Model, ...]
    problems: tuple[CatalogProblem, ...] = ()

    def find(self, ref: str) -> Model | None:
        """The row that ``ref`` names by id, repository, name, or the last part of the repository, in this order and
        whatever the case; None when there is none."""
        return self._by_name.get(ref.strip().casefold())

    def near(self, ref: str, count: int = 3) -> list[str]:
        """Ids that look like ``ref``, best first, for "did you mean"."""
        wanted = ref.strip().casefold()
        ids = {model.id.casefold(): model.id for model in self.models}
        close = get_close_matches(wanted, ids, count, cutoff=0.5)
        starting = [name for name in ids if wanted and name.startswith(wanted) and name not in close]
        return [ids[name] for name in [*starting[:count], *close][:count]]

    @cached_property
    def _by_name(self) -> dict[str, Model]:
        found: dict[str, Model] = {}
        for names in (
            lambda model: (model.id,),
            lambda model: (model.repo,),
            lambda model: (model.name,),
            lambda model: model.alt_repos,
            lambda model: (model.repo.rpartition("/")[2],) if not model.is_local_folder else (),
        ):
            for model in self.models:
                for name in names(model):
                    if name:
                        found.setdefault(name.casefold(), model)
        return found


def shipped_models_file() -> Path:
    """The models.toml that came with this installation: inside the package, or at the top of a checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "models.toml"
    return inside if inside.is_file() else package.parent / "models.toml"


def load_catalog(paths: Paths) -> Catalog:
    """Read both files; a missing user's file is fine. Raises nothing: what is wrong is in ``problems``."""
    cache = paths.data / "cache"
    shipped = read_rows(shipped_models_file(), cache / "shipped-models.json", must_exist=True)
    own = read_rows(paths.user_models_file, cache / "user-models.json")
    licenses = _merged(shipped.licenses, own.licenses)
    providers = _merged(shipped.providers, own.providers)
    rows: dict[str, tuple[Table, str]] = {row["id"]: (row, "catalog") for row in shipped.rows}
    for row in own.rows:
        base, source = rows.get(row["id"], ({}, "user"))
        changed = {**base, **row}
        if base.get("api") and row.get("api"):
            changed["api"] = {**base["api"], **row["api"]}
        rows[row["id"]] = (changed, source)
    models = tuple(_model(row, licenses, providers, source) for row, source in rows.values())
    return Catalog(models, shipped.problems + own.problems + tuple(_loose_ends(own, rows)))


def _merged(shipped: dict[str, Table], own: dict[str, Table]) -> dict[str, Table]:
    return shipped | {name: shipped.get(name, {}) | table for name, table in own.items()}


def _model(row: Table, licenses: dict[str, Table], providers: dict[str, Table], source: str) -> Model:
    model = build_model(row, licenses, providers, source)
    if model.repo == STARTER_REPO:
        folder = starter_folder()
        return with_own_numbers(replace(model, repo=str(folder), source="starter"), folder)
    if model.repo.startswith("~/"):
        return replace(model, repo=str(Path(model.repo).expanduser()))
    return model


def _loose_ends(own: FileRows, rows: dict[str, tuple[Table, str]]) -> Iterable[CatalogProblem]:
    for row in own.rows:
        full, source = rows[row["id"]]
        if source == "user" and not full.get("repo") and not full.get("api"):
            message = "a new row needs a repo or a [model.api] table, or nothing can be done with it"
            yield CatalogProblem(own.file, row["id"], "repo", message)
