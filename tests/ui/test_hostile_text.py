"""Names, logs, cards, answers and notices that try to be markup, keys or terminal commands stay text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color

from tests.ui.conftest import idle, screen_text
from tui.catalog.build import Build
from tui.catalog.model import Model
from tui.chat.conversation import Message
from tui.hardware.snapshot import Gpu, GpuProcess, Snapshot
from tui.jobs.job import Failure, JobRequest, Kind
from tui.paths import Paths
from tui.ui.app import HeftApp
from tui.ui.lines.chat_lines import user_section
from tui.ui.screens.builds_screen import BuildsScreen
from tui.ui.screens.confirm_screen import ConfirmScreen
from tui.ui.screens.recipe_screen import RecipeScreen
from tui.ui.text import HarmlessText
from tui.workbench import Workbench

ATTACKS = [
    "[@click=app.quit]x[/]",
    "failed [/models/x] [link=file:///x",
    "\x1b[31mred\x1b[0m \x1b]52;c;ZXZpbA==\x07",
    "c1 \x9b31m and \x90q",
    "bidi \u202egnp.exe\u202c \u2066x\u2069",
    "zero\x00width\x7f and \ud800 surrogate",
]
BAD = [
    *map(chr, range(0x00, 0x09)),
    *map(chr, range(0x0B, 0x20)),
    *map(chr, range(0x7F, 0xA0)),
    "\u202e",
    "\u2066",
    "\ud800",
]


def assert_harmless(app: HeftApp) -> None:
    """Nothing that a terminal obeys is among what would be written."""
    filtered = []
    for strip in app.screen._compositor.render_strips(app.size):
        segments = list(strip)
        for line_filter in app.get_line_filters():
            segments = line_filter.apply(segments, Color(0, 0, 0))
        filtered.append("".join(segment.text for segment in segments))
    shown = "".join(filtered)
    assert not [repr(character) for character in BAD if character in shown]


@pytest.mark.parametrize("attack", ATTACKS)
async def test_models_jobs_processes_answers_and_notices(app: HeftApp, workbench: Workbench, attack: str) -> None:
    job = workbench.store.submit(JobRequest(Kind.DOWNLOAD, attack.replace("\ud800", "?"), {"repo": "a/b"}))
    claimed = workbench.store.claim(job.id, "")
    assert claimed is not None
    workbench.store.fail(job.id, claimed.attempt, Failure(attack.replace("\ud800", "?"), attack.replace("\ud800", "?")))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        model = Model(id="bad", name=attack, repo="a/b", vendor=attack, license=attack, note=attack, strengths=attack)
        app.catalog_pane.show_models([model])
        process = GpuProcess(1, 10**9, attack, attack)
        gpu = Gpu(0, attack, 10**10, 10**9, 9 * 10**9, processes=(process,), error="")
        app.query_one("#hardware").show_snapshot(replace(Snapshot(1.0, gpus=(gpu,))))  # type: ignore[attr-defined]
        view = app.chat_pane.transcript
        view.add(user_section(Message("user", attack)))
        section = view.open("assistant")
        for character in f"# {attack}\n\n```{attack}\n{attack}\n```\n| {attack} |\n|--|\n| {attack} |\n":
            view.feed(section, character)
        view.close(section)
        app.tell(attack, severity="error", title=attack)
        app.chat_pane.set_note(attack)
        app.catalog_pane.set_counts(attack)
        await pilot.pause()
        assert_harmless(app)
        assert app.is_running


@pytest.mark.parametrize("attack", ATTACKS)
async def test_screens(app: HeftApp, workbench: Workbench, paths: Paths, attack: str) -> None:
    job = workbench.store.submit(JobRequest(Kind.DOWNLOAD, "model", {"repo": attack.replace("\ud800", "?")}))
    job.folder.mkdir(parents=True, exist_ok=True)
    job.log.write_bytes(attack.encode("utf-8", "surrogatepass") + b"\n")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "download" in screen_text(app))
        for key in ("l", "enter"):
            await pilot.press("3", key)
            await idle(pilot)
            await pilot.pause(0.1)
            assert_harmless(app)
            await pilot.press("escape")
        builds = BuildsScreen(frozenset())
        for screen in (
            builds,
            ConfirmScreen(attack, attack, "yes"),
            RecipeScreen(Model(id="x", name=attack, repo="a/b", source="hub")),
        ):
            app.push_screen(screen)
            await pilot.pause()
            builds.show_builds([Build(attack, paths.builds / "x", attack, attack, 1, problem=attack)])
            await idle(pilot)
            assert_harmless(app)
            await pilot.press("escape")
        await pilot.press("m")
        await pilot.pause()
        assert_harmless(app)


def test_the_filter_replaces_what_a_terminal_obeys_and_nothing_else() -> None:
    harmless = HarmlessText()
    fine = [Segment("plain text ✓ 日本語 é")]
    assert harmless.apply(fine, Color(0, 0, 0)) is fine
    for attack in ATTACKS[2:]:
        shown = harmless.apply([Segment(attack)], Color(0, 0, 0))[0].text
        assert not [character for character in BAD if character in shown]
        assert len(shown) == len(attack)


@pytest.mark.parametrize(
    "text", ["👩\u200d👩\u200d👧", "👍🏽", "❤\ufe0f", "🏴\u200d☠\ufe0f", "日本語", "क\u094d\u200dष", "e\u0301"]
)
def test_joined_emoji_take_the_cells_that_they_were_counted_for(text: str) -> None:
    shown = HarmlessText().apply([Segment(text)], Color(0, 0, 0))[0].text
    assert cell_len(shown) == cell_len(text)
    assert not set(shown) & {"\ufe0f", "🏽"} and "👩\u200d" not in shown
