"""The builds on this disk: what counts, how it is named, found, removed and brought back."""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from tests.catalog.folders import add_cached, cache_model, write_model
from tests.catalog.gguf_bytes import gguf_bytes
from tui.catalog import build_folder
from tui.catalog.build import Recipe
from tui.catalog.library import Library, read_provenance, write_provenance
from tui.errors import BuildBrokenError, NotFoundError, UsageError
from tui.paths import Paths


def own_build(paths: Paths, name: str, **facts: object) -> Path:
    folder = write_model(paths.builds / name)
    write_provenance(folder, facts)
    return folder


def test_an_empty_disk_has_no_builds(paths: Paths) -> None:
    assert Library(paths).builds() == []
    with pytest.raises(NotFoundError, match="no build 'x'") as caught:
        Library(paths).build("x")
    assert "heft pull" in caught.value.hint


def test_own_builds_carry_their_provenance(paths: Paths) -> None:
    recipe = Recipe(bits=4, group_size=64, seed=7)
    own_build(
        paths,
        "tiny-4bit",
        model="tiny",
        repo="org/tiny",
        revision="abc",
        recipe=asdict(recipe) | {"unknown": 1},
        quality={"perplexity_before": 8, "perplexity_after": 8.4, "tokens": 100, "text": "held\x1bout"},
        extra=[1],
    )
    (build,) = Library(paths).builds()
    assert (build.id, build.model, build.repo, build.revision) == ("tiny-4bit", "tiny", "org/tiny", "abc")
    assert build.recipe == recipe
    assert (
        build.quality and build.quality.relative_loss == pytest.approx(0.05) and build.quality.text == "held\ufffdout"
    )
    assert build.precision == "bfloat16" and build.problem == "" and build.source == "heft"
    assert build.provenance["extra"] == [1]
    assert build.created.startswith(time.strftime("%Y"))
    assert build.bytes == sum(file.stat().st_size for file in build.path.iterdir())


def test_what_is_being_made_and_what_holds_nothing_is_no_build(paths: Paths) -> None:
    write_model(paths.builds / ".making-7")
    (paths.builds / "empty").mkdir()
    (paths.builds / "readme-only").mkdir()
    (paths.builds / "readme-only" / "README.md").touch()
    (paths.builds / "stray-file").touch()
    write_model(paths.builds / "copied-by-hand")
    assert [build.id for build in Library(paths).builds()] == ["copied-by-hand"]


def test_broken_builds_are_listed_with_the_file(paths: Paths) -> None:
    folder = own_build(paths, "broken")
    (folder / "model.safetensors").unlink()
    other = own_build(paths, "torn")
    (other / "heft.json").write_text("{")
    problems = {build.id: build.problem for build in Library(paths).builds()}
    assert "there is no .safetensors" in problems["broken"]
    assert "heft.json cannot be read" in problems["torn"]
    with pytest.raises(BuildBrokenError):
        read_provenance(other)
    assert read_provenance(folder)["created"]
    assert read_provenance(paths.builds) == {}


def test_provenance_is_never_torn(paths: Paths) -> None:
    folder = own_build(paths, "b", model="one")
    with pytest.raises(TypeError):
        write_provenance(folder, {"bad": object()})
    assert read_provenance(folder)["model"] == "one"
    assert [file.name for file in folder.iterdir() if file.name.startswith(".")] == []


def test_cached_snapshots_are_builds_when_they_hold_a_model(paths: Paths) -> None:
    cache_model(paths.hub_cache, "org/whole", "a" * 40)
    cache_model(paths.hub_cache, "org/whole", "b" * 40, main=False)
    cache_model(paths.hub_cache, "bare", "c" * 40)
    short = cache_model(paths.hub_cache, "org/short", "d" * 40, shards=3)
    (short / "model-00003-of-00003.safetensors").unlink()
    readme_only = paths.hub_cache / "models--org--browsed" / "snapshots" / ("e" * 40)
    add_cached(readme_only, "README.md", b"hello")
    add_cached(paths.hub_cache / "models--org--config" / "snapshots" / ("f" * 40), "config.json", b"{}")
    (paths.hub_cache / "datasets--org--data" / "snapshots").mkdir(parents=True)
    builds = {build.id: build for build in Library(paths).builds()}
    assert list(builds) == ["bare", "org/short", "org/whole", "org/whole@bbbbbbbb"]
    assert builds["org/short"].problem == "model-00003-of-00003.safetensors is missing"
    whole = builds["org/whole"]
    assert (whole.problem, whole.source, whole.model, whole.revision) == ("", "hub-cache", "org/whole", "a" * 40)
    assert whole.bytes == sum(file.stat().st_size for file in whole.path.iterdir())


