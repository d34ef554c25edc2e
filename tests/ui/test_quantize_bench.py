"""The bench by keys: a recipe saved under a name, weights loaded in fewer bits, the ladder of a model."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.catalog.gguf_bytes import LLAMA, gguf_bytes
from tests.local_hub import LocalHub
from tests.ui.conftest import idle, screen_text
from tui.catalog.build import Quality, Recipe
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.quantities import bytes_text
from tui.starter import starter_folder
from tui.ui.app import HeftApp
from tui.ui.screens.load_screen import load_ways
from tui.workbench import Workbench


def build(paths: Paths, name: str, **facts: object) -> Path:
    folder = Path(shutil.copytree(starter_folder(), paths.builds / name))
    (folder / "heft.json").write_text(json.dumps({"model": "heft-starter", "precision": "float16"} | facts))
    return folder


def quantized(paths: Paths, bits: int, after: float) -> None:
    recipe = Recipe(bits=bits)
    quality = Quality(3.0, after, 100, "t", 0.01, 0.98, 100, 50.0, 20.0, 10**7, 10**7, 9_400_000, bits * 10**6, 0.1)
    facts = {"recipe": asdict(recipe), "quality": asdict(quality), "source_build": "heft-starter"}
    folder = build(paths, f"heft-starter-{recipe.label}", **facts)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": bits, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config))


async def test_a_recipe_is_saved_and_chosen_from_then_on(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("g", "left", "down", "down", "left", "s")
        await pilot.press(*"three-bits", "enter")
        await idle(pilot, lambda: "(three-bits)" in screen_text(app))
        assert workbench.recipes.find("three-bits").recipe == Recipe(bits=3)
        await pilot.press("enter")
        await idle(pilot, lambda: len(workbench.jobs()) == 3)
        assert workbench.jobs()[1].spec["recipe"]["bits"] == 3


async def test_weights_are_loaded_in_fewer_bits(app: HeftApp, workbench: Workbench, paths: Paths) -> None:
    build(paths, "heft-starter")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("b")
        await idle(pilot, lambda: str(paths.builds) in screen_text(app))
        await pilot.press("L", "right", "right")
        await idle(pilot, lambda: "(nf4)" in screen_text(app))
        await pilot.press("enter")
        await idle(pilot, lambda: bool(workbench.jobs()))
        assert workbench.jobs()[0].spec["load_as"] == "nf4"


def test_what_is_quantized_is_offered_as_it_is_alone(workbench: Workbench, paths: Paths) -> None:
    quantized(paths, 4, 3.1)
    ways = load_ways(workbench.build("heft-starter-gptq-4bit-g128"))
    assert ways[0][3] == ""
    assert all("quantized already" in reason for *_, reason in ways[1:])


async def test_the_ladder_shows_what_is_here_and_makes_the_rest(
    app: HeftApp, workbench: Workbench, paths: Paths
) -> None:
    build(paths, "heft-starter")
    quantized(paths, 8, 3.01)
    quantized(paths, 2, 7.2)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("b")
        await idle(pilot, lambda: "gptq-2bit-g128" in screen_text(app))
        await pilot.press("B")
        await idle(pilot, lambda: "+140.0%!" in screen_text(app))
        assert "not here yet: 2 of 5" in screen_text(app)
        assert "tokens per second" in screen_text(app)
        await pilot.press("enter")
        await idle(pilot, lambda: len(workbench.jobs()) == 2)
        jobs = workbench.jobs()
        assert [(job.kind, job.spec["recipe"]["bits"]) for job in jobs] == [(Kind.QUANTIZE, 4), (Kind.QUANTIZE, 3)]
        assert len({job.plan for job in jobs}) == 1


async def test_one_file_of_a_gguf_repository_is_chosen_by_size_and_fit(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.workbench.work.ensure_runner", lambda paths: None)
    eight = gguf_bytes({**LLAMA, "general.file_type": 7}, {"token_embd.weight": (8, (64, 300))})
    with LocalHub() as hub:
        hub.add_repo("lab/tiny-GGUF", {"tiny-Q4_0.gguf": gguf_bytes(), "tiny-Q8_0.gguf": eight}, tags=["gguf"])
        for key, value in hub.environment.items():
            monkeypatch.setenv(key, value)
        bench = Workbench(paths)
        app = HeftApp(bench)
        async with app.run_test(size=(120, 36), notifications=True) as pilot:
            await idle(pilot)
            await pilot.press("h", *"tiny")
            await idle(pilot, lambda: any(model.source == "hub" for model in app.catalog_pane.models.rows))
            await pilot.press("enter", "end", "g")
            await idle(pilot, lambda: "GGUF file" in screen_text(app))
            assert f"(● q4_0 {bytes_text(len(gguf_bytes()))})" in screen_text(app), "4 bits unless asked otherwise"
            await pilot.press("down", "right")
            await idle(pilot, lambda: f"(● q8_0 {bytes_text(len(eight))})" in screen_text(app))
            await idle(pilot, lambda: f"{bytes_text(len(eight))} in 1 files" in screen_text(app))
            await pilot.press("enter")
            await idle(pilot, lambda: len(bench.jobs()) == 2)
            fetch, serve = bench.jobs()
            assert (fetch.kind, fetch.spec["repo"], fetch.spec["gguf"]) == (Kind.DOWNLOAD, "lab/tiny-GGUF", "q8_0")
            assert serve.kind is Kind.SERVE and serve.after == (fetch.id,)
        bench.close()
