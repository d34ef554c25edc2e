"""Every family is either quantized by the library that gets it right and loaded by one that can, or refused in time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.families import FAMILIES, family_folder
from tests.workers.worker_job import ONE_CORE
from tui.catalog.build import Recipe
from tui.errors import RecipeError
from tui.fit.quantize_plan import make_plan

BY_GPTQMODEL = {"falcon", "gpt2", "qwen3_moe", "olmoe", "mixtral"}
"""Plain transformers loads what is made of these as garbage, or not at all."""
REFUSED = {
    "rwkv": "no GPTQ library knows RWKV",
    "t5": "encoder-decoder",
}
COMMAND = Path(__file__).parents[1] / "benchmarks" / "families.py"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("families")
    return {family: family_folder(family, root / family, steps=0) for family in FAMILIES}


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_route_of_a_family(folders: dict[str, Path], family: str) -> None:
    def plan(**changes: object) -> object:
        recipe = replace(Recipe(), **changes)  # type: ignore[arg-type]
        return make_plan(folders[family], recipe, device="cpu", native_bfloat16=False)

    if family in REFUSED:
        with pytest.raises(RecipeError, match=REFUSED[family]):
            plan()
        return
    made = plan()
    assert made.route == ("optimum" if family == "phi3" else "gptqmodel")  # type: ignore[attr-defined]
    assert made.loader == ("gptqmodel" if family in BY_GPTQMODEL else "transformers")  # type: ignore[attr-defined]
    assert made.layers == 2  # type: ignore[attr-defined]
    if family in BY_GPTQMODEL:
        with pytest.raises(RecipeError, match="optimum"):
            plan(route="optimum")


@pytest.mark.slow
def test_what_transformers_cannot_reload_is_made_and_loaded_by_gptqmodel(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["--family", "falcon", "rwkv", "--recipe", "rtn-4", "--steps", "15", "--json", str(out)]
    done = subprocess.run(
        [sys.executable, COMMAND, *words],
        env={**os.environ, **ONE_CORE},
        capture_output=True,
        check=False,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    falcon, rwkv = json.loads(out.read_text())
    assert (falcon["loader"], falcon["quantized_modules"]) == ("gptqmodel", 8), falcon
    quality = falcon["quality"]
    assert quality["perplexity_after"] < 1.1 * quality["perplexity_before"]
    assert quality["kl_divergence"] < 0.1 and quality["speed_after"] > 0
    assert "no GPTQ library knows RWKV" in rwkv["refused"]
