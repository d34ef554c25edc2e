from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.ui.conftest import idle, screen_text
from tui.doctor import Check
from tui.errors import UsageError
from tui.fit.ladder import contexts_for
from tui.jobs.job import Kind
from tui.paths import Paths
from tui.starter import starter_folder
from tui.ui.app import HeftApp
from tui.ui.lines.doctor_lines import doctor_lines
from tui.ui.lines.log_lines import log_lines, matching_lines
from tui.ui.lines.span import plain, width_of
from tui.ui.screens.builds_screen import BuildsScreen
from tui.ui.screens.parameters_screen import read_field
from tui.workbench import Workbench


@pytest.fixture
def build(paths: Paths) -> Path:
    """The starter as a build of Heft."""
    folder = paths.builds / "heft-starter"
    shutil.copytree(starter_folder(), folder)
    facts = {"format": 1, "model": "heft-starter", "precision": "float16", "repo": str(starter_folder())}
    (folder / "heft.json").write_text(json.dumps(facts))
    return folder


async def test_builds_are_listed_loaded_and_removed_with_a_question(
    app: HeftApp, workbench: Workbench, build: Path
) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "✓" in screen_text(app))
        await pilot.press("b")
        await idle(pilot, lambda: "9.4" in screen_text(app) and str(build) in screen_text(app))
        await pilot.press("x", "n")
        await idle(pilot)
        assert build.exists()
        await pilot.press("x", "y")
        await idle(pilot, lambda: not build.exists())
        await idle(pilot, lambda: "No weights are on this disk" in screen_text(app))
        await pilot.press("u")
        await idle(pilot, build.exists)
        await idle(pilot, lambda: str(build) in screen_text(app))
        assert isinstance(app.screen, BuildsScreen)
        await pilot.press("enter")
        await idle(pilot, lambda: bool(workbench.jobs()))
        assert [job.kind for job in workbench.jobs()] == [Kind.SERVE]


async def test_a_build_is_quantized_from_the_list(app: HeftApp, workbench: Workbench, build: Path) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("b")
        await idle(pilot, lambda: str(build) in screen_text(app))
        await pilot.press("g", "right")
        await idle(pilot, lambda: "(8-bit GPTQ)" in screen_text(app))
        await pilot.press("enter")
        await idle(pilot, lambda: bool(workbench.jobs()))
        job = workbench.jobs()[0]
        assert job.kind is Kind.QUANTIZE and job.spec["recipe"]["bits"] == 8 and job.spec["path"] == str(build)


async def test_chatting_with_a_model_that_is_here_loads_it(app: HeftApp, workbench: Workbench, build: Path) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "heft-starter" in app.catalog_pane.installed)
        await pilot.press("c")
        await idle(pilot, lambda: bool(workbench.jobs()))
        assert workbench.jobs()[0].kind is Kind.SERVE


async def test_the_context_is_changed_on_the_model_screen(app: HeftApp) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("enter")
        await idle(pilot, lambda: "context 1k" in screen_text(app))
        await pilot.press("left")
        await idle(pilot, lambda: "context 512" in screen_text(app))
        await pilot.press("right")
        await idle(pilot, lambda: "context 1k" in screen_text(app))


def test_contexts_end_with_the_longest() -> None:
    assert contexts_for(1024) == [512, 1024]
    assert contexts_for(40960)[-2:] == [32768, 40960]
    assert contexts_for(None) == []


async def test_messages_are_kept(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        app.tell("something [happened]", severity="warning")
        await pilot.press("m")
        await idle(pilot, lambda: "! something [happened]" in screen_text(app))


def test_the_doctors_problems_come_first_with_what_to_do() -> None:
    checks = [Check("python", "ok", "3.11"), Check("disk", "problem", "3 GB free " * 20, "free some space")]
    rows = [plain(row) for row in doctor_lines(checks, 60)]
    assert rows[0].startswith("✗ disk")
    assert any("→ free some space" in row for row in rows)
    assert all(width_of(row) <= 60 for row in doctor_lines(checks, 60))


def test_sampling_fields_are_read_and_refused() -> None:
    assert read_field("temperature", float, " 0.5 ") == 0.5
    assert read_field("top_k", int, "") is None
    assert read_field("seed", int, "-1") == -1
    assert read_field("stop", str, "a|b|") == ("a", "b")
    for name, kind, text in (("top_p", float, "1.5"), ("top_k", int, "x"), ("max_tokens", int, "-3")):
        with pytest.raises(UsageError):
            read_field(name, kind, text)


def test_matches_in_a_log_are_found_whatever_their_case() -> None:
    rows = log_lines(["2026-01-01 10:00:00 ERROR Out of memory", "fine", "again: error"], 60, "error")
    assert matching_lines(rows) == [0, 2]
    assert any(span.role == "dim" for span in rows[0])
