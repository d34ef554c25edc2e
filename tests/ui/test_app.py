from __future__ import annotations

import pytest

from tests.ui.conftest import idle, screen_text
from tui.settings import InterfaceSettings
from tui.ui.app import HeftApp
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.panes.pane import Pane
from tui.workbench import Workbench

SIZES = [(80, 24), (120, 36), (200, 60)]


def visible(app: HeftApp) -> list[str]:
    return [pane.NAME for pane in app.query(Pane) if pane.display and pane.region.area]


async def test_a_wide_screen_shows_four_panes_with_live_counts(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        assert set(visible(app)) == {"Catalog", "Hardware", "Queue", "Chat"}
        shown = screen_text(app)
        for part in ("1 Catalog  ", " models", "2 Hardware  ", "3 Queue", "4 Chat", "Heft Starter", "Welcome to Heft"):
            assert part in shown


async def test_a_small_screen_shows_one_pane_and_a_switcher(app: HeftApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        for key, name in (("1", "Catalog"), ("2", "Hardware"), ("3", "Queue"), ("4", "Chat")):
            await pilot.press(key)
            assert visible(app) == [name]
            top = screen_text(app).splitlines()[0]
            assert all(word in top for word in ("1 Catalog", "2 Hardware", "3 Queue", "4 Chat"))


@pytest.mark.parametrize("size", SIZES)
async def test_no_line_is_wider_than_the_screen_and_the_keys_are_told(app: HeftApp, size: tuple[int, int]) -> None:
    async with app.run_test(size=size, notifications=True) as pilot:
        await idle(pilot)
        lines = screen_text(app).splitlines()
        assert len(lines) == size[1]
        assert all(len(line) <= size[0] for line in lines)
        assert "g get" in lines[-1] and "q quit" in lines[-1] and "? help" in lines[-1]


async def test_resizing_keeps_the_pane_that_has_the_focus(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("3")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert visible(app) == ["Queue"]
        await pilot.resize_terminal(30, 8)
        await pilot.pause()
        await pilot.resize_terminal(200, 60)
        await pilot.pause()
        assert len(visible(app)) == 4
        assert app.query_one("#queue").has_focus_within


async def test_zoom_fills_the_screen_and_goes_back(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("2", "z")
        assert visible(app) == ["Hardware"]
        assert app.query_one("#hardware").region.width == 120
        await pilot.press("z")
        assert len(visible(app)) == 4


async def test_letters_typed_into_the_filter_are_not_commands(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("slash", *"qz14gb")
        assert app.query_one(CatalogPane).wanted.text == "qz14gb"
        assert app.is_running and len(app.screen_stack) == 1 and not app.zoomed


async def test_a_key_that_is_off_says_why(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("c")
        assert "is not here yet: g gets it" in app.notes[-1].text
        await pilot.press("3", "x")
        assert "there is no job here" in app.notes[-1].text


async def test_help_lists_every_key_that_says_something(app: HeftApp) -> None:
    async with app.run_test(size=(200, 60), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("question_mark")
        await pilot.pause()
        shown = screen_text(app)
        for part in (
            "search the hub",
            "pause/resume",
            "who answers",
            "dark/light",
            "would fit if the device were empty",
        ):
            assert part in shown
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_the_palette_runs_a_command_of_a_pane(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("ctrl+p")
        await pilot.press(*"Queue: clear")
        await idle(pilot, lambda: "clear finished" in screen_text(app))
        await pilot.press("enter")
        await idle(pilot, lambda: app.notes and "no job is finished yet" in app.notes[-1].text)
        assert app.query_one("#queue").has_focus_within


async def test_themes_turn_and_both_are_ours(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        assert app.theme == "heft-dark"
        await pilot.press("T")
        await pilot.pause()
        assert app.theme == "heft-light"


async def test_the_users_keys_replace_ours(workbench: Workbench) -> None:
    app = HeftApp(workbench, interface=InterfaceSettings(keys={"queue.cancel": "d", "app.zoom": "ctrl+g"}))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("ctrl+g")
        assert app.zoomed
        await pilot.press("3", "d")
        assert "there is no job here" in app.notes[-1].text
        assert "d cancel" in screen_text(app).splitlines()[-1]


async def test_an_unknown_theme_falls_back(workbench: Workbench) -> None:
    app = HeftApp(workbench, interface=InterfaceSettings(theme="no-such-theme"))
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        assert app.theme == "heft-dark"


async def test_nothing_is_bound_that_tmux_screen_or_flow_control_eat() -> None:
    app = HeftApp()
    async with app.run_test(size=(120, 36)) as pilot:
        await pilot.pause()
        ours = {
            key for node in (app, *app.query("*")) if type(node).__module__.startswith("tui.") for key in own_keys(node)
        }
    assert not ours & {"ctrl+b", "ctrl+a", "ctrl+s", "shift+enter", "ctrl+enter"}


def own_keys(node: object) -> set[str]:
    bindings = type(node).__dict__.get("BINDINGS", ())
    return {key.strip() for binding in bindings for key in binding.key.split(",")}


async def test_the_workbench_is_made_after_the_first_frame(workbench: Workbench) -> None:
    framed: list[bool] = []

    def factory() -> Workbench:
        framed.append(bool(app.query(Pane)) and "1 Catalog" in screen_text(app))
        return workbench

    app = HeftApp(factory=factory)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        assert framed == [True]
        assert "Heft Starter" in screen_text(app)


async def test_a_workbench_that_cannot_be_made_is_told_in_words() -> None:
    from tui.errors import StoreError

    def factory() -> Workbench:
        raise StoreError("the job database was written by a newer Heft", "update Heft")

    app = HeftApp(factory=factory)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        while not app.notes:
            await pilot.pause(0.02)
        assert "newer Heft" in app.notes[-1].text and "update Heft" in app.notes[-1].text
        for width in (120, 80):
            app.clear_notifications()
            await pilot.resize_terminal(width, 36)
            await pilot.pause()
            shown = screen_text(app)
            assert "✗ the job database was written by a newer Heft" in shown and "update Heft" in shown
            assert "heft doctor" in shown and "reading the" not in shown and "Nothing to do" not in shown
        await pilot.press("D")
        assert app.notes[-1].text.startswith("the job database was written by a newer Heft")
        await pilot.press("escape")
        await pilot.press("g", "3", "x", "4", "n")
        assert app.is_running


@pytest.mark.parametrize(
    ("size", "classes"), [((80, 24), {"-narrow", "-short", "-single"}), ((200, 60), {"-wide", "-tall"})]
)
async def test_the_first_frame_is_styled_once(
    app: HeftApp, size: tuple[int, int], classes: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A theme or a class that comes after the panes were mounted would have all of them styled once more."""
    again: list[str] = []
    monkeypatch.setattr(app, "refresh_css", lambda animate=True: again.append("theme"))
    begun = app.get_default_screen
    made = []
    monkeypatch.setattr(app, "get_default_screen", lambda: made.append(begun()) or made[0])
    async with app.run_test(size=size, notifications=True) as pilot:
        assert made[0].classes >= classes
        await idle(pilot)
        assert app.screen is made[0] and made[0].classes == classes
        assert app.theme == "heft-dark" and "-theme-heft-dark" in app.classes and again == []
        assert app.stylesheet._variables == app.get_css_variables()
        app.theme = "heft-light"
        await pilot.pause()
        assert again == ["theme"] and "-theme-heft-dark" not in app.classes
