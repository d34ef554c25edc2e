"""heft.json: what a build says about where it came from. This module alone writes and reads it."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from tui.catalog.build import PROVENANCE_FILE, Quality, Recipe
from tui.errors import BuildBrokenError
from tui.plain_text import clean_line

_Table = TypeVar("_Table", Recipe, Quality)


def write_provenance(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``facts`` as heft.json into ``folder``, beside and renamed, so that a torn file never shows.

    The library reads ``model``, ``repo``, ``revision``, ``precision``, ``recipe`` (a ``Recipe`` as a table),
    ``quality`` (a ``Quality`` as a table) and ``created`` (ISO 8601, added here when absent); the rest is kept.
    """
    table = {"created": datetime.now(UTC).isoformat(timespec="seconds"), **facts}
    beside = folder / f".{PROVENANCE_FILE}.{secrets.token_hex(4)}"
    try:
        with beside.open("w", encoding="utf-8") as file:
            json.dump(table, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        beside.replace(folder / PROVENANCE_FILE)
    finally:
        beside.unlink(missing_ok=True)


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return what heft.json in ``folder`` says; an empty table when there is none.

    Raises ``BuildBrokenError`` when the file is there and cannot be read.
    """
    file = folder / PROVENANCE_FILE
    try:
        table = json.loads(file.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BuildBrokenError(f"{PROVENANCE_FILE} cannot be read: {clean_line(str(error))}") from None
    if not isinstance(table, dict):
        raise BuildBrokenError(f"{PROVENANCE_FILE} does not hold a JSON object")
    return table


def recipe_of(provenance: Mapping[str, Any]) -> Recipe | None:
    """The recipe that a heft.json holds; keys that are unknown or of another type are left at their defaults."""
    return _read(Recipe, provenance.get("recipe"))


def quality_of(provenance: Mapping[str, Any]) -> Quality | None:
    """The measured quality that a heft.json holds."""
    return _read(Quality, provenance.get("quality"))


def _read(kind: type[_Table], table: Any) -> _Table | None:
    if not isinstance(table, dict):
        return None
    kept: dict[str, Any] = {}
    for item in fields(kind):
        value = table.get(item.name)
        of_same_kind = isinstance(value, str | bool) and type(value) is type(item.default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if of_same_kind or (is_number and not isinstance(item.default, str | bool)):
            kept[item.name] = clean_line(value) if isinstance(value, str) else value
    return kind(**kept)
