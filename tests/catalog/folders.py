"""Small real model folders: valid safetensors files, configs and caches, for tests to damage."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

WIDTHS = {"F32": 4, "F16": 2, "BF16": 2, "I32": 4}


def safetensors_bytes(tensors: dict[str, tuple[str, list[int]]]) -> bytes:
    """A whole file; ``tensors`` maps names to dtype and shape, the values are zero."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, (dtype, shape) in tensors.items():
        size = WIDTHS[dtype]
        for length in shape:
            size *= length
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(offset)


def write_model(folder: Path, *, shards: int = 1, dtype: str = "BF16", **config: Any) -> Path:
    """A whole folder with config.json, tokenizer.json and one or more weight files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"architectures": ["LlamaForCausalLM"], **config}))
    (folder / "tokenizer.json").write_text('{"model": {}}\n')
    if shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors_bytes({"embed": (dtype, [8, 4])}))
        return folder
    weight_map = {}
    for number in range(1, shards + 1):
        name = f"model-{number:05d}-of-{shards:05d}.safetensors"
        (folder / name).write_bytes(safetensors_bytes({f"layer.{number}": (dtype, [8, 4])}))
        weight_map[f"layer.{number}"] = name
    index = {"metadata": {"total_size": 64 * shards}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def cache_model(hub_cache: Path, repo: str, commit: str = "a" * 40, *, main: bool = True, **model: Any) -> Path:
    """A snapshot as huggingface_hub lays it out: links into blobs/, a ref. Returns the snapshot folder."""
    root = hub_cache / ("models--" + repo.replace("/", "--"))
    whole = write_model(root / "making", **model)
    snapshot = root / "snapshots" / commit
    for file in whole.iterdir():
        add_cached(snapshot, file.name, file.read_bytes())
        file.unlink()
    whole.rmdir()
    if main:
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text(commit)
    return snapshot


def add_cached(snapshot: Path, name: str, content: bytes) -> None:
    """Put one file into a snapshot, as a link to a blob."""
    import hashlib

    blobs = snapshot.parent.parent / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    snapshot.mkdir(parents=True, exist_ok=True)
    blob = blobs / hashlib.sha256(content).hexdigest()
    blob.write_bytes(content)
    (snapshot / name).symlink_to(f"../../blobs/{blob.name}")
