"""What each layer shall answer, noted while it is still in memory, so that the saved file can be held to it.

A quantized matrix is multiplied with a few fixed vectors before it is packed and written. The check that reloads the
build in a fresh process multiplies the same vectors with what it loaded: a wrong zero point, a lost group order,
swapped or missing layers all show, per layer, at the cost of three vectors each.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VECTORS = 3
_SUFFIX = ".probe.safetensors"


def vectors(in_features: int) -> Any:
    """The fixed vectors for a matrix with ``in_features`` columns, [VECTORS, in_features] float32.

    Two are random, one is all ones: the last one feels a shift that is the same for every weight, as a zero point that
    is off by one makes it.
    """
    import torch

    generator = torch.Generator().manual_seed(in_features)
    random = torch.randn(VECTORS - 1, in_features, generator=generator)
    return torch.cat([random, torch.ones(1, in_features)])


def probe(weight: Any) -> Any:
    """``weight`` [out, in] times the fixed vectors: [VECTORS, out] float32 on the CPU."""
    import torch

    with torch.inference_mode():
        matrix = weight.detach().to(torch.float32)
        return (vectors(matrix.shape[1]).to(matrix.device) @ matrix.T).cpu().contiguous()


class ProbeNotes:
    """The noted answers of one job, one file per layer in ``folder``, so that they outlive a killed process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def note(self, layer: int, weights: dict[str, Any]) -> None:
        """Note the answers of some of a layer's matrices, by full module name; adds to what the layer has."""
        from safetensors.torch import load_file, save_file

        file = self.folder / f"{layer:05d}{_SUFFIX}"
        noted = load_file(file) if file.exists() else {}
        noted.update({name: probe(weight) for name, weight in weights.items()})
        beside = file.with_suffix(".tmp")
        save_file(noted, beside)
        beside.replace(file)

    def names(self) -> set[str]:
        """The modules that are noted."""
        return set(self.read())

    def read(self) -> dict[str, Any]:
        """Every noted answer by module name."""
        return read_probes(self.folder)

    def clear(self) -> None:
        """Forget everything."""
        for file in self.folder.glob(f"*{_SUFFIX}"):
            file.unlink()


def read_probes(folder: Path) -> dict[str, Any]:
    """Every answer noted in ``folder`` by module name."""
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in sorted(folder.glob(f"*{_SUFFIX}")):
        found.update(load_file(file))
    return found


def is_same(folder: Path, fingerprint: str) -> bool:
    """Whether ``folder`` holds work on exactly this recipe and source; marks it as that when it is empty."""
    mark = folder / "fingerprint.json"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        known = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = None
    if known == fingerprint:
        return True
    mark.write_text(json.dumps(fingerprint), encoding="utf-8")
    return False
