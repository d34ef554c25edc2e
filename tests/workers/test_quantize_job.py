"""Real quantize jobs of the starter: through a real store, a real worker process and the real libraries."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from safetensors import safe_open

from tests.patience import patient
from tests.workers.worker_job import SMALL, WorkerJob, quantize_job
from tui.catalog.build import Recipe
from tui.catalog.build_folder import folder_problem
from tui.catalog.library import Library
from tui.jobs.job import Kind, State
from tui.jobs.job_folder import read_spec
from tui.paths import Paths
from tui.starter import MODEL_ID, starter_folder

pytestmark = pytest.mark.slow

Until = Callable[..., object]

CORRUPTING = """
import sys
import tui.workers.quantize as quantize
from safetensors.torch import load_file, save_file
finish = quantize.finish
def finish_and_corrupt(plan, making):
    finish(plan, making)
    tensors = load_file(making / "model.safetensors")
    tensors["model.layers.3.mlp.up_proj.qzeros"] += 0x11111111
    save_file(tensors, making / "model.safetensors", metadata={"format": "pt"})
quantize.finish = finish_and_corrupt
from tui.workers.__main__ import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy, so that a starter that is being trained anew does not change under a test."""
    return Path(shutil.copytree(starter_folder(), tmp_path_factory.mktemp("source") / "starter"))


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkerJob]:
    """The starter in 4 bits with groups of 128, made once by GPTQModel's loop."""
    paths = Paths.from_environment({"HEFT_HOME": str(tmp_path_factory.mktemp("heft"))}).prepare()
    job = quantize_job(paths, source, name="starter-4bit", model=MODEL_ID)
    job.run()
    yield job
    job.close()


def folder(job: WorkerJob) -> Path:
    return Path(job.job.result["path"])


def weights_hash(path: Path) -> str:
    return hashlib.sha256((path / "model.safetensors").read_bytes()).hexdigest()


def leftovers(paths: Paths) -> list[str]:
    return sorted(entry.name for entry in paths.builds.iterdir())


def test_four_bits_cost_less_than_five_percent(made: WorkerJob, source: Path) -> None:
    result = made.job.result
    assert made.job.state is State.DONE
    assert result["build"] == "starter-4bit"
    assert result["quantized_modules"] == 42
    before, after = result["quality"]["perplexity_before"], result["quality"]["perplexity_after"]
    assert 1 < before < 50
    assert after / before - 1 < 0.05
    assert result["bytes"] < 0.45 * sum(file.stat().st_size for file in source.iterdir())


def test_the_folder_is_an_ordinary_one(made: WorkerJob, source: Path) -> None:
    path = folder(made)
    assert folder_problem(path) == ""
    assert leftovers(made.paths) == ["starter-4bit"]
    names = {file.name for file in path.iterdir()}
    assert {"config.json", "quantize_config.json", "model.safetensors", "tokenizer.json", "heft.json"} <= names
    assert not any(name.endswith((".bin", ".pt", ".csv")) for name in names)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (path / name).read_bytes() == (source / name).read_bytes()
    with safe_open(path / "model.safetensors", framework="numpy") as file:
        assert file.get_tensor("model.embed_tokens.weight").dtype.name == "float16"


def test_both_configs_say_the_same_and_keep_no_secrets(made: WorkerJob, source: Path) -> None:
    path = folder(made)
    config = json.loads((path / "config.json").read_text())
    table = json.loads((path / "quantize_config.json").read_text())
    assert config.pop("quantization_config") == table
    assert (table["format"], table["checkpoint_format"], table["bits"], table["group_size"]) == ("gptq", "gptq", 4, 128)
    assert "dataset" not in table
    assert config == json.loads((source / "config.json").read_text())
    for file in ("config.json", "quantize_config.json"):
        assert "/" not in (path / file).read_text().replace("</", "")


def test_the_library_lists_it_with_its_origin(made: WorkerJob) -> None:
    (build,) = Library(made.paths).builds()
    assert (build.id, build.problem, build.precision, build.model) == ("starter-4bit", "", "gptq-4bit-g128", MODEL_ID)
    assert build.recipe == SMALL
    assert build.quality is not None and build.quality.relative_loss is not None
    facts = build.provenance
    calibration = {key: facts["calibration"][key] for key in ("kind", "samples", "tokens")}
    assert calibration == {"kind": "built-in", "samples": 16, "tokens": 2048}
    assert sum(facts["calibration"]["kinds"].values()) == 16
    assert facts["versions"]["gptqmodel"]
    assert facts["files"]["model.safetensors"] == weights_hash(build.path)
    assert facts["peak_memory"] > 100_000_000
    assert len(facts["losses"]) == 42


def test_a_finished_job_keeps_its_log_and_nothing_large(made: WorkerJob) -> None:
    assert sum(file.stat().st_size for file in made.job.folder.rglob("*") if file.is_file()) < 300_000
    assert list(made.elsewhere.iterdir()) == []
    assert made.log.count("\r") == 0
    assert "\x1b[" not in made.log


