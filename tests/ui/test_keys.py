"""Keys: none that others eat, none twice, the user's own with their mistakes told, and a palette with everything."""

from __future__ import annotations

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.widgets import Input

from tests.ui.conftest import idle, screen_text
from tui.catalog.model import Model
from tui.settings import InterfaceSettings
from tui.ui.app import HeftApp
from tui.ui.keymap import SHARED, TAKEN, key_names, keymap_problems, owners
from tui.ui.screens.model_screen import ModelScreen
from tui.workbench import Workbench

FOUND = owners()
ALLOWED = {("HeftApp", "ctrl+q")}
"""Quits from a field where it arrives; nothing else depends on it."""


@pytest.mark.parametrize("owner", FOUND)
def test_no_key_is_bound_that_others_eat(owner: str) -> None:
    bound = {(owner, binding.key) for binding in FOUND[owner]}
    assert not [key for key in bound - ALLOWED if key[1] in TAKEN]


@pytest.mark.parametrize("owner", FOUND)
def test_every_key_has_a_name_to_change_it_by_and_is_bound_once(owner: str) -> None:
    assert all(binding.id for binding in FOUND[owner])
    keys = [binding.key for binding in FOUND[owner]]
    assert len(keys) == len(set(keys))


def test_nothing_is_wrong_with_the_keys_as_they_are() -> None:
    assert keymap_problems({}, FOUND) == []
    assert {"CatalogPane", "QueuePane", "ChatPane", *SHARED} <= set(FOUND)


@pytest.mark.parametrize(
    ("keymap", "words"),
    [
        ({"catalog.gte": "f2"}, "no action is called catalog.gte; catalog.get is"),
        ({"catalog.get": "ctrl+b"}, "catalog.get: ctrl+b may not arrive (tmux takes it)"),
        ({"catalog.get": "h"}, "h is the key of catalog.get and of catalog.hub"),
        ({"queue.cancel": "q"}, "q is the key of app.quit and of queue.cancel"),
        ({"queue.cancel": "j"}, "j is the key of list.down and of queue.cancel"),
        ({"catalog.get": ""}, "catalog.get has no key"),
    ],
)
def test_mistakes_in_the_keymap_are_told(keymap: dict[str, str], words: str) -> None:
    assert words in keymap_problems(keymap, FOUND)


def test_keys_that_change_places_are_no_clash() -> None:
    assert keymap_problems({"catalog.get": "h", "catalog.hub": "g"}, FOUND) == []
    assert key_names("f2, /, K") == ["f2", "slash", "K"]


async def test_the_users_keys_hold_everywhere_they_are_shown(workbench: Workbench) -> None:
    app = HeftApp(workbench, interface=InterfaceSettings(keys={"catalog.builds": "f2", "catalog.gte": "x"}))
    async with app.run_test(size=(220, 40), notifications=True) as pilot:
        await idle(pilot, lambda: bool(app.notes))
        assert "catalog.get is" in app.notes[0].text
        assert "f2 builds" in screen_text(app)
        await pilot.press("question_mark")
        await idle(pilot, lambda: "f2" in screen_text(app))
        await pilot.press("escape", "f2")
        await idle(pilot, lambda: len(app.screen_stack) == 2)


async def test_letters_in_every_field_are_text(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("slash", *"q1zH?:T")
        field = app.query_one("#filter", Input)
        assert app.is_running and len(app.screen_stack) == 1 and field.value.startswith("q1zH")
        app.chat_pane.show_endpoint((), True)
        await pilot.press("escape", "4", *"q1zxHT")
        assert app.chat_pane.prompt.text == "q1zxHT" and len(app.screen_stack) == 1


async def test_the_palette_has_every_action_and_every_model(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        words = {command.title for command in app.get_system_commands(app.screen)}
        for pane in ("Catalog", "Queue", "Chat", "Heft"):
            for binding in FOUND["HeftApp" if pane == "Heft" else f"{pane}Pane"]:
                if binding.description and not binding.action.startswith(("pane", "app.focus", "command")):
                    assert f"{pane}: {binding.description}" in words
        await pilot.press("colon")
        assert isinstance(app.screen, CommandPalette)
        await pilot.press(*"granite")
        await idle(pilot, lambda: "ibm-granite" in screen_text(app))
        await pilot.press("enter", "enter")
        await idle(pilot, lambda: isinstance(app.screen, ModelScreen))


async def test_a_model_whose_name_is_markup_is_found_and_shown_as_it_is(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        app.catalog_pane.show_models([Model(id="bad", name="[@click=app.quit]odd[/ \x1b[31m", repo="a/b")])
        await pilot.press("colon", *"odd")
        await idle(pilot, lambda: "a/b" in screen_text(app))  # the first match is the best
        await pilot.press("enter", "enter")
        await idle(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert app.is_running


def test_a_clash_needs_a_key_of_the_user() -> None:
    twice = {"OddPane": [Binding("a", "x", id="odd.x"), Binding("a", "y", id="odd.y")]}
    assert keymap_problems({}, twice) == []
    assert keymap_problems({"odd.x": "a"}, twice)
