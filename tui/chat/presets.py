"""Named sets of a system prompt and parameters, for every model and for one model; the user's own stand in one file.

A model's own recommendation (``generation_config.json`` beside its weights) is a preset of that model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.chat.conversation import Parameters

GREEDY = Parameters(temperature=0.0)
PRECISE = Parameters(temperature=0.2, top_p=0.9)
BALANCED = Parameters(temperature=0.7, top_p=0.95)
CREATIVE = Parameters(temperature=1.1, min_p=0.05)


@dataclass(frozen=True, slots=True)
class Sampling:
    """The system prompt and the parameters of a conversation."""

    system: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Preset:
    """``source`` is "heft", "model" (what its makers recommend) or "own"; a preset of Heft or of a model has no system
    prompt and leaves the user's alone."""

    name: str
    sampling: Sampling
    source: str = "heft"


BUILT_IN = (
    Preset("greedy", Sampling("", GREEDY)),
    Preset("precise", Sampling("", PRECISE)),
    Preset("balanced", Sampling("", BALANCED)),
    Preset("creative", Sampling("", CREATIVE)),
)
_RECOMMENDED = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")


class Presets:
    """The presets of one user, in the file ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def of(self, model: str, folder: Path | None = None) -> list[Preset]:
        """What can be chosen for ``model``, whose weights stand in ``folder``."""
        own = [Preset(name, _sampling(value), "own") for name, value in self._read().get(model, {}).items()]
        return [*own, *recommended(folder), *BUILT_IN]

    def keep(self, model: str, name: str, sampling: Sampling) -> None:
        """Keep a preset of ``model`` under ``name``, over one that has it already. Raises ``OSError``."""
        table = self._read()
        table.setdefault(model, {})[name] = {"system": sampling.system, "parameters": sampling.parameters.chosen()}
        self._write(table)

    def forget(self, model: str, name: str) -> None:
        """Forget one. Raises ``OSError``."""
        table = self._read()
        if table.get(model, {}).pop(name, None) is not None:
            self._write(table)

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            value = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(model): row for model, row in value.items() if isinstance(row, dict)} if _is_table(value) else {}

    def _write(self, table: Mapping[str, Any]) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text(json.dumps(table, ensure_ascii=False, indent=1), encoding="utf-8")
        beside.replace(self.path)


def recommended(folder: Path | None) -> list[Preset]:
    """What the makers of the model in ``folder`` recommend; nothing where they do not say."""
    try:
        value = json.loads((folder / "generation_config.json").read_text(encoding="utf-8")) if folder else None
    except (OSError, ValueError):
        return []
    numbers = {name: value.get(name) for name in _RECOMMENDED} if isinstance(value, dict) else {}
    chosen = {name: number for name, number in numbers.items() if _is_number(number)}
    return [Preset("recommended", Sampling("", Parameters.from_chosen(chosen)), "model")] if chosen else []


def _sampling(value: Any) -> Sampling:
    table = value if _is_table(value) else {}
    chosen = table.get("parameters")
    kept = {name: item for name, item in chosen.items() if _is_number(item) or name == "stop"} if chosen else {}
    return Sampling(str(table.get("system") or ""), Parameters.from_chosen(kept))


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