def test_a_half_downloaded_snapshot_in_a_real_download_is_not_offered(paths: Paths) -> None:
    snapshot = cache_model(paths.hub_cache, "org/half")
    blob = (snapshot / "model.safetensors").resolve()
    blob.rename(blob.with_name(blob.name + ".incomplete"))
    (build,) = Library(paths).builds()
    assert build.problem == "model.safetensors is a link to a file that is gone"


def test_builds_are_found_by_id_folder_and_model(paths: Paths) -> None:
    quantized = own_build(paths, "tiny-4bit", model="tiny", repo="org/tiny", recipe={}, created="2026-03-01")
    own_build(paths, "tiny-old", model="tiny", repo="org/tiny", created="2026-01-01")
    plain = own_build(paths, "tiny-new", model="tiny", repo="org/tiny", created="2026-02-01")
    broken = own_build(paths, "tiny-broken", model="tiny", created="2026-09-01")
    (broken / "config.json").unlink()
    library = Library(paths)
    assert library.build("tiny-4bit").path == quantized
    assert library.build("TINY-4BIT").path == quantized
    assert library.build(str(quantized)).id == "tiny-4bit"
    assert library.build("tiny").path == plain
    assert library.build("Org/Tiny").path == plain
    with pytest.raises(NotFoundError) as caught:
        library.build("nothing\x1b[31m")
    assert "tiny-4bit" in caught.value.hint and "\x1b" not in caught.value.summary


def test_any_folder_can_be_named(paths: Paths, tmp_path: Path) -> None:
    folder = write_model(tmp_path / "elsewhere")
    build = Library(paths).build(str(folder))
    assert (build.id, build.source, build.problem) == (str(folder), "folder", "")


def test_remove_and_restore(paths: Paths) -> None:
    folder = own_build(paths, "gone", model="tiny")
    library = Library(paths)
    removal = library.remove(library.build("gone"))
    assert not folder.exists() and library.builds() == []
    (lying,) = library.trash()
    assert lying.trash == removal.trash and lying.build.id == "gone"
    assert library.restore(removal).problem == "" and folder.exists()
    assert library.trash() == [] and [build.id for build in library.builds()] == ["gone"]
    with pytest.raises(NotFoundError, match="no longer in the trash"):
        library.restore(removal)


def test_restore_never_overwrites(paths: Paths) -> None:
    own_build(paths, "name", model="first")
    library = Library(paths)
    removal = library.remove(library.build("name"))
    own_build(paths, "name", model="second")
    with pytest.raises(UsageError, match="another build"):
        library.restore(removal)
    assert library.build("name").model == "second" and removal.trash and removal.trash.exists()


def test_remove_takes_a_link_and_not_what_it_points_to(paths: Paths, tmp_path: Path) -> None:
    outside = write_model(tmp_path / "precious")
    (paths.builds / "link").symlink_to(outside)
    library = Library(paths)
    removal = library.remove(library.build("link"))
    assert (outside / "model.safetensors").exists() and not (paths.builds / "link").exists()
    assert removal.trash and removal.trash.is_symlink()
    library.empty_trash()
    assert (outside / "model.safetensors").exists()


def test_empty_trash_frees_what_it_says(paths: Paths) -> None:
    folder = own_build(paths, "gone")
    inside = folder / "link-out"
    inside.symlink_to(paths.config)
    library = Library(paths)
    build = library.build("gone")
    library.remove(build)
    assert library.empty_trash() == build.bytes
    assert library.trash() == [] and paths.config.is_dir() and library.empty_trash() == 0


