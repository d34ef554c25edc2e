"""The check of a saved build finds every way in which one was ever seen to go wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.workers.worker_job import ONE_CORE, home, quantize_job
from tui.paths import Paths
from tui.starter import MODEL_ID, starter_folder
from tui.workers.verify import compare_quality, relative_distance

KEEP_WORK = """
import shutil, sys
from pathlib import Path
import tui.workers.quantize as quantize
commit = quantize.commit
def commit_and_keep(making, target):
    shutil.copytree(Path(sys.argv[1], "work"), Path(sys.argv[1], "kept"))
    commit(making, target)
quantize.commit = commit_and_keep
from tui.workers.__main__ import main
sys.exit(main(sys.argv[1:]))
"""
COMPARE = """
import json, sys
from dataclasses import replace
from pathlib import Path
from tui.workers.quantize.checking import Request
from tui.workers.verify import compare
kept = Path(sys.argv[1])
request = Request(**json.loads((kept / "verify.json").read_text()))
request = replace(request, probes=str(kept / "probes"), texts=str(kept / "texts.json"), result=str(kept / "out"))
out = {}
for build in sys.argv[3:]:
    try:
        out[build] = compare(replace(request, build=build))["differences"]
    except Exception as error:
        out[build] = [f"{type(error).__name__}: {error}"]
json.dump(out, open(sys.argv[2], "w"))
"""


def change(build: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    tensors = load_file(build / "model.safetensors")
    edit(tensors)
    save_file(tensors, build / "model.safetensors", metadata={"format": "pt"})


def other_format(build: Path) -> None:
    for name in ("config.json", "quantize_config.json"):
        table = json.loads((build / name).read_text())
        inner = table.get("quantization_config", table)
        inner["format"] = inner["checkpoint_format"] = "gptq_v2"
        (build / name).write_text(json.dumps(table))


def zero_points(tensors: dict[str, Any]) -> None:
    tensors["model.layers.0.self_attn.v_proj.qzeros"] += 0x11111111


def swapped_layers(tensors: dict[str, Any]) -> None:
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        first, second = (f"model.layers.{n}.mlp.gate_proj.{part}" for n in (1, 2))
        tensors[first], tensors[second] = tensors[second], tensors[first]


def embeddings(tensors: dict[str, Any]) -> None:
    tensors["model.embed_tokens.weight"][100, 3] += 0.001


def norms(tensors: dict[str, Any]) -> None:
    tensors["model.norm.weight"] *= 2


def without_layer(tensors: dict[str, Any]) -> None:
    for part in ("qweight", "qzeros", "scales", "g_idx"):
        del tensors[f"model.layers.5.mlp.down_proj.{part}"]


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "whole": (lambda build: None, ""),
    "format": (other_format, "42 of 42 layers reload with other weights"),
    "zeros": (lambda build: change(build, zero_points), "self_attn.v_proj is off by"),
    "swapped": (lambda build: change(build, swapped_layers), "2 of 42 layers reload with other weights"),
    "embeddings": (lambda build: change(build, embeddings), "1 weights that are not quantized differ"),
    "norms": (lambda build: change(build, norms), "(model.norm.weight, …)"),
    "layer": (
        lambda build: change(build, without_layer),
        "4 weights are missing in the saved build (model.layers.5.mlp.down",
    ),
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the check says about a right build and about damaged copies of it, all in one fresh process."""
    root = tmp_path_factory.mktemp("verify")
    source = Path(shutil.copytree(starter_folder(), root / "starter"))
    paths = Paths.from_environment({"HEFT_HOME": str(root / "heft")}).prepare()
    job = quantize_job(paths, source, model=MODEL_ID)
    build = Path(job.run(["-c", KEEP_WORK]).result["path"])
    kept = job.job.folder / "kept"
    (kept / "texts.json").write_text(json.dumps(["A build is weights on this disk. " * 8]))
    job.close()
    copies = []
    for name, (damage, _) in DAMAGES.items():
        copies.append(Path(shutil.copytree(build, root / name)))
        damage(copies[-1])
    subprocess.run(
        [sys.executable, "-c", COMPARE, kept, root / "out.json", *copies],
        env={**os.environ, **home(paths), **ONE_CORE, "TORCHDYNAMO_DISABLE": "1", "HF_HOME": str(root / "hf")},
        check=True,
        capture_output=True,
        timeout=200,
    )
    out = json.loads((root / "out.json").read_text())
    return {name: out[str(root / name)] for name in DAMAGES}


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(found: dict[str, list[str]], name: str) -> None:
    words = DAMAGES[name][1]
    if not words:
        assert found[name] == []
    else:
        assert words in "; ".join(found[name])


def test_quality_of_a_faithful_build_passes() -> None:
    assert compare_quality(0.1, 10, 10.4, 4) == []
    assert compare_quality(1.3, 10, 80, 2) == []


@pytest.mark.parametrize(
    ("off", "after", "bits", "words"),
    [
        (1.4, 12.0, 4, "its logits are 140% off"),
        (float("inf"), 12.0, 2, "its logits are inf% off"),
        (0.2, float("nan"), 4, "not a number"),
        (0.2, float("inf"), 2, "not a number"),
        (0.2, 31.0, 8, "its perplexity is 31, the original's 10"),
    ],
)
def test_quality_that_no_faithful_build_has_is_refused(off: float, after: float, bits: int, words: str) -> None:
    assert words in "; ".join(compare_quality(off, 10, after, bits))


def test_distance_is_relative_and_never_hides_a_broken_number() -> None:
    import torch

    wanted = torch.tensor([3.0, 4.0])
    assert relative_distance(torch.tensor([3.0, 4.5]), wanted) == pytest.approx(0.1)
    assert relative_distance(torch.tensor([3.0, float("nan")]), wanted) == float("inf")
    assert relative_distance(torch.tensor([3.0]), wanted) == float("inf")
