"""A burst of keys does what the same keys do one by one."""

from __future__ import annotations

import time

import pytest
from textual import events
from textual.widgets import Input

from tests.ui.conftest import idle
from tui.ui import type_ahead
from tui.ui.app import HeftApp
from tui.ui.screens.help_screen import HelpScreen
from tui.ui.screens.recipe_screen import RecipeScreen

NAMES = {"/": "slash", "?": "question_mark", " ": "space", ".": "full_stop"}


def burst(app: HeftApp, *keys: str) -> None:
    """Keys that come faster than they can be handled, as they do over a slow line."""
    for key in keys:
        character = key if len(key) == 1 else None
        app.post_message(events.Key(NAMES.get(key, key), character))


async def test_letters_after_a_slash_are_text_and_no_commands(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        burst(app, *"/qHxc z1T")
        await idle(pilot, lambda: app.query_one("#filter", Input).value == "qHxc z1T")
        assert app.is_running and not app.layout.hidden and app.layout.active == 1


async def test_keys_after_one_that_opens_a_dialog_are_for_the_dialog(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        burst(app, "g", "down", "escape", "3", "question_mark", "escape", "/", "a", "b")
        await idle(pilot, lambda: len(app.screen_stack) == 1 and app._key_under_way is None)
        assert app.layout.active == 3
        burst(app, "1", "g")
        await idle(pilot, lambda: isinstance(app.screen, RecipeScreen))


async def test_letters_after_the_field_is_left_are_commands_again(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        burst(app, "/", *"starter", "enter", "g")
        await idle(pilot, lambda: isinstance(app.screen, RecipeScreen))
        assert app.query_one("#filter", Input).value == "starter"


async def test_many_keys_lose_none_and_keep_their_order(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        text = "the quick brown fox " * 10
        burst(app, "/", *text)
        await idle(pilot, lambda: app.query_one("#filter", Input).value == text)


async def test_a_key_that_is_never_done_holds_the_others_up_for_a_second_only(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        app._settle = lambda marker: None  # type: ignore[method-assign]
        burst(app, "3", "2")
        await idle(pilot, lambda: app.layout.active == 2, seconds=10)


async def test_a_key_whose_screen_went_away_holds_nothing_up(app: HeftApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter closes the dialog whose list it was meant for, and the list with it: nobody tells that the key is done."""
    monkeypatch.setattr(type_ahead, "PATIENCE", 600.0)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        app.push_screen(HelpScreen(app.screen))
        await idle(pilot, lambda: isinstance(app.screen, HelpScreen) and app._key_under_way is None)
        target = app.focused
        assert target is not None
        app.pop_screen()
        await idle(pilot, lambda: not target.is_attached)
        app._key_under_way, app._key_offered = type_ahead.KeySettled(target), time.monotonic()
        burst(app, "3", "2")
        await idle(pilot, lambda: app.layout.active == 2)
