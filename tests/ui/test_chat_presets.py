"""Presets and the limits of a context, by keys."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.ui.conftest import idle, screen_text
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.presets import GREEDY
from tui.ui.app import HeftApp
from tui.ui.panes.chat_pane import ChatPane
from tui.workbench import Workbench


@pytest.fixture
def talker() -> Iterator[TalkingEndpoint]:
    endpoint = TalkingEndpoint(["An ", "answer."])
    yield endpoint
    endpoint.close()


async def test_a_preset_fills_the_fields_and_one_can_be_kept_for_the_model(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press("escape", "p")
        await idle(pilot, lambda: "4 to choose from" in screen_text(app))
        await pilot.press("up", "right", "down", *"Be brief.", "up", "up", *"default", "enter")
        await idle(pilot, lambda: "kept as 'default' for talker" in app.notes[-1].text if app.notes else False)
        assert app.sampling.parameters.temperature == GREEDY.temperature and app.sampling.system == "Be brief."
    again = HeftApp(workbench)
    async with again.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        again.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: again.endpoint is not None)
        await pilot.press(*"Hi", "enter")
        await idle(pilot, lambda: len(again.messages) == 2 and not again.query_one(ChatPane).streaming)
        assert talker.asked[-1]["temperature"] == 0
        assert talker.asked[-1]["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_tokens_are_counted_while_typing(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press(*"a few words to count")
        await idle(pilot, lambda: "0 + 5 tokens" in screen_text(app))


async def test_a_full_context_leaves_the_oldest_turns_out_and_says_so(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(160, 60), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        app.endpoint = replace(app.endpoint, context=12)
        for count, text in ((2, "long " * 40), (4, "short")):
            app.query_one(ChatPane).prompt.text = text
            await pilot.press("enter")
            await idle(pilot, lambda count=count: len(app.messages) == count and not app.query_one(ChatPane).streaming)
        assert [one["content"] for one in talker.asked[-1]["messages"]] == ["short"]
        assert "the 2 oldest messages" in screen_text(app)
        assert "long long" in screen_text(app)


async def test_thinking_keeps_its_time_and_count_when_the_app_opens_again(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    talker.thinking, talker.pause = ["first ", "second ", "third"], 0.05
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press(*"Hi", "enter")
        await idle(pilot, lambda: len(app.messages) == 2 and not app.query_one(ChatPane).streaming)
        assert "∴ thought for" in screen_text(app) and "3 tokens; t unfolds" in screen_text(app)
    again = HeftApp(workbench)
    async with again.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot, lambda: "∴ thought for 0." in screen_text(again))
        assert "3 tokens; t unfolds" in screen_text(again) and "second" not in screen_text(again)
        await pilot.press("4", "t")
        await idle(pilot, lambda: "first second third" in screen_text(again))
