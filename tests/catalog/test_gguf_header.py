"""The head of a GGUF file, and the builds that such files are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.catalog.gguf_bytes import LLAMA, TENSORS, gguf_bytes
from tui.catalog.build_folder import folder_facts
from tui.catalog.gguf_header import CutShortError, DamagedGgufError, parse_gguf_header, read_gguf_header
from tui.catalog.library import Library
from tui.catalog.weight_files import gguf_builds
from tui.fit.memory_estimate import estimate_build
from tui.paths import Paths


def test_facts_tensors_and_length_are_read_and_long_lists_skipped(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(gguf_bytes())
    header = read_gguf_header(file)
    assert (header.architecture, header.quantization, header.fact("context_length")) == ("llama", "q4_0", 4096)
    assert header.fields["tokenizer.ggml.tokens"] == 300, "its length"
    assert header.tensors["token_embd.weight"] == ("Q4_0", (64, 300))
    assert header.parameters == 64 * 300 + 64 * 64 + 64
    assert header.bytes_by_type == {"Q4_0": (64 * 300 + 64 * 64) // 32 * 18, "F32": 256}
    assert header.bytes == file.stat().st_size
    full = read_gguf_header(file, ("tokenizer.ggml.tokens",))
    assert full.fields["tokenizer.ggml.tokens"][299] == "word299"


@pytest.mark.parametrize("cut", [3, 20, 60, 1000, 3000])
def test_a_head_that_ends_too_soon_is_cut_short(cut: int) -> None:
    with pytest.raises((CutShortError, DamagedGgufError)) as caught:
        parse_gguf_header(gguf_bytes()[:cut])
    assert isinstance(caught.value, CutShortError) == (cut > 3)


def test_damage_is_told_without_reading_weights(tmp_path: Path) -> None:
    file = tmp_path / "a.gguf"
    file.write_bytes(gguf_bytes(missing=500))
    with pytest.raises(DamagedGgufError, match="500 B shorter"):
        read_gguf_header(file)
    for junk in (b"", b"junk", b"GGUF" + bytes(100), b"GGUF\x03\x00\x00\x00" + b"\xff" * 40):
        file.write_bytes(junk)
        with pytest.raises(DamagedGgufError):
            read_gguf_header(file)


def cached(paths: Paths, files: dict[str, bytes]) -> Path:
    """A snapshot of a repository in the cache, as links to blobs."""
    repo = paths.hub_cache / "models--org--tiny-GGUF"
    snapshot = repo / "snapshots" / ("a" * 40)
    for place, (name, data) in enumerate(files.items()):
        blob = repo / "blobs" / f"{place:064x}"
        blob.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(data)
        (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / name).symlink_to(blob)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text("a" * 40)
    return snapshot


def test_each_quantization_of_a_repository_is_a_build_of_its_own(paths: Paths) -> None:
    other = {**LLAMA, "general.file_type": 7}
    snapshot = cached(
        paths,
        {
            "tiny-Q4_0.gguf": gguf_bytes(),
            "tiny-Q8_0.gguf": gguf_bytes(other, {"token_embd.weight": (8, (64, 300))}),
            "big/tiny-F16-00001-of-00002.gguf": gguf_bytes(),
            "big/tiny-F16-00002-of-00002.gguf": gguf_bytes(),
            "mmproj-tiny.gguf": gguf_bytes(),
        },
    )
    assert len(gguf_builds(snapshot)) == 3
    builds = {build.id: build for build in Library(paths).builds()}
    assert set(builds) == {"org/tiny-GGUF:q4_0", "org/tiny-GGUF:q8_0", "org/tiny-GGUF:f16"}
    four, sixteen = builds["org/tiny-GGUF:q4_0"], builds["org/tiny-GGUF:f16"]
    assert (four.precision, four.problem, four.bytes) == ("gguf-q4_0", "", len(gguf_bytes()))
    assert sixteen.bytes == 2 * len(gguf_bytes()) and sixteen.problem == "", "both parts"
    assert Library(paths).build("org/tiny-GGUF").path.name.startswith("tiny-")
    (snapshot / "big/tiny-F16-00002-of-00002.gguf").unlink()
    assert "00002-of-00002" in folder_facts(sixteen.path).problem
    blob = four.path.resolve()
    removal = Library(paths).remove(four)
    assert not blob.exists() and (snapshot / "tiny-Q8_0.gguf").exists(), "one of several goes alone"
    assert Library(paths).restore(removal).id == four.id and blob.exists()


def test_a_single_gguf_is_its_folder_and_its_type_comes_from_the_head(paths: Paths) -> None:
    folder = paths.builds / "tiny"
    folder.mkdir()
    (folder / "model.gguf").write_bytes(gguf_bytes())
    build = Library(paths).build("tiny")
    assert (build.path, build.precision, build.problem) == (folder, "gguf-q4_0", "")
    (folder / "model.gguf").write_bytes(gguf_bytes(missing=40))
    assert "model.gguf is damaged" in Library(paths).build("tiny").problem


def test_the_estimate_of_a_gguf_build_comes_from_its_head(paths: Paths) -> None:
    folder = paths.builds / "tiny"
    folder.mkdir()
    (folder / "tiny-Q4_0.gguf").write_bytes(gguf_bytes())
    build = Library(paths).build("tiny")
    found = estimate_build(build, 1000)
    assert found.weights == build.bytes
    assert found.kv_cache_cpu == 2 * (2 * 2 * 16) * 2 * 1000, "layers x (keys and values) x float16 x tokens"
    assert estimate_build(build).context == 4096
    windowed = {name.replace("llama.", "gemma3."): value for name, value in LLAMA.items()}
    windowed |= {"general.architecture": "gemma3", "gemma3.block_count": 12, "gemma3.attention.sliding_window": 100}
    (folder / "tiny-Q4_0.gguf").write_bytes(gguf_bytes(windowed, TENSORS))
    found = estimate_build(Library(paths).build("tiny"), 1000)
    assert found.kv_cache_cpu == (2 * 1000 + 10 * 100) * (2 * 2 * 16) * 2