def test_progress_counts_layers(made: WorkerJob) -> None:
    progress = made.job.progress
    assert len(progress.details["losses"]) == 6 and all(loss > 0 for loss in progress.details["losses"])
    assert (progress.done, progress.total, progress.unit) == (6, 6, "layers")
    assert progress.details["memory"] > 100_000_000


def test_the_same_again_is_done_at_once(made: WorkerJob, source: Path) -> None:
    again = quantize_job(made.paths, source, name="starter-4bit", model=MODEL_ID)
    started = time.monotonic()
    job = again.run()
    assert time.monotonic() - started < patient(10)
    assert (job.state, job.result["path"]) == (State.DONE, made.job.result["path"])
    again.close()


def test_another_recipe_does_not_take_the_name(made: WorkerJob, source: Path) -> None:
    other = quantize_job(made.paths, source, replace(SMALL, bits=8), name="starter-4bit", model=MODEL_ID)
    failure = other.run().failure
    assert failure is not None
    assert failure.summary == "there is a build named starter-4bit already, made otherwise"
    assert "heft rm starter-4bit" in failure.hint
    other.close()


def test_what_is_quantized_is_not_quantized_again(made: WorkerJob, paths: Paths) -> None:
    job = quantize_job(paths, folder(made))
    failure = job.run().failure
    assert failure is not None
    assert failure.summary == "starter-4bit is already quantized (gptq-4bit-g128)"
    assert leftovers(paths) == []
    job.close()


def test_a_broken_source_is_refused(source: Path, paths: Paths, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(source, tmp_path / "broken"))
    with (broken / "model.safetensors").open("r+b") as file:
        file.truncate(1_000_000)
    job = quantize_job(paths, broken)
    failure = job.run().failure
    assert failure is not None
    assert "broken is not whole: model.safetensors is damaged" in failure.summary
    assert leftovers(paths) == []
    job.close()


def test_what_quantizing_cost_is_measured_on_all_sides(made: WorkerJob) -> None:
    quality = made.job.result["quality"]
    assert 0 < quality["kl_divergence"] < 0.1
    assert 0.9 < quality["top1_agreement"] < 1
    assert quality["positions"] == 2048 or quality["positions"] <= quality["tokens"]
    assert quality["speed_before"] > 0 and quality["speed_after"] > 0
    assert quality["memory_before"] > 0 and quality["memory_after"] > 0
    assert quality["size_after"] < 0.45 * quality["size_before"]
    assert (quality["limit"], made.job.result["flagged"]) == (0.1, False)
    assert made.job.result["kernels"] == ["TorchAtenLinear"]


def test_evaluate_agrees_with_what_quantizing_measured(made: WorkerJob, source: Path) -> None:
    spec = {"build": "starter-4bit", "path": str(folder(made)), "text": "", "original": str(source)}
    (made.paths.config / "config.toml").write_text("[quantize]\nloss_limit = 0.000001")
    job = WorkerJob(made.paths, Kind.EVALUATE, "starter-4bit", spec)
    result, before = job.run().result, made.job.result["quality"]
    (made.paths.config / "config.toml").unlink()
    assert result["perplexity"] == pytest.approx(before["perplexity_after"], rel=1e-6)
    assert (result["tokens"], result["text"]) == (before["tokens"], "starter held-out")
    for name in ("perplexity_before", "kl_divergence", "top1_agreement", "positions", "size_before", "size_after"):
        assert result["quality"][name] == pytest.approx(before[name], rel=1e-4), name
    assert not (job.job.folder / "logits.bin").exists()
    (build,) = Library(made.paths).builds()
    assert build.quality is not None and build.quality.limit == 0.000001
    assert build.quality.is_flagged == (build.quality.relative_loss > 0.000001)
    job.close()


@pytest.mark.parametrize(
    ("recipe", "table"),
    [
        (
            replace(SMALL, method="awq", sym=False, samples=4, sample_length=64),
            {"quant_method": "awq", "version": "gemm", "zero_point": True},
        ),
        (replace(SMALL, method="rtn"), {"quant_method": "gptq", "format": "gptq", "sym": True}),
    ],
    ids=["awq", "rtn"],
)
def test_other_methods_make_builds_that_reload(source: Path, paths: Paths, recipe: Recipe, table: dict) -> None:
    job = quantize_job(paths, source, recipe, model=MODEL_ID)
    result = job.run().result
    assert (result["quantized_modules"], result["loader"]) == (42, "transformers")
    assert result["quality"]["perplexity_after"] / result["quality"]["perplexity_before"] < 1.05
    saved = json.loads((folder(job) / "config.json").read_text())["quantization_config"]
    assert saved | table == saved
    (build,) = Library(paths).builds()
    assert build.precision == recipe.label
    assert job.job.progress.done == 6
    job.close()


