"""From what a library saved to a build that everybody can load: files, formats and names.

The source's own config, tokenizer and template are kept byte for byte or key for key (the libraries change them); only
``quantization_config`` is added, the same in both files, without calibration text and without paths of this machine.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

from tui.catalog.weight_files import INDEX_FILE, weight_files
from tui.fit.quantize_plan import Plan
from tui.jobs.preflight import DISK_RESERVE, free_space
from tui.quantities import bytes_text
from tui.workers.libraries import torch_dtype, versions

_KEPT = re.compile(
    r"(tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|.*\.model|.*\.tiktoken"
    r"|chat_template\..*|generation_config\.json|LICEN[CS]E.*|NOTICE.*|USE_POLICY.*)"
)
_MADE = ("config.json", "quantize_config.json", INDEX_FILE)
_CAST = ("qweight", "qzeros", "g_idx")


def require_room(folder: Path, needed: int, what: str) -> None:
    """Raise ``OSError`` (no space) unless the volume of ``folder`` has ``needed`` bytes and the reserve."""
    free = free_space(folder)
    if free < needed + DISK_RESERVE:
        raise OSError(
            errno.ENOSPC,
            f"No space left on device: {what} needs {bytes_text(needed)} and {bytes_text(DISK_RESERVE)} to spare, "
            f"{bytes_text(free)} are free",
            str(folder),
        )


def finish(plan: Plan, making: Path) -> None:
    """Turn the folder that a library saved into a build, all but its provenance."""
    for file in making.iterdir():
        if file.name not in _MADE and file.name not in weight_files(making):
            shutil.rmtree(file) if file.is_dir() else file.unlink()
    for file in plan.source.iterdir():
        if file.is_file() and _KEPT.fullmatch(file.name):
            shutil.copyfile(file, making / file.name)  # follows the links of the Hugging Face cache
    _store_dtypes(plan, making)
    _write_configs(plan, making)


def quantization_config(plan: Plan) -> dict[str, Any]:
    """What config.json and quantize_config.json say about the weights."""
    recipe = plan.recipe
    made_by = versions()
    shape = {"bits": recipe.bits, "group_size": recipe.group_size, "desc_act": recipe.desc_act, "sym": recipe.sym}
    made = {"meta": {"quantizer": [f"{plan.route}:{made_by[plan.route]}", f"heft:{made_by['heft']}"]}}
    if recipe.method == "awq":
        layout = {"quant_method": "awq", "format": "gemm", "checkpoint_format": "gemm", "version": "gemm"}
        return layout | shape | {"zero_point": not recipe.sym, "lm_head": False, "pack_dtype": "int32"} | made
    layout = {"quant_method": "gptq", "format": "gptq", "checkpoint_format": "gptq"}
    rest: dict[str, Any] = {"lm_head": False, "pack_dtype": "int32"}
    if recipe.method == "gptq":
        rest |= {"damp_percent": recipe.damp_percent, "true_sequential": True, "act_group_aware": plan.act_group_aware}
    return layout | shape | rest | made


def _write_configs(plan: Plan, making: Path) -> None:
    saved = json.loads((making / "config.json").read_bytes())
    config = json.loads((plan.source / "config.json").read_bytes())
    config.pop("torch_dtype", None)
    config["dtype"] = plan.save_dtype
    if "tie_word_embeddings" in config:  # a library may have had to untie them
        config["tie_word_embeddings"] = saved.get("tie_word_embeddings", config["tie_word_embeddings"])
    config["quantization_config"] = quantization_config(plan)
    _write_json(making / "config.json", config)
    _write_json(making / "quantize_config.json", config["quantization_config"])


def _store_dtypes(plan: Plan, making: Path) -> None:
    # Computed in float32 on a CPU; stored like the source, or the embeddings would make the build larger than it was.
    from safetensors import safe_open
    from safetensors.torch import save_file

    wanted = torch_dtype(plan.save_dtype)
    half = torch_dtype("float16" if plan.save_dtype == "float32" else plan.save_dtype)
    for name in weight_files(making):
        changed = False
        tensors = {}
        with safe_open(making / name, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - the handle is not a mapping
                tensor = file.get_tensor(key)
                if tensor.is_floating_point():
                    target = tensor.dtype if key.endswith(".scales") and tensor.dtype.itemsize == 2 else wanted
                    target = half if key.endswith(".scales") and target.itemsize == 4 else target
                    changed = changed or tensor.dtype != target
                    tensor = tensor.to(target)
                tensors[key] = tensor.contiguous()
        if changed:
            require_room(making, sum(tensor.nbytes for tensor in tensors.values()), "storing the weights")
            save_file(tensors, making / f".{name}", metadata={"format": "pt"})
            (making / f".{name}").replace(making / name)
    if (making / INDEX_FILE).exists():
        _write_total(making)


def _write_total(making: Path) -> None:
    index = json.loads((making / INDEX_FILE).read_bytes())
    index.setdefault("metadata", {})["total_size"] = sum(
        (making / name).stat().st_size for name in weight_files(making)
    )
    _write_json(making / INDEX_FILE, index)


def file_hashes(folder: Path) -> dict[str, str]:
    """sha256 of every file in ``folder`` by name. A file of the Hugging Face cache is named by its hash already."""
    return {file.name: file_sha256(file) for file in sorted(folder.iterdir()) if file.is_file()}


def file_sha256(file: Path) -> str:
    """sha256 of ``file``; read from the name where the file is a link to a blob that is named by it."""
    target = Path(os.path.realpath(file))
    if file.is_symlink() and target.parent.name == "blobs" and re.fullmatch("[0-9a-f]{64}", target.name):
        return target.name
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def source_hashes(source: Path) -> dict[str, str]:
    """sha256 of what decides the result: the config, the weights and the tokenizer of ``source``."""
    names = ["config.json", *weight_files(source), "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
    return {name: file_sha256(source / name) for name in names if (source / name).is_file()}


def commit(making: Path, target: Path) -> None:
    """Give the finished folder its name; after this it survives a power cut. Raises ``FileExistsError``."""
    for file in making.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
    _sync_folder(making)
    if target.exists():
        raise FileExistsError(errno.EEXIST, "a build of this name appeared meanwhile", str(target))
    making.rename(target)
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_json(file: Path, table: dict[str, Any]) -> None:
    file.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
