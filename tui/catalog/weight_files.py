"""Which files of a folder hold weights, and what their names say. Only names and lengths are looked at."""

from __future__ import annotations

import re
from pathlib import Path

INDEX_FILE = "model.safetensors.index.json"
GGUF_PART = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
"""What a GGUF file of several ends in: its number, and how many there are."""
_GGUF_TYPE = re.compile(r"[-._]((?:I?Q\d|TQ\d|BF16|F16|F32)(?:_[A-Z0-9]+)*)(?=[-._]|$)", re.IGNORECASE)


def weight_files(path: Path) -> list[str]:
    """Names of the files in ``path`` that hold weights in a form that Heft loads: safetensors or GGUF. Where ``path``
    is a GGUF file, it and its other parts."""
    if path.is_file():
        stem = gguf_stem(path.name)
        return sorted(entry.name for entry in path.parent.glob("*.gguf") if gguf_stem(entry.name) == stem)
    names = sorted(entry.name for entry in path.iterdir() if entry.name.endswith((".safetensors", ".gguf")))
    if "model.safetensors" in names:
        return ["model.safetensors"]
    shards = [name for name in names if name.endswith(".safetensors") and not name.startswith("consolidated")]
    return shards or names


def gguf_stem(name: str) -> str:
    """Name of a GGUF file without its ending and its number among the parts."""
    return GGUF_PART.sub("", name).removesuffix(".gguf")


def gguf_quantization(name: str) -> str:
    """The quantization that a GGUF file's name says ("q4_k_m"), or empty."""
    found = _GGUF_TYPE.search(gguf_stem(name.rpartition("/")[2]))
    return found[1].lower() if found else ""


def gguf_builds(path: Path) -> list[Path]:
    """The first file of every GGUF build in ``path`` and the folders in it, where there are no other weights beside
    them; files of image projectors are not builds."""
    found: dict[tuple[Path, str], Path] = {}
    for file in sorted([*path.glob("*.gguf"), *path.glob("*/*.gguf")]):
        if "mmproj" not in file.name.lower():
            found.setdefault((file.parent, gguf_stem(file.name)), file)
    return [] if any(path.glob("*.safetensors")) else list(found.values())


def weights_size(path: Path) -> int:
    """Bytes of the files in ``path`` that hold weights."""
    return sum((path / name).stat().st_size for name in weight_files(path))


def holds_model(path: Path) -> bool:
    """True when ``path`` has a config.json and some weights, or a GGUF file; whole or not."""
    try:
        names = [entry.name for entry in path.iterdir()]
    except OSError:
        return False
    if any(name.endswith(".gguf") for name in names):
        return True
    weights = (".safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json")
    return "config.json" in names and any(name.endswith(weights) or name == INDEX_FILE for name in names)
