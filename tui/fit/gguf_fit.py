"""Which of a repository's GGUF files: one verdict for each quantization. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tui.fit.verdict import Fit, fit_model

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.hardware.snapshot import Snapshot


@dataclass(frozen=True, slots=True)
class GgufFile:
    """One quantization of a repository ("q4_k_m") with its ``bytes``, the ``model`` that asks for it alone, and its
    ``fit``. ``usual``: it is what a download without a choice fetches."""

    name: str
    bytes: int
    model: Model
    fit: Fit
    usual: bool


def gguf_files(model: Model, choices: Mapping[str, int], usual: str, snapshot: Snapshot) -> tuple[GgufFile, ...]:
    """A verdict for every one of ``choices`` (bytes by name). ``model`` has the dimensions, which all of them share."""
    seen = replace(snapshot, gpus=())  # llama.cpp's wheel computes on the CPU alone
    found = []
    for name, size in choices.items():
        one = replace(
            model,
            id=f"{model.repo}:{name}",
            name=f"{model.name} {name}",
            gguf=name,
            quantization=f"gguf-{name}",
            weights_bytes=size,
            source="hub",
        )
        found.append(GgufFile(name, size, one, fit_model(one, seen), name == usual))
    return tuple(found)
