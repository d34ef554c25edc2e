"""From what a library saved to a build: room, hashes and the name that comes last."""

from __future__ import annotations

import errno
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from tests.fit.test_quantize_plan import model_folder, plan_for
from tui.catalog.build_folder import folder_problem
from tui.catalog.weight_files import INDEX_FILE
from tui.workers.quantize import assembly
from tui.workers.quantize.assembly import commit, file_sha256, finish, require_room, source_hashes


def test_too_little_room_is_a_full_disk_with_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assembly, "free_space", lambda folder: 1_000_000_000)
    require_room(tmp_path, 400_000_000, "a build")
    with pytest.raises(OSError, match=r"a build needs 600 MB and 500 MB to spare, 1\.00 GB are free") as caught:
        require_room(tmp_path, 600_000_000, "a build")
    assert caught.value.errno == errno.ENOSPC


def test_a_blob_of_the_cache_is_known_by_its_name(tmp_path: Path) -> None:
    name = "a" * 64
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / name).write_bytes(b"weights")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blobs" / name)
    assert file_sha256(tmp_path / "model.safetensors") == name
    (tmp_path / "plain").write_bytes(b"weights")
    assert file_sha256(tmp_path / "plain") == hashlib.sha256(b"weights").hexdigest()


def test_the_source_is_known_by_what_decides_the_result(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    before = source_hashes(folder)
    assert set(before) == {"config.json", "model.safetensors", "tokenizer.json"}
    (folder / "README.md").write_text("a card")
    assert source_hashes(folder) == before
    (folder / "tokenizer.json").write_text('{"a": 1}')
    assert source_hashes(folder) != before


def test_a_name_that_was_taken_meanwhile_is_not_overwritten(tmp_path: Path) -> None:
    for name in (".making-1", "out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(FileExistsError):
        commit(tmp_path / ".making-1", tmp_path / "out")
    assert (tmp_path / "out" / "file").read_text() == "out"
    commit(tmp_path / ".making-1", tmp_path / "new")
    assert (tmp_path / "new" / "file").read_text() == ".making-1"


def test_what_a_library_saved_becomes_a_build_in_the_sources_dtype(tmp_path: Path) -> None:
    source = model_folder(tmp_path / "source", rope_theta=500000.0)
    for name in ("chat_template.jinja", "generation_config.json", "LICENSE", "pytorch_model.bin", "notes.txt"):
        (source / name).write_text(f"the source's {name}")
    making = tmp_path / "making"
    making.mkdir()
    shards = {
        "model-00001-of-00002.safetensors": {"model.embed_tokens.weight": np.ones((4, 4), np.float32)},
        "model-00002-of-00002.safetensors": {
            "model.layers.0.mlp.up_proj.scales": np.ones((1, 4), np.float32),
            "model.layers.0.mlp.up_proj.qweight": np.ones((1, 4), np.int32),
        },
    }
    for name, tensors in shards.items():
        save_file(tensors, making / name)
    names = {tensor: name for name, tensors in shards.items() for tensor in tensors}
    (making / INDEX_FILE).write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    (making / "config.json").write_text(
        json.dumps({"dtype": "float32", "quantization_config": {"dataset": ["secret"]}})
    )
    (making / "quant_log.csv").write_text("noise")
    (making / "tokenizer_config.json").write_text("a changed one")

    finish(plan_for(source), making)

    assert {file.name for file in making.iterdir()} == {
        *shards,
        INDEX_FILE,
        "config.json",
        "quantize_config.json",
        "tokenizer.json",
        "chat_template.jinja",
        "generation_config.json",
        "LICENSE",
    }
    assert folder_problem(making) == ""
    config = json.loads((making / "config.json").read_text())
    assert (config["dtype"], config["rope_theta"]) == ("float16", 500000.0)
    assert "secret" not in (making / "config.json").read_text()
    assert config["quantization_config"] == json.loads((making / "quantize_config.json").read_text())
    with safe_open(making / "model-00002-of-00002.safetensors", framework="numpy") as file:
        assert file.get_tensor("model.layers.0.mlp.up_proj.scales").dtype == np.float16
        assert file.get_tensor("model.layers.0.mlp.up_proj.qweight").dtype == np.int32
