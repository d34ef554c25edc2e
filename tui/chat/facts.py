"""What an answer of a model on this machine depends on, kept with the conversation so that it can be asked again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.catalog.build import Build

_OF_THE_HOST = ("build", "model", "context", "device", "dtype")
_LIBRARIES = ("torch", "transformers", "gptqmodel", "xllamacpp")


def answering_facts(result: Mapping[str, Any], build: Build | None) -> dict[str, Any]:
    """Build, revision, recipe, device and library versions of the host that left ``result``, as far as they are
    known."""
    facts: dict[str, Any] = {name: result[name] for name in _OF_THE_HOST if result.get(name)}
    if build is not None:
        facts |= {"revision": build.revision, "precision": build.precision}
        facts["recipe"] = build.recipe.label if build.recipe else ""
    facts["versions"] = {name: number for name in _LIBRARIES if (number := _version(name))}
    return {name: value for name, value in facts.items() if value}


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""