def test_remove_refuses_what_is_not_ours(paths: Paths, tmp_path: Path) -> None:
    library = Library(paths)
    foreign = library.build(str(write_model(tmp_path / "elsewhere")))
    with pytest.raises(UsageError, match="not in Heft's builds folder"):
        library.remove(foreign)
    own_build(paths, "twice")
    build = library.build("twice")
    library.remove(build)
    with pytest.raises(NotFoundError, match="is gone"):
        library.remove(build)
    assert (tmp_path / "elsewhere" / "config.json").exists()


def scanned(paths: Paths) -> tuple[set[tuple[str, int]], list[str]]:
    cache = scan_cache_dir(paths.hub_cache)
    revisions = {(item.commit_hash, item.nb_files) for repo in cache.repos for item in repo.revisions}
    return revisions, [str(warning) for warning in cache.warnings]


def test_a_cached_revision_waits_in_the_trash_and_leaves_what_others_share(paths: Paths) -> None:
    kept = cache_model(paths.hub_cache, "org/two", "a" * 40)
    old = cache_model(paths.hub_cache, "org/two", "b" * 40, main=False)
    add_cached(old, "extra.bin", bytes(5000))
    (kept.parent.parent / "refs/old").write_text("b" * 40)
    before = scanned(paths)
    library = Library(paths)
    removal = library.remove(library.build("org/two@bbbbbbbb"))
    assert not old.exists() and (kept / "model.safetensors").read_bytes()
    assert [build.id for build in library.builds()] == ["org/two"]
    assert scanned(paths) == ({item for item in before[0] if item[0] == "a" * 40}, [])
    with pytest.raises(NotFoundError, match="not a revision"):
        library.remove(removal.build)
    (waiting,) = library.trash()
    assert (waiting.build.repo, waiting.build.revision, waiting.refs) == ("org/two", "b" * 40, ("old",))
    assert library.restore(waiting).revision == "b" * 40
    assert (old / "extra.bin").read_bytes() == bytes(5000)
    assert scanned(paths) == before and library.trash() == []
    assert (kept.parent.parent / "refs/old").read_text() == "b" * 40


def test_the_only_revision_goes_and_comes_with_its_folder(paths: Paths) -> None:
    only = cache_model(paths.hub_cache, "org/one", "c" * 40)
    library = Library(paths)
    removal = library.remove(library.build("org/one"))
    assert not only.parent.parent.exists() and library.builds() == []
    cache_model(paths.hub_cache, "org/one", "c" * 40)  # it was fetched again
    with pytest.raises(UsageError, match="downloaded again meanwhile"):
        library.restore(library.trash()[0])
    shutil.rmtree(only.parent.parent)
    assert library.restore(removal).path == only
    assert not library.build("org/one").problem and library.trash() == []
    library.remove(library.build("org/one"))
    assert library.empty_trash() > 0
    assert list(paths.hub_cache.parent.glob(".heft-trash")) == []


def test_one_gguf_file_of_several_waits_in_the_trash(paths: Paths) -> None:
    folder = cache_model(paths.hub_cache, "org/many", "d" * 40)
    for path in list(folder.iterdir()):
        path.unlink()
    for kind in ("Q4_K_M", "Q8_0"):
        add_cached(folder, f"tiny-{kind}.gguf", gguf_bytes() + kind.encode())
    library = Library(paths)
    chosen = next(build for build in library.builds() if build.path.name == "tiny-Q8_0.gguf")
    data = chosen.path.read_bytes()
    blobs = len(list((folder.parent.parent / "blobs").iterdir()))
    removal = library.remove(chosen)
    assert [build.path.name for build in library.builds() if not build.problem] in ([folder.name], ["tiny-Q4_K_M.gguf"])
    assert len(list((folder.parent.parent / "blobs").iterdir())) == blobs - 1
    (waiting,) = library.trash()
    assert (waiting.build.path, waiting.build.bytes) == (chosen.path, len(data)) and waiting.trash == removal.trash
    assert library.restore(waiting).path == chosen.path
    assert chosen.path.read_bytes() == data and library.trash() == []


def test_an_unchanged_library_reads_no_header_twice(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        own_build(paths, f"b{number}")
    library = Library(paths)
    first = library.builds()
    monkeypatch.setattr(build_folder, "read_safetensors_header", lambda file: pytest.fail(f"read {file} again"))
    assert library.builds() == first and len(first) == 5