def test_a_dry_run_predicts_and_leaves_nothing(made: WorkerJob, source: Path, paths: Paths) -> None:
    job = quantize_job(paths, source, model=MODEL_ID)
    spec = read_spec(job.job.folder)
    job.close()
    job = WorkerJob(paths, Kind.QUANTIZE, MODEL_ID, spec["spec"] | {"dry_run": True})
    result = job.run().result
    assert (result["layers"], result["dry_run"]) == (6, True)
    assert result["layer_seconds"] > 0
    assert result["predicted_seconds"] > 6 * result["layer_seconds"]
    assert result["predicted_bytes"] == pytest.approx(made.job.result["quality"]["size_after"], rel=0.05)
    assert leftovers(paths) == []
    assert not (job.job.folder / "work").exists()
    job.close()


def test_the_optimum_route_makes_the_same_kind_of_build(source: Path, paths: Paths) -> None:
    job = quantize_job(paths, source, replace(SMALL, route="optimum"), model=MODEL_ID)
    result = job.run().result
    assert result["route"] == "optimum"
    assert result["quantized_modules"] == 42
    assert result["quality"]["perplexity_after"] / result["quality"]["perplexity_before"] < 1.05
    table = json.loads((folder(job) / "quantize_config.json").read_text())
    assert table == json.loads((folder(job) / "config.json").read_text())["quantization_config"]
    assert table["format"] == table["checkpoint_format"] == "gptq"
    assert "dataset" not in (folder(job) / "config.json").read_text()
    assert "layer 6 of 6: mlp." in job.log or job.job.progress.done == 6
    job.close()


def test_eight_bits_in_small_groups_cost_next_to_nothing(source: Path, paths: Paths) -> None:
    job = quantize_job(paths, source, replace(SMALL, bits=8, group_size=32), model=MODEL_ID)
    quality = job.run().result["quality"]
    assert quality["perplexity_after"] / quality["perplexity_before"] < 1.005
    job.close()


def test_a_cancel_is_heard_within_two_seconds_and_leaves_nothing(source: Path, paths: Paths, until: Until) -> None:
    job = quantize_job(paths, source, replace(SMALL, samples=400), model=MODEL_ID)
    process = job.start()
    until(lambda: job.job.progress.done > 0.5, 90, "the first layer")
    assert leftovers(paths) == [f".making-{job.id}"]
    told = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 128 + signal.SIGTERM
    assert time.monotonic() - told < patient(2.2)
    assert leftovers(paths) == []
    assert job.job.state is State.RUNNING  # the runner decides what a stopped job becomes
    job.close()


def test_a_killed_job_goes_on_where_it_was_and_makes_the_same_weights(
    made: WorkerJob, source: Path, paths: Paths, until: Until
) -> None:
    job = quantize_job(paths, source, model=MODEL_ID)
    process = job.start()
    checkpoint = job.job.folder / "work" / "checkpoint" / "CURRENT"
    until(lambda: checkpoint.exists() and job.job.progress.done >= 2, 90, "two layers and a checkpoint")
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert leftovers(paths) == [f".making-{job.id}"]
    killed = len(job.log)
    job.again()
    job.run()
    second = job.log[killed:]
    assert "going on from the last finished layer" in second
    assert re.search(r"quantizing layers [2-6] to 6", second)
    assert "quantizing layers 1 to 6" not in second
    assert weights_hash(folder(job)) == weights_hash(folder(made))
    assert leftovers(paths) == ["out"]
    job.close()


def test_a_build_that_was_damaged_while_it_was_saved_never_gets_its_name(source: Path, paths: Paths) -> None:
    job = quantize_job(paths, source, replace(SMALL, method="rtn"), model=MODEL_ID)
    failure = job.run(["-c", CORRUPTING]).failure
    assert failure is not None
    assert "refused: 1 of 42 layers reload with other weights (model.layers.3.mlp.up_proj is off by" in failure.summary
    assert leftovers(paths) == []
    job.close()


def test_a_full_disk_is_no_failure(source: Path, paths: Paths) -> None:
    full = (
        "import sys, tui.workers.quantize.assembly as f; f.free_space = lambda folder: 10_000_000\n"
        "from tui.workers.__main__ import main; sys.exit(main(sys.argv[1:]))"
    )
    job = quantize_job(paths, source, model=MODEL_ID)
    assert job.start(["-c", full]).wait(60) == os.EX_TEMPFAIL
    assert job.job.state is State.RUNNING and job.job.failure is None
    assert leftovers(paths) == []
    job.close()


def test_a_recipe_from_another_time_is_refused(source: Path, paths: Paths) -> None:
    spec = {"model": "m", "build": "", "path": str(source), "name": "out", "recipe": asdict(SMALL) | {"bits": 5}}
    job = WorkerJob(paths, Kind.QUANTIZE, "m", spec)
    failure = job.run().failure
    assert failure is not None and failure.summary == "5 bits are not possible with GPTQ"
    job.close()
