"""Filters of the catalog that a person keeps by name, in one small file of the state folder."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from tui.plain_text import clean_line
from tui.ui.catalog_index import Wanted

LIMIT = 50


class SavedFilters:
    """Reads and writes ``file``; a broken file is no filters, a disk that refuses raises ``OSError``."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def all(self) -> dict[str, Wanted]:
        """Every kept filter by name, the newest last."""
        try:
            table = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(table, dict):
            return {}
        found = {clean_line(str(name), 60): _wanted(value) for name, value in table.items()}
        return {name: wanted for name, wanted in found.items() if wanted is not None}

    def keep(self, name: str, wanted: Wanted) -> dict[str, Wanted]:
        """Keep ``wanted`` as ``name``, in place of an earlier one; returns all."""
        known = {other: value for other, value in self.all().items() if other != name}
        return self._write(known | {clean_line(name, 60): wanted})

    def forget(self, name: str) -> dict[str, Wanted]:
        """Remove one; returns the rest."""
        return self._write({other: value for other, value in self.all().items() if other != name})

    def _write(self, filters: Mapping[str, Wanted]) -> dict[str, Wanted]:
        kept = dict(list(filters.items())[-LIMIT:])
        beside = self._file.with_name(f".{secrets.token_hex(6)}")
        try:
            beside.write_text(json.dumps({name: asdict(value) for name, value in kept.items()}), encoding="utf-8")
            beside.replace(self._file)
        finally:
            with contextlib.suppress(OSError):
                beside.unlink()
        return kept


def filter_name(wanted: Wanted) -> str:
    """What a filter is called before anybody gives it a name: its words and chips."""
    parts = [wanted.text, wanted.task, wanted.family, wanted.size, wanted.license]
    parts += [
        {"open": "open weights", "api": "APIs", "": ""}.get(wanted.reach, ""),
        "not gated" if wanted.ungated else "",
    ]
    parts += ["commercial" if wanted.commercial else "", "fits" if wanted.fits else ""]
    parts += ["here" if wanted.installed else "", f"by {wanted.sort}" if wanted.sort != "catalog" else ""]
    return ", ".join(part for part in parts if part) or "all models"


def _wanted(value: Any) -> Wanted | None:
    if not isinstance(value, dict):
        return None
    default = Wanted()
    kinds = {item.name: type(getattr(default, item.name)) for item in fields(Wanted)}
    if not all(name in kinds and type(part) is kinds[name] for name, part in value.items()):
        return None
    parts: dict[str, Any] = {name: clean_line(part, 200) if type(part) is str else part for name, part in value.items()}
    return replace(default, **parts)
