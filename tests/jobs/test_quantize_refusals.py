"""A recipe that cannot work is refused before a job is asked for, wherever the weights are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fit.test_quantize_plan import model_folder
from tests.local_hub import LocalHub, safetensors
from tui.catalog.build import Recipe
from tui.catalog.library import write_provenance
from tui.errors import NotFoundError, RecipeError
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.workbench import Workbench


@pytest.fixture
def bench(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """A workbench whose runner stays at home."""
    monkeypatch.setattr("tui.workbench.work.ensure_runner", lambda paths: None)
    made = Workbench(paths)
    yield made
    made.close()


def test_a_repository_of_the_hub_is_refused_by_its_config(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.workbench.work.ensure_runner", lambda paths: None)
    weights = safetensors(20_000)
    with LocalHub() as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        config = {"model_type": "rwkv", "architectures": ["RwkvForCausalLM"]}
        hub.add_repo("org/rwkv", {"config.json": json.dumps(config).encode(), "model.safetensors": weights})
        bench = Workbench(paths)
        model = bench.model("org/rwkv")
        with pytest.raises(RecipeError, match="no GPTQ library knows RWKV"):
            bench.quantize(model, Recipe())
        assert any("no GPTQ library knows RWKV" in problem for problem in bench.preflight(model, Recipe()).problems)
        assert bench.jobs() == []
        bench.close()


def test_a_build_is_refused_by_its_layers(bench: Workbench, paths: Paths) -> None:
    folder = model_folder(paths.builds / "odd")
    write_provenance(folder, {"model": "odd"})
    build = bench.build("odd")
    with pytest.raises(RecipeError, match=r"model\.layers\.0\.mlp\.down_proj has 192 input features") as caught:
        bench.quantize_build(build, Recipe(group_size=128))
    assert caught.value.hint == "use group size 64"
    found = bench.preflight(bench.model("odd"), Recipe(group_size=128), build)
    assert "down_proj has 192 input features" in found.problems[0]
    assert bench.preflight(bench.model("odd"), Recipe(group_size=64), build).problems == ()
    assert bench.jobs() == []


def test_a_named_text_is_no_file(bench: Workbench, paths: Paths) -> None:
    folder = model_folder(paths.builds / "even")
    write_provenance(folder, {"model": "even"})
    recipe = Recipe(group_size=64)
    with pytest.raises(NotFoundError, match="no calibration file"):
        bench.quantize_build(bench.build("even"), replace(recipe, calibration="nowhere.txt"))
    (job,) = bench.quantize_build(bench.build("even"), replace(recipe, calibration="code"))
    assert job.spec["recipe"]["calibration"] == "code"


def test_the_ladder_takes_groups_that_every_layer_takes(bench: Workbench, paths: Paths) -> None:
    write_provenance(model_folder(paths.builds / "even"), {"model": "even"})
    jobs = bench.ladder(bench.model("even"))
    assert [job.spec["recipe"]["bits"] for job in jobs] == [8, 4, 3, 2]
    assert {job.spec["recipe"]["group_size"] for job in jobs} == {64}
    assert {job.kind for job in jobs} == {Kind.QUANTIZE} and len({job.plan for job in jobs}) == 1
    again = bench.ladder(bench.model("even"))
    assert [job.id for job in again] == [job.id for job in jobs]


def test_a_dry_run_is_asked_for_as_one_job(bench: Workbench, paths: Paths) -> None:
    write_provenance(model_folder(paths.builds / "even"), {"model": "even"})
    job = bench.dry_run(bench.build("even"), Recipe(group_size=64))
    assert job.spec["dry_run"] is True and Path(job.spec["path"]).name == "even"


def test_evaluate_is_given_the_original(bench: Workbench, paths: Paths) -> None:
    write_provenance(model_folder(paths.builds / "even"), {"model": "even"})
    table = {"quant_method": "gptq", "bits": 4, "group_size": 64}
    made = model_folder(paths.builds / "small", quantization_config=table)
    write_provenance(made, {"model": "even", "source_build": "even"})
    assert bench.evaluate(bench.build("small")).spec["original"] == str(paths.builds / "even")
    assert "original" not in bench.evaluate(bench.build("even")).spec


def test_loading_in_fewer_bits_is_refused_for_what_is_quantized(bench: Workbench, paths: Paths) -> None:
    write_provenance(model_folder(paths.builds / "even"), {"model": "even"})
    job = bench.serve(bench.build("even"), load_as="nf4")
    assert job.spec["load_as"] == "nf4"
    assert bench.serve(bench.build("even"), load_as="nf4").id == job.id
    assert bench.serve(bench.build("even")).id != job.id
    table = {"quant_method": "gptq", "bits": 4, "group_size": 64}
    write_provenance(model_folder(paths.builds / "small", quantization_config=table), {"model": "even"})
    with pytest.raises(RecipeError, match="quantized already"):
        bench.serve(bench.build("small"), load_as="nf4")
