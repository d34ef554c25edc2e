"""What is seen: hidden panes, the split, and an arrangement that is there again the next time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rich.segment import Segment
from textual.app import App
from textual.color import Color

from tests.ui.conftest import idle, screen_text
from tui.settings import InterfaceSettings
from tui.ui.app import HeftApp
from tui.ui.layout import Layout, keep_layout, read_layout
from tui.ui.themes import theme_for
from tui.ui.widgets.slim_scrollbar import thumb
from tui.workbench import Workbench


def drawn(app: HeftApp) -> list[list[Segment]]:
    """The segments of each row as they would be written."""
    update = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens, simplify=False)
    rows = []
    for strips in update.strips:  # type: ignore[union-attr]
        segments = [segment for strip in strips for segment in strip]
        for line_filter in app.get_line_filters():
            segments = line_filter.apply(segments, Color(0, 0, 0))
        rows.append(segments)
    return rows


def seen(app: HeftApp) -> list[int]:
    return [number for number in range(1, 5) if app.pane(number).display]


async def test_a_pane_is_hidden_and_its_number_brings_it_back(app: HeftApp) -> None:
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("2", "H")
        await idle(pilot)
        assert seen(app) == [1, 3, 4] and app.pane(1).has_focus_within
        assert "2 Hardware hidden" in screen_text(app)
        await pilot.press("3", "H", "4", "escape", "H")
        await idle(pilot)
        assert seen(app) == [1]
        await pilot.press("H")
        assert seen(app) == [1] and "the last pane stays" in app.notes[-1].text
        await pilot.press("2")
        await idle(pilot)
        assert seen(app) == [1, 2] and app.pane(2).has_focus_within


async def test_the_arrangement_is_there_again(workbench: Workbench, tmp_path: Path) -> None:
    file = tmp_path / "layout.json"
    app = HeftApp(workbench, layout_file=file)
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("2", "H", "3", "z", "T")
        await idle(pilot)
        assert app.theme == "heft-light"
    again = HeftApp(workbench, layout_file=file)
    async with again.run_test(size=(140, 40), notifications=True) as pilot:
        await idle(pilot)
        assert again.theme == "heft-light" and again.zoomed and seen(again) == [3]
        await pilot.press("z")
        assert seen(again) == [1, 3, 4]


async def test_the_columns_share_the_width_as_one_likes(app: HeftApp) -> None:
    async with app.run_test(size=(140, 40), notifications=True) as pilot:
        await idle(pilot)
        before = app.pane(1).size.width
        await pilot.press("greater_than_sign")
        await idle(pilot)
        wider = app.pane(1).size.width
        await pilot.press(*["less_than_sign"] * 9)
        await idle(pilot)
        assert wider > before > app.pane(1).size.width


async def test_a_small_screen_says_why_nothing_is_hidden(app: HeftApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("H")
        assert seen(app) == [1] and "one pane is seen at a time" in app.notes[-1].text


@pytest.mark.parametrize("text", ["", "[]", "{", '{"active": 9}', '{"hidden": [1, 2, 3, 4]}', '{"share": "wide"}'])
def test_a_foreign_file_gives_the_first_layout(tmp_path: Path, text: str) -> None:
    file = tmp_path / "layout.json"
    file.write_text(text)
    assert read_layout(file) == Layout()
    assert read_layout(tmp_path / "missing") == Layout()


def test_a_layout_comes_back_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "layout.json"
    keep_layout(file, Layout(3, True, (2,), 1.3, "nord"))
    assert read_layout(file) == Layout(3, True, (2,), 1.3, "nord")
    file.write_text(json.dumps({**json.loads(file.read_text()), "later": 1}))
    assert read_layout(file).theme == "nord"


@pytest.mark.parametrize(
    ("colors", "environment", "theme"),
    [
        (1 << 24, {}, "heft-dark"),
        (256, {"COLORFGBG": "0;15"}, "heft-light"),
        (256, {"COLORFGBG": "15;0"}, "heft-dark"),
        (16, {"COLORFGBG": "0;15"}, "heft-terminal"),
    ],
)
def test_the_theme_suits_the_terminal(colors: int, environment: dict[str, str], theme: str) -> None:
    assert theme_for(colors, environment) == theme


@pytest.mark.parametrize("begun", ["textual-dark", "textual-light", "ansi-dark"])
@pytest.mark.parametrize("theme", ["heft-dark", "heft-light", "heft-terminal"])
def test_the_first_theme_has_its_classes_whatever_textual_begins_with(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch, begun: str, theme: str
) -> None:
    monkeypatch.setattr(App.theme, "_default", begun)
    app = HeftApp(workbench, interface=InterfaceSettings(theme=theme))
    chosen = app.current_theme
    assert chosen.name == theme and app.native_ansi_color is chosen.ansi
    assert {name for name in app.classes if name.startswith("-")} == {
        f"-theme-{theme}",
        "-dark-mode" if chosen.dark else "-light-mode",
    }


async def test_without_colour_no_colour_is_drawn_and_the_cursor_is_seen(
    workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = HeftApp(workbench, interface=InterfaceSettings(theme="heft-light"))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("enter")
        await idle(pilot)
        segments = [segment for row in drawn(app) for segment in row]
        colors = {color for _, style, _ in segments if style for color in (style.color, style.bgcolor)}
        assert all(color is None or color.is_default for color in colors)
        await pilot.press("escape")
        assert any(style and style.reverse and "Heft Starter" in text for row in drawn(app) for text, style, _ in row)


def test_the_scrollbar_reaches_both_ends() -> None:
    assert thumb(10, 100, 10, 0) == (0, 1)
    assert thumb(10, 100, 10, 90) == (9, 1)
    first, length = thumb(20, 40, 20, 20)
    assert first + length == 20
    assert thumb(10, 5, 10, 0) == (0, 0)
