from __future__ import annotations

import pytest

from tests.local_hub import LocalHub
from tests.ui.conftest import idle, screen_text
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.ui.app import HeftApp
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.screens.model_screen import ModelScreen
from tui.ui.screens.recipe_screen import RecipeScreen
from tui.workbench import Workbench


def pane(app: HeftApp) -> CatalogPane:
    return app.query_one(CatalogPane)


async def test_the_filter_narrows_as_one_types_and_esc_gives_all_back(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        total = len(pane(app).models.rows)
        await pilot.press("slash", *"starter")
        await pilot.pause()
        assert [model.id for model in pane(app).models.rows] == ["heft-starter"]
        assert f"1 of {total:,}" in screen_text(app)
        await pilot.press("enter")
        assert pane(app).models.has_focus
        await pilot.press("escape")
        assert len(pane(app).models.rows) == total


async def test_no_match_says_what_to_do(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("slash", *"zzzz")
        await pilot.pause()
        shown = screen_text(app)
        assert "No model matches." in shown and "asks the hub" in shown


async def test_chips_filter_and_are_shown(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        total = len(pane(app).models.rows)
        await pilot.press("o", "o")
        assert all(model.is_api for model in pane(app).models.rows) and pane(app).models.rows
        assert " APIs " in screen_text(app)
        await pilot.press("o", "f")
        assert 0 < len(pane(app).models.rows) < total
        assert " fits " in screen_text(app)


async def test_an_api_cannot_be_fetched_and_says_so(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("o", "o", "g")
        assert len(app.screen_stack) == 1
        assert "there is nothing to get" in app.notes[-1].text or "retired" in app.notes[-1].text


async def test_enter_shows_the_facts_the_fit_and_the_card(app: HeftApp) -> None:
    async with app.run_test(size=(120, 90), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("enter")
        await idle(pilot, lambda: "Will it fit?" in screen_text(app) and "Intended use" in screen_text(app))
        assert isinstance(app.screen, ModelScreen)
        shown = screen_text(app)
        for part in ("4-bit", "fits now", "Apache-2.0", "parameters", "Files", "model.safetensors"):
            assert part in shown
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_getting_a_model_shows_the_totals_then_queues_the_chain(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("g")
        await idle(pilot, lambda: "to download" in screen_text(app))
        assert isinstance(app.screen, RecipeScreen)
        await pilot.press("right")
        await idle(pilot, lambda: "result" in screen_text(app))
        await pilot.press("enter")
        await idle(pilot, lambda: len(workbench.jobs()) == 3)
        jobs = workbench.jobs()
        assert [job.kind for job in jobs] == [Kind.DOWNLOAD, Kind.QUANTIZE, Kind.SERVE]
        assert jobs[1].spec["recipe"]["bits"] == 4
        await idle(pilot, lambda: "quantize" in screen_text(app))
        assert "└" in screen_text(app)


async def test_a_custom_recipe_reaches_the_job(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("g", "left")
        keys = ["down", "down", "right", "down", "left", "left", "down", "right", *["down"] * 8, "right"]
        await pilot.press(*keys)
        await idle(pilot)
        assert "desc_act" in screen_text(app)
        await pilot.press("enter")
        await idle(pilot, lambda: len(workbench.jobs()) == 2)
        recipe = workbench.jobs()[1].spec["recipe"]
        assert (recipe["bits"], recipe["group_size"], recipe["desc_act"], recipe["sym"]) == (8, 32, True, True)


async def test_the_starter_is_one_key_away_from_the_chat(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("4", "g")
        await idle(pilot, lambda: len(workbench.jobs()) == 2)
        assert [job.kind for job in workbench.jobs()] == [Kind.DOWNLOAD, Kind.SERVE]


async def test_an_unreachable_hub_is_said_and_is_not_an_empty_result(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("h", *"zzzz")
        await idle(pilot, lambda: "hub unreachable" in screen_text(app))
        assert "found" not in screen_text(app)


@pytest.fixture
def hub() -> LocalHub:
    with LocalHub() as server:
        server.add_repo("lab/tiny-talker", {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"x" * 100})
        yield server  # type: ignore[misc]


async def test_the_hub_is_searched_as_one_types_and_its_rows_are_marked(
    hub: LocalHub, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in hub.environment.items():
        monkeypatch.setenv(name, value)
    bench = Workbench(paths)
    app = HeftApp(bench)
    async with app.run_test(size=(200, 50), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("h", *"tiny-talker")
        await idle(pilot, lambda: "lab/tiny-talker" in [model.repo for model in pane(app).models.rows])
        row = next(row for row in screen_text(app).splitlines() if "tiny-talker" in row and "hub" in row)
        assert row
        await pilot.press("enter", "escape")
        assert "lab/tiny-talker" not in [model.repo for model in pane(app).models.rows]
    bench.close()
