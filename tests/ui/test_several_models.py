"""Several models at once: marks, side by side, all into the queue; kept filters; more pages of the hub."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.local_hub import LocalHub
from tests.ui.conftest import idle, screen_text
from tui.catalog.library import write_provenance
from tui.catalog.model import Model
from tui.paths import Paths
from tui.starter import starter_folder
from tui.ui.app import HeftApp
from tui.ui.catalog_index import CatalogIndex, Wanted
from tui.ui.filter_words import size_test
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.panes.hub_rows import HUB_PAGE
from tui.ui.saved_filters import SavedFilters, filter_name
from tui.ui.screens.compare_screen import CompareScreen
from tui.ui.screens.confirm_screen import ConfirmScreen
from tui.ui.screens.filter_form_screen import FilterFormScreen
from tui.ui.screens.filters_screen import FiltersScreen
from tui.workbench import Workbench


def pane(app: HeftApp) -> CatalogPane:
    return app.query_one(CatalogPane)


async def test_marked_models_stand_side_by_side(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("x")
        assert "mark two" in app.notes[-1].text
        await pilot.press("slash", *"qwen3-", "enter", "space", "space", "space")
        assert len(pane(app).marked) == 3 and "3 marked" in screen_text(app) and "■ " in screen_text(app)
        await pilot.press("up", "space")  # the third again: its mark goes
        assert len(pane(app).marked) == 2
        await pilot.press("x")
        await idle(pilot, lambda: isinstance(app.screen, CompareScreen))
        shown = screen_text(app)
        assert all(model.name[:18] in shown for model in pane(app).marked.values())
        for label in ("needs", "parameters", "cache per 1k", "licence", "commercial", "released"):
            assert label in shown
        await pilot.press("escape", "escape")
        assert not pane(app).marked and pane(app).wanted.text


async def test_many_columns_are_turned_by_arrows_at_80_by_24(app: HeftApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press(*["space"] * 6, "x")
        await idle(pilot, lambda: isinstance(app.screen, CompareScreen))
        assert "models 1 to 3 of 6" in screen_text(app)
        await pilot.press(*["right"] * 9)
        await pilot.pause()
        assert "models 4 to 6 of 6" in screen_text(app)


async def test_marked_models_go_into_the_queue_together(
    paths: Paths, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with LocalHub() as hub:
        for name in ("one", "two"):
            hub.add_repo(f"lab/{name}", {"config.json": b'{"model_type": "llama"}'})
        for key, value in hub.environment.items():
            monkeypatch.setenv(key, value)
        bench = Workbench(paths)
        app = HeftApp(bench)
        async with app.run_test(size=(120, 36), notifications=True) as pilot:
            await idle(pilot)
            await pilot.press("h", *"lab")
            await idle(pilot, lambda: sum(model.source == "hub" for model in pane(app).models.rows) == 2)
            await pilot.press("enter", "end", "space", "up", "space")
            assert set(pane(app).marked) == {"lab/one", "lab/two"}
            pane(app).marked["lab/gone"] = Model("lab/gone", "gone", "lab/gone", source="hub")  # deleted meanwhile
            await pilot.press("g")
            await idle(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            assert "Get 3 models" in screen_text(app)
            await pilot.press("y")
            await idle(pilot, lambda: len(bench.jobs()) == 2)
            assert {job.model for job in bench.jobs()} == {"lab/one", "lab/two"}
            await idle(pilot, lambda: any("gone" in note.text for note in app.notes))
            assert not pane(app).marked
        bench.close()


async def test_the_end_of_the_list_brings_more_of_the_hub(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalHub() as hub:
        for number in range(HUB_PAGE + 20):
            hub.add_repo(f"lab/m{number:03}", {"config.json": b"{}"}, downloads=number)
        for key, value in hub.environment.items():
            monkeypatch.setenv(key, value)
        bench = Workbench(paths)
        app = HeftApp(bench)
        async with app.run_test(size=(120, 36), notifications=True) as pilot:
            await idle(pilot)
            await pilot.press("h", *"lab/m")

            def shown() -> int:
                return sum(model.source == "hub" for model in pane(app).models.rows)

            await idle(pilot, lambda: shown() == HUB_PAGE and f"hub: {HUB_PAGE} found" in screen_text(app))
            assert "brings more" in screen_text(app)
            await pilot.press("enter", "end")
            await idle(pilot, lambda: shown() == HUB_PAGE + 20)
            assert f"{HUB_PAGE + 20} found" in screen_text(app) and "brings more" not in screen_text(app)
        bench.close()


async def test_a_filter_is_kept_used_again_and_forgotten(app: HeftApp, paths: Paths) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("v")
        await idle(pilot, lambda: isinstance(app.screen, FiltersScreen))
        await pilot.press("a")
        assert "nothing is filtered" in app.notes[-1].text
        await pilot.press("escape", "slash", *"qwen <2b", "enter", "l")
        wanted = pane(app).wanted
        rows = list(pane(app).models.rows)
        assert rows and all(model.params < 2e9 for model in rows)
        await pilot.press("v", "a")
        await idle(pilot, lambda: bool(SavedFilters(paths.state / "filters.json").all()))
        await pilot.press("escape", "escape")
        assert pane(app).wanted != wanted
        await pilot.press("v")
        await idle(pilot, lambda: isinstance(app.screen, FiltersScreen) and app.screen.list.row is not None)
        assert "qwen <2b, commercial" in screen_text(app)
        await pilot.press("enter")
        await pilot.pause()
        assert pane(app).wanted == wanted and list(pane(app).models.rows) == rows
        await pilot.press("v")
        await idle(pilot, lambda: isinstance(app.screen, FiltersScreen) and app.screen.list.row is not None)
        await pilot.press("d")
        await idle(pilot, lambda: not SavedFilters(paths.state / "filters.json").all())


def test_kept_filters_outlive_a_broken_file(paths: Paths) -> None:
    kept = SavedFilters(paths.state / "filters.json")
    for text in ("{", "[]", '{"a": 1}', '{"a": {"text": 3}}', '{"a": {"strange": ""}}'):
        (paths.state / "filters.json").write_text(text)
        assert kept.all() == {}
    wanted = Wanted("llama", "chat", "open", commercial=True, sort="largest")
    assert kept.keep(filter_name(wanted), wanted) == {"llama, chat, open weights, commercial, by largest": wanted}
    assert kept.all()[filter_name(wanted)] == wanted and kept.forget("x") and not kept.forget(filter_name(wanted))


def test_sizes_are_words_of_the_filter(workbench: Workbench) -> None:
    index = CatalogIndex(workbench.catalog().models)

    def found(text: str) -> list[int]:
        return [model.params or 0 for model in index.visible(Wanted(text), frozenset(), {})]

    assert found("<1b") and max(found("<1b")) < 10**9 and min(found(">=70b")) >= 70 * 10**9
    assert found("qwen <") == found("qwen") and found("<13b") != found("<1b") and len(found("<13b")) > len(found("<1b"))
    assert all(10**9 < params < 8 * 10**9 for params in found("llama >1b <8b"))
    assert size_test("llama") is None and size_test("<x") is None


def test_deleting_letters_finds_the_same_as_typing_anew(workbench: Workbench) -> None:
    models = workbench.catalog().models
    used = CatalogIndex(models)
    for text in ("q", "qw", "qwen", "qwen3", "qwen", "q", "", "llama chat", "llama", "z" * 9, "qw"):
        fresh = CatalogIndex(models).visible(Wanted(text), frozenset(), {})
        assert used.visible(Wanted(text), frozenset(), {}) == fresh


async def test_the_hub_is_asked_for_task_and_size_and_chips_hold_for_its_rows(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def facts(total: int, license: str = "mit") -> dict[str, object]:
        return {"safetensors": {"parameters": {"BF16": total}, "total": total}, "tags": [f"license:{license}"]}

    with LocalHub() as hub:
        hub.add_repo("lab/small-mit", {"config.json": b"{}"}, **facts(500_000_000))
        hub.add_repo("lab/small-nc", {"config.json": b"{}"}, **facts(600_000_000, "cc-by-nc-4.0"))
        hub.add_repo("lab/large", {"config.json": b"{}"}, **facts(70_000_000_000))
        for key, value in hub.environment.items():
            monkeypatch.setenv(key, value)
        bench = Workbench(paths)
        app = HeftApp(bench)
        async with app.run_test(size=(140, 40), notifications=True) as pilot:
            await idle(pilot)

            def shown() -> set[str]:
                return {model.id for model in pane(app).models.rows if model.source == "hub"}

            await pilot.press("h")  # nothing typed: what is talked about
            await idle(pilot, lambda: shown() == {"lab/small-mit", "lab/small-nc", "lab/large"})
            assert "most talked about" in screen_text(app)
            await pilot.press(*"lab <1b")
            await idle(pilot, lambda: shown() == {"lab/small-mit", "lab/small-nc"})
            await idle(pilot, lambda: any("num_parameters=max%3A1B" in request.line for request in hub.requests))
            await pilot.press("enter", "l")
            await idle(pilot, lambda: shown() == {"lab/small-mit"})
        bench.close()


async def test_all_filters_stand_in_one_form_with_what_they_leave(app: HeftApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("F")
        await idle(pilot, lambda: isinstance(app.screen, FilterFormScreen))
        assert "327 models" in screen_text(app)
        await pilot.press("down", "right", "down", "right")  # up to 1B, the commonest licence
        await pilot.pause()
        left = len(pane(app).index.visible(Wanted(size="up to 1B", license="Apache-2.0"), frozenset(), {}))  # type: ignore[union-attr]
        assert 0 < left < 327 and f"{left} models" in screen_text(app)
        await pilot.press("enter")
        await idle(pilot, lambda: len(app.screen_stack) == 1)
        assert pane(app).wanted.license == "Apache-2.0" and len(pane(app).models.rows) == left
        assert "up to 1B" in screen_text(app) and "Apache-2.0" in screen_text(app)
        await pilot.press("F", "r", "enter")
        await idle(pilot, lambda: len(pane(app).models.rows) == 327)


def test_qualifiers_are_words_of_the_filter(workbench: Workbench) -> None:
    index = CatalogIndex(workbench.catalog().models)

    def ids(text: str) -> list[str]:
        return [model.id for model in index.visible(Wanted(text=text), frozenset(), {})]

    assert ids("qwen3 8b")[0] == "qwen3-8b"
    assert ids("qwen3-8b")[0] == "qwen3-8b" and ids("gpt2")[0] == "gpt2"
    by_meta = ids("by:meta license:llama3.1")
    assert by_meta and all("llama-3.1" in name for name in by_meta)
    assert set(ids("task:embedding <100m")) < set(ids("task:embedding"))
    assert ids("license:") == ids("") and ids("<") == ids("")


async def test_what_is_on_this_disk_and_not_in_the_catalog_is_a_row_too(
    app: HeftApp, workbench: Workbench, tmp_path: Path
) -> None:
    shutil.copytree(starter_folder(), workbench.paths.builds / "my-own", dirs_exist_ok=True)
    write_provenance(workbench.paths.builds / "my-own", {"model": "me/own", "repo": "me/own"})
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: len(pane(app).models.rows) == 328)
        await pilot.press("i")
        await idle(pilot)
        assert [model.id for model in pane(app).models.rows] == ["me/own"]
        assert "disk" in screen_text(app)
