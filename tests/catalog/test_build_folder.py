"""Is a folder whole? Every way to be incomplete is made on a real folder and must be named with the file."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.catalog.folders import safetensors_bytes, write_model
from tests.catalog.gguf_bytes import gguf_bytes
from tui.catalog.build_folder import folder_facts, folder_problem
from tui.catalog.quantization import quantization_table
from tui.catalog.safetensors_header import read_safetensors_header


@pytest.mark.parametrize("shards", [1, 3])
def test_a_whole_folder_has_no_problem(tmp_path: Path, shards: int) -> None:
    folder = write_model(tmp_path / "m", shards=shards)
    facts = folder_facts(folder)
    assert (facts.problem, facts.precision) == ("", "bfloat16")
    assert facts.bytes == sum(file.stat().st_size for file in folder.iterdir())


def cut(name: str, by: int) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[:-by])

    return damage


def write(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def dangle(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to("../../blobs/gone")

    return damage


SHARD = "model-00002-of-00003.safetensors"
INDEX = "model.safetensors.index.json"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
        (write("config.json", b'{"architectures": ["Lla'), "config.json is not whole JSON"),
        (write("config.json", b"[]"), "config.json does not hold a JSON object"),
        (write("config.json", b"[" * 100_000), "config.json is not whole JSON"),
        (dangle("config.json"), "config.json is a link to a file that is gone"),
        (lambda folder: (folder / SHARD).unlink(), f"{SHARD} is missing"),
        (dangle(SHARD), f"{SHARD} is missing (a link to a file that is gone)"),
        (cut(SHARD, 1), f"{SHARD} is damaged: it is shorter than its header says"),
        (cut(SHARD, 130), f"{SHARD} is damaged: its header runs past the end"),
        (write(SHARD, b""), f"{SHARD} is damaged: it is 0 bytes long"),
        (write(SHARD, safetensors_bytes({"layer.2": ("F16", [2])}) + b"x"), f"{SHARD} is damaged: it is longer"),
        (write(SHARD, struct.pack("<Q", 4) + b"{}}}"), f"{SHARD} is damaged: its header cannot be read"),
        (write(SHARD, struct.pack("<Q", 7) + b'{"a":1}'), f"{SHARD} is damaged: its header cannot be read"),
        (write(SHARD, struct.pack("<Q", 2**63) + b"{}"), f"{SHARD} is damaged: its header runs past"),
        (write(SHARD, safetensors_bytes({"other": ("F16", [2])})), f"{SHARD} does not hold layer.2"),
        (write(INDEX, b'{"weight_map": {'), f"{INDEX} is not whole JSON"),
        (write(INDEX, b"{}"), f"{INDEX} names no shards"),
        (write("tokenizer.json", b'{"model": {"voc'), "tokenizer.json is torn"),
        (write("tokenizer.json", b""), "tokenizer.json is torn"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, damage: Callable[[Path], None], said: str) -> None:
    folder = write_model(tmp_path / "m", shards=3)
    assert folder_problem(folder) == ""
    damage(folder)
    assert said in folder_problem(folder)


def test_several_missing_shards_are_counted(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", shards=3)
    for number in (1, 3):
        (folder / f"model-{number:05d}-of-00003.safetensors").unlink()
    assert folder_problem(folder) == "model-00001-of-00003.safetensors is missing and 1 more of 3 shards"


def test_folders_without_a_model(tmp_path: Path) -> None:
    assert "does not exist" in folder_problem(tmp_path / "none")
    (tmp_path / "file").touch()
    assert "is not a folder" in folder_problem(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert folder_problem(tmp_path / "empty") == "config.json is missing"
    (tmp_path / "empty" / "config.json").write_text("{}")
    assert "the weights are missing" in folder_problem(tmp_path / "empty")
    (tmp_path / "empty" / "pytorch_model.bin").write_bytes(b"PK")
    assert "pickle" in folder_problem(tmp_path / "empty")


def test_a_loop_and_a_locked_file_are_words_not_exceptions(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m")
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to("model.safetensors")
    assert "model.safetensors" in folder_problem(folder)
    if os.getuid() != 0:
        locked = write_model(tmp_path / "locked")
        (locked / "config.json").chmod(0)
        assert "config.json cannot be read" in folder_problem(locked)


def test_an_evil_name_comes_out_harmless(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", shards=2)
    index = {"weight_map": {"t": "a\x1b[31m\u202eb.safetensors"}}
    (folder / INDEX).write_text(json.dumps(index))
    assert folder_problem(folder).isprintable() and "is missing" in folder_problem(folder)


def test_gguf_alone_is_a_model(tmp_path: Path) -> None:
    folder = tmp_path / "g"
    folder.mkdir()
    (folder / "tiny-Q4_K_M.gguf").write_bytes(gguf_bytes())
    assert folder_facts(folder).problem == "" and folder_facts(folder).precision == "gguf-q4_k_m"
    (folder / "other-Q8_0.gguf").write_bytes(gguf_bytes())
    assert "holds 2 GGUF files" in folder_problem(folder)
    for file in folder.iterdir():
        file.unlink()
    (folder / "big-00001-of-00002.gguf").write_bytes(gguf_bytes())
    assert folder_problem(folder) == "big-00002-of-00002.gguf is missing"
    (folder / "big-00002-of-00002.gguf").write_bytes(b"junk")
    assert folder_problem(folder) == "big-00002-of-00002.gguf is damaged: it does not begin like a GGUF file"


@pytest.mark.parametrize(
    ("table", "label"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128, "sym": True}, "gptq-4bit-g128"),
        (
            {"quant_method": "gptq", "bits": 3, "group_size": -1, "desc_act": True, "sym": False},
            "gptq-3bit-gall-act-asym",
        ),
        ({"bits": 4, "group_size": 32}, "gptq-4bit-g32"),
        ({"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True}, "awq-4bit-g128"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes-4bit"),
        ({"load_in_8bit": True}, "bitsandbytes-8bit"),
        ({"quant_method": "fp8"}, "fp8"),
        ({"quant_method": "mxfp4"}, "mxfp4"),
        (
            {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": {"num_bits": 4}}}},
            "compressed-tensors-4bit",
        ),
        ({"quant_method": "evil\x1b[2J"}, "evil\ufffd[2j"),
    ],
)
def test_quantization_is_recognised(tmp_path: Path, table: dict[str, object], label: str) -> None:
    folder = write_model(tmp_path / "m", quantization_config=table)
    assert folder_facts(folder).precision == label
    assert folder_facts(folder).problem == ""


@pytest.mark.parametrize(("dtype", "name"), [("F32", "float32"), ("F16", "float16"), ("BF16", "bfloat16")])
def test_precision_is_what_is_stored_not_what_the_config_says(tmp_path: Path, dtype: str, name: str) -> None:
    folder = write_model(tmp_path / "m", dtype=dtype, torch_dtype="float64")
    assert folder_facts(folder).precision == name


def test_a_change_is_seen(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "m", shards=2)
    shard = folder / "model-00001-of-00002.safetensors"
    content = shard.read_bytes()
    assert folder_problem(folder) == ""
    shard.write_bytes(content[:-1])
    assert "shorter" in folder_problem(folder)
    shard.write_bytes(content)
    assert folder_problem(folder) == ""


def test_headers_count_bytes_by_dtype(tmp_path: Path) -> None:
    file = tmp_path / "x.safetensors"
    file.write_bytes(safetensors_bytes({"a": ("F32", [3, 2]), "b": ("F16", []), "c": ("F16", [0])}))
    header = read_safetensors_header(file)
    assert header.bytes_by_dtype == {"F32": 24, "F16": 2}
    assert header.bytes == file.stat().st_size and header.metadata == {"format": "pt"}


def test_the_old_layout_of_autogptq_is_known(tmp_path: Path) -> None:
    folder = write_model(tmp_path / "old")
    (folder / "model.safetensors").rename(folder / "gptq_model-4bit-128g.safetensors")
    recipe = {"bits": 4, "group_size": 128, "damp_percent": 0.01, "desc_act": True, "sym": True}
    (folder / "quantize_config.json").write_text(json.dumps(recipe))
    assert folder_facts(folder).precision == "gptq-4bit-g128-act"
    assert quantization_table(folder) == {"quant_method": "gptq", **recipe}
    (folder / "quantize_config.json").write_text('{"zero_point": true}')
    assert quantization_table(folder) == {}
