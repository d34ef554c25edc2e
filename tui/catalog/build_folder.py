"""One folder of weights: is it whole, in which precision is it, how large is it.

It reads headers and small JSON files only, so that asking costs milliseconds even for a model of 100 GB, and it never
needs the libraries that load models.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tui.catalog.gguf_header import DamagedGgufError, read_gguf_header
from tui.catalog.quantization import quantization_label, quantization_table
from tui.catalog.safetensors_header import DamagedWeightsError, read_safetensors_header
from tui.catalog.weight_files import GGUF_PART, INDEX_FILE, gguf_quantization, holds_model, weight_files
from tui.plain_text import clean_line

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "F8_E4M3": "float8"}


class FolderProblem(ValueError):
    """Why a folder cannot be loaded; the message names the file."""


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """What looking at a folder tells: why it cannot be loaded (empty when it is whole), the stored precision (empty
    when unknown) and the bytes of all its files."""

    problem: str
    precision: str
    bytes: int


def folder_problem(path: Path) -> str:
    """Return why the model in ``path`` cannot be loaded, naming the file, or an empty text when it is whole.

    Looked at are config.json, the index, every shard (present, readable, as long as its header says, holding the
    tensors that the index promises), tokenizer.json, and the parts of a GGUF file. Tensor values are not read.
    """
    return folder_facts(path).problem


def folder_facts(path: Path) -> FolderFacts:
    """Look at ``path``, a folder or the first file of a GGUF build; what has not changed is looked at once per process
    (names, lengths, times and inodes decide)."""
    try:
        stamp = _stamp(path.parent if path.is_file() and path.name.endswith(".gguf") else path)
    except OSError as error:
        there = f"cannot be read ({error.strerror or error})" if path.exists() else "does not exist"
        return FolderFacts(clean_line(f"{path} {there}" if not path.is_file() else f"{path} is not a folder"), "", 0)
    return _examine(path.absolute(), stamp)


_Stamp = tuple[tuple[str, int, int, int, int], ...]


def _stamp(path: Path) -> _Stamp:
    found: list[tuple[str, int, int, int, int]] = []
    pending = [(os.fspath(path), "")]
    while pending:
        folder, prefix = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, f"{prefix}{entry.name}/"))
                    continue
                try:
                    info = entry.stat()
                    place = (info.st_dev, info.st_ino)
                except OSError:
                    info, place = entry.stat(follow_symlinks=False), (0, 0)
                size = info.st_size if place[1] else 0
                found.append((prefix + entry.name, size, info.st_mtime_ns, *place))
    return tuple(sorted(found))


@lru_cache(maxsize=256)
def _examine(path: Path, stamp: _Stamp) -> FolderFacts:
    # The stamp is the key: it changes when a file does.
    alone = weight_files(path) if path.is_file() else []
    held = [entry for entry in stamp if not alone or entry[0] in alone]
    size = sum({(device, inode): length for _, length, _, device, inode in held}.values())
    dtypes: dict[str, int] = {}
    problem = ""
    try:
        if alone:
            _check_gguf(path.parent, alone)
        else:
            _check_folder(path, dtypes)
    except FolderProblem as found:
        problem = clean_line(str(found))
    except OSError as error:
        name = Path(error.filename).name if error.filename else path.name
        problem = clean_line(f"{name} cannot be read ({error.strerror or error})")
    return FolderFacts(problem, _precision(path, dtypes), size)


def _precision(path: Path, dtypes: dict[str, int]) -> str:
    # A quantization named in config.json wins; else the dtype that most tensor bytes have; else what the config says.
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        config = {}
    label = quantization_label(config) or quantization_label({"quantization_config": quantization_table(path)})
    if label:
        return label
    if dtypes:
        return _DTYPES.get(max(dtypes, key=dtypes.__getitem__), "")
    try:
        names = weight_files(path)
    except OSError:
        names = []
    if names and names[0].endswith(".gguf"):
        said = gguf_quantization(names[0]) or _gguf_type((path.parent if path.is_file() else path) / names[0])
        return f"gguf-{said}" if said else "gguf"
    declared = config.get("dtype") or config.get("torch_dtype")
    return declared if isinstance(declared, str) and declared in _DTYPES.values() else ""


def _gguf_type(file: Path) -> str:
    try:
        return read_gguf_header(file).quantization
    except (OSError, DamagedGgufError):
        return ""


def _check_folder(path: Path, dtypes: dict[str, int]) -> None:
    names = {entry.name for entry in path.iterdir()}
    if not holds_model(path):
        if "config.json" not in names:
            raise FolderProblem("config.json is missing")
        raise FolderProblem("the weights are missing: there is no .safetensors file")
    gguf = sorted(name for name in names if name.endswith(".gguf"))
    if gguf and not any(name.endswith(".safetensors") for name in names):
        _check_gguf(path, gguf)
        return
    if "config.json" not in names:
        raise FolderProblem("config.json is missing")
    _read_json(path, "config.json")
    _check_whole_text(path, "tokenizer.json")
    if "model.safetensors" in names:
        _header(path, "model.safetensors", dtypes)
    elif INDEX_FILE in names:
        _check_shards(path, dtypes)
    else:
        shards = [name for name in weight_files(path) if name.endswith(".safetensors")]
        if not shards:
            raise FolderProblem(
                "its weights are pickle files (pytorch_model.bin), which can run code when they are loaded; "
                "Heft loads safetensors only"
            )
        for name in shards:
            _header(path, name, dtypes)


def _check_shards(path: Path, dtypes: dict[str, int]) -> None:
    weight_map = _read_json(path, INDEX_FILE).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise FolderProblem(f"{INDEX_FILE} names no shards")
    promised: dict[str, list[str]] = {}
    for tensor, shard in weight_map.items():
        promised.setdefault(str(shard), []).append(tensor)
    missing = [shard for shard in promised if not (path / shard).exists()]
    if missing:
        more = f" and {len(missing) - 1} more of {len(promised)} shards" if len(missing) > 1 else ""
        link = " (a link to a file that is gone)" if (path / missing[0]).is_symlink() else ""
        raise FolderProblem(f"{missing[0]} is missing{link}{more}")
    for shard, tensors in promised.items():
        held = _header(path, shard, dtypes)
        absent = next((tensor for tensor in tensors if tensor not in held), None)
        if absent is not None:
            raise FolderProblem(f"{shard} does not hold {absent}, which the index promises")


def _check_gguf(path: Path, names: list[str]) -> None:
    for name in names:
        try:
            read_gguf_header(_open_check(path, name))
        except DamagedGgufError as error:
            raise FolderProblem(f"{name} is damaged: {error}") from None
    parts = [GGUF_PART.search(name) for name in names]
    first = parts[0]
    if first is None:
        if len(names) > 1:
            raise FolderProblem(f"it holds {len(names)} GGUF files ({names[0]}, {names[1]}, …); a build is one of them")
        return
    stem, count = names[0][: first.start()], int(first[2])
    wanted = [f"{stem}-{number:05d}-of-{first[2]}.gguf" for number in range(1, count + 1)]
    absent = next((name for name in wanted if name not in names), None)
    if absent is not None:
        raise FolderProblem(f"{absent} is missing")


def _open_check(path: Path, name: str) -> Path:
    file = path / name
    if not file.exists():
        raise FolderProblem(f"{name} is " + ("a link to a file that is gone" if file.is_symlink() else "missing"))
    return file


def _header(path: Path, name: str, dtypes: dict[str, int]) -> Container[str]:
    try:
        header = read_safetensors_header(_open_check(path, name))
    except DamagedWeightsError as error:
        raise FolderProblem(f"{name} is damaged: {error}") from None
    if not header.tensors:
        raise FolderProblem(f"{name} holds no tensors")
    for dtype, size in header.bytes_by_dtype.items():
        dtypes[dtype] = dtypes.get(dtype, 0) + size
    return header.tensors


def _read_json(path: Path, name: str) -> dict[str, Any]:
    try:
        table = json.loads(_open_check(path, name).read_bytes())
    except (ValueError, RecursionError) as error:
        raise FolderProblem(f"{name} is not whole JSON ({error})") from None
    if not isinstance(table, dict):
        raise FolderProblem(f"{name} does not hold a JSON object")
    return table


def _check_whole_text(path: Path, name: str) -> None:
    # A tokenizer can be 30 MB of JSON: its two ends tell a torn copy without parsing it.
    if not (path / name).is_symlink() and not (path / name).exists():
        return
    with _open_check(path, name).open("rb") as file:
        head = file.read(16)
        file.seek(max(0, file.seek(0, 2) - 16))
        if not head.lstrip().startswith(b"{") or not file.read().rstrip().endswith(b"}"):
            raise FolderProblem(f"{name} is torn: it does not begin and end like a JSON object")
