"""The wizard by keys: questions, a live answer, and what can be done with the model chosen."""

from __future__ import annotations

from tests.ui.conftest import idle, screen_text
from tui.ui.app import HeftApp
from tui.ui.lines.span import plain
from tui.ui.screens.model_screen import ModelScreen
from tui.ui.screens.pick_screen import PickScreen
from tui.ui.screens.recipe_screen import RecipeScreen
from tui.ui.widgets.painted import LinesView


def wizard(app: HeftApp) -> PickScreen:
    assert isinstance(app.screen, PickScreen)
    return app.screen


async def test_every_answer_changes_the_three(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("w")
        await idle(pilot, lambda: wizard(app).picked is not None)
        assert len(wizard(app).picked.picks) == 3
        await pilot.press("down", "right")  # on a card of 8 GB
        await idle(pilot, lambda: all(best.fit.capacity == 8 * 10**9 for best in wizard(app).picked.picks))
        await pilot.press("down", "right")  # data may not leave
        await idle(pilot, lambda: wizard(app).picked.wishes.privacy)
        assert not any(best.model.is_api for best in wizard(app).picked.picks)
        shown = screen_text(app)
        assert wizard(app).picked.picks[0].model.name in shown and "8 GB card" in shown
        assert "privacy took out" in shown
        await pilot.press("up", "left", "left")  # round to 80 GB
        await idle(pilot, lambda: all(best.fit.capacity == 80 * 10**9 for best in wizard(app).picked.picks))


async def test_the_narrow_task_is_asked_only_of_who_fine_tunes(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("w")
        await idle(pilot, lambda: wizard(app).picked is not None)
        assert "one narrow task" not in screen_text(app)
        await pilot.press(*["down"] * 8, "right")
        await idle(pilot, lambda: wizard(app).picked.wishes.finetune)
        assert "one narrow task" in screen_text(app)
        await pilot.press("down", "right")
        await idle(pilot, lambda: wizard(app).picked.wishes.specialised)
        await pilot.press("up", "left")
        await idle(pilot, lambda: not wizard(app).picked.wishes.finetune)
        assert not wizard(app).picked.wishes.specialised  # an answer that is not seen does not count


async def test_conflicts_are_seen_and_80_by_24_is_enough(app: HeftApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("w")
        await idle(pilot, lambda: wizard(app).picked is not None)
        await pilot.press(*["down"] * 4, "right", "down", "left")  # low budget, the best quality
        await idle(pilot, lambda: wizard(app).picked.warnings)
        assert "pull apart" in screen_text(app)
        await pilot.press("tab", "end")
        assert wizard(app).query_one("#picked").has_focus
        await pilot.press("escape")
        assert len(app.screen_stack) == 1


async def test_a_number_chooses_enter_shows_and_g_gets(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("w")
        await idle(pilot, lambda: wizard(app).picked is not None)
        await pilot.press("down", "down", "right")
        await idle(pilot, lambda: wizard(app).picked.wishes.privacy)
        second = wizard(app).picked.picks[1].model
        await pilot.press("2", "enter")
        await idle(pilot, lambda: isinstance(app.screen, ModelScreen))
        assert app.screen.model.id == second.id  # type: ignore[attr-defined]
        await idle(pilot, lambda: "Will it fit?" in screen_text(app))
        await pilot.press("escape", "2", "g")
        await idle(pilot, lambda: isinstance(app.screen, RecipeScreen))


async def test_an_api_cannot_be_fetched_from_the_wizard(app: HeftApp) -> None:
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("w")
        await idle(pilot, lambda: wizard(app).picked is not None)
        await pilot.press(*["down"] * 4, "right")
        await idle(pilot, lambda: wizard(app).picked.wishes.budget == "low")
        await pilot.press("g")
        assert isinstance(app.screen, PickScreen) and "nothing to get" in app.notes[-1].text


async def test_every_rejected_model_is_listed_with_its_question(app: HeftApp) -> None:
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("w")
        await idle(pilot, lambda: wizard(app).picked is not None)
        await pilot.press("r")
        await pilot.pause()
        rejected = wizard(app).picked.rejected
        view = wizard(app).query_one("#picked", LinesView)
        told = "\n".join(plain(row) for row in view.lines)
        assert f"{len(rejected)} models are out" in screen_text(app)
        assert all(f"{row.id}  {row.filter}:" in told for row in rejected)
        await pilot.press("r")
        await idle(pilot, lambda: "models are out" not in screen_text(app))
        shown = "\n".join(plain(row) for row in view.lines)
        assert all(best.model.name in shown for best in wizard(app).picked.picks)
