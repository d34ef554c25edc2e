from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tests.ui.conftest import idle, screen_text
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.conversation import MessageState
from tui.jobs.job import Job, JobRequest, Kind
from tui.paths import Paths
from tui.ui.app import HeftApp
from tui.ui.panes.chat_pane import ChatPane
from tui.workbench import Workbench

PIECES = ["GPTQ ", "squeezes ", "**weights** ", "to ", "4 bits.\n\n", "```python\n", "x = 1\n", "```\n", "Done."]


@pytest.fixture
def talker() -> Iterator[TalkingEndpoint]:
    endpoint = TalkingEndpoint(PIECES)
    yield endpoint
    endpoint.close()


async def choose(pilot: object, app: HeftApp, url: str) -> None:
    app.choose_endpoint(url, focus=True)
    await idle(pilot, lambda: app.endpoint is not None)  # type: ignore[arg-type]


def pane(app: HeftApp) -> ChatPane:
    return app.query_one(ChatPane)


async def test_an_empty_chat_says_how_to_load_a_model(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        assert "No model is loaded." in screen_text(app) and "loads the starter" in screen_text(app)
        await pilot.press("4", "i", *"hello", "enter")
        assert "nobody answers yet" in app.notes[-1].text
        assert pane(app).prompt.text == "hello"


async def test_an_answer_streams_and_its_numbers_follow(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"What is GPTQ?", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(app))
        shown = screen_text(app)
        for part in (
            "❯ What is GPTQ?",
            "GPTQ squeezes weights to 4 bits.",
            "▏ x = 1",
            "Done.",
            "s to first token",
            f"{len(PIECES)} tokens",
        ):
            assert part in shown
        assert talker.asked[0]["messages"][-1] == {"role": "user", "content": "What is GPTQ?"}
        assert pane(app).prompt.text == ""


async def test_stopping_keeps_what_came(app: HeftApp, talker: TalkingEndpoint, workbench: Workbench) -> None:
    talker.hold = threading.Event()
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"Go on", "enter")
        while "Done." not in screen_text(app):
            await pilot.pause(0.02)
        assert pane(app).streaming
        await pilot.press("escape")
        await idle(pilot, lambda: not pane(app).streaming)
        assert "stopped" in screen_text(app)
        kept = workbench.transcripts().conversations()[0]
        last = workbench.transcripts().conversation(kept.id).messages[-1]
        assert last.content == "".join(PIECES) and last.state is MessageState.STOPPED


async def test_the_last_conversation_is_there_when_the_app_opens_again(
    workbench: Workbench, talker: TalkingEndpoint, paths: Paths
) -> None:
    first = HeftApp(workbench)
    async with first.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, first, talker.url)
        await pilot.press(*"Remember me", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(first))
    second = HeftApp(workbench)
    async with second.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot, lambda: "❯ Remember me" in screen_text(second))
        await choose(pilot, second, talker.url)
        await pilot.press(*"And again", "enter")
        await idle(pilot, lambda: screen_text(second).count("tok") >= 2)
        assert len(workbench.transcripts().conversations()) == 1
        assert [message["content"] for message in talker.asked[-1]["messages"]][:2] == ["Remember me", "".join(PIECES)]


async def test_regenerating_replaces_the_answer(app: HeftApp, talker: TalkingEndpoint, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"Again?", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(app))
        talker.pieces = ["Another answer."]
        await pilot.press("escape", "r")
        await idle(pilot, lambda: "Another answer." in screen_text(app) and not pane(app).streaming)
        assert "Done." not in screen_text(app)
        kept = workbench.transcripts().conversation(workbench.transcripts().conversations()[0].id)
        assert [message.content for message in kept.messages] == ["Again?", "Another answer."]


async def test_a_refusal_is_told_in_the_answer_and_the_next_one_works(app: HeftApp, talker: TalkingEndpoint) -> None:
    talker.status = 400
    async with app.run_test(size=(160, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"Hello", "enter")
        await idle(pilot, lambda: "the model is asleep" in screen_text(app))
        talker.status = 200
        await pilot.press("escape", "r")
        await idle(pilot, lambda: "Done." in screen_text(app) and not pane(app).streaming)


async def test_thinking_is_folded_and_unfolds(app: HeftApp, talker: TalkingEndpoint) -> None:
    talker.thinking = ["First ", "I think."]
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"Why", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(app))
        assert "thought for" in screen_text(app) and "First I think." not in screen_text(app)
        await pilot.press("escape", "t")
        await pilot.pause()
        assert "First I think." in screen_text(app)
        assert "thinking" not in str(talker.asked[0]["messages"])


async def test_the_answer_is_copied_to_a_file_too(app: HeftApp, talker: TalkingEndpoint, paths: Paths) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"Copy", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(app))
        await pilot.press("escape", "y")
        await idle(pilot, (paths.state / "copied.txt").exists)
        assert (paths.state / "copied.txt").read_text() == "".join(PIECES)


async def test_older_chats_are_found_opened_renamed_and_deleted(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        for text in ("First subject", "Second subject"):
            await pilot.press(*text, "enter")
            await idle(pilot, lambda: "tokens" in screen_text(app) and not pane(app).streaming)
            await pilot.press("ctrl+n")
            await idle(pilot)
        await pilot.press("escape", "o")
        await idle(pilot, lambda: "Second subject" in screen_text(app))
        await pilot.press("slash", *"First", "enter")
        await idle(pilot, lambda: "Second subject" not in screen_text(app))
        await pilot.press("enter")
        await idle(pilot, lambda: "❯ First subject" in screen_text(app))
        await pilot.press("escape", "o")
        await idle(pilot, lambda: "Second subject" in screen_text(app))
        before = len(workbench.transcripts().conversations())
        await pilot.press("x")
        await idle(pilot, lambda: len(workbench.transcripts().conversations()) == before - 1)
        await pilot.press("u")
        await idle(pilot, lambda: len(workbench.transcripts().conversations()) == before)


async def test_sampling_reaches_the_endpoint_and_nonsense_is_refused(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press("escape", "p")
        await pilot.press(*"Be brief.", "down", *["backspace"] * 4, *"hot", "enter")
        assert "temperature" in app.notes[-1].text
        await pilot.press(*["backspace"] * 3, *"0.25", "enter")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        await pilot.press("i", *"Hi", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(app))
        assert talker.asked[0]["temperature"] == 0.25
        assert talker.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}


async def test_a_narrow_window_wraps_the_whole_conversation_again(app: HeftApp, talker: TalkingEndpoint) -> None:
    talker.pieces = ["word "] * 60
    async with app.run_test(size=(160, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"Hi", "enter")
        await idle(pilot, lambda: "60 tokens" in screen_text(app))
        await pilot.resize_terminal(60, 30)
        await idle(pilot)
        shown = screen_text(app)
        assert sum(row.count("word") for row in shown.splitlines()) == 60
        assert all(len(row) <= 60 for row in shown.splitlines())


async def test_history_of_prompts_comes_back_with_up(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        await pilot.press(*"One", "enter")
        await idle(pilot, lambda: "tokens" in screen_text(app))
        await pilot.press(*"draft", "up")
        assert pane(app).prompt.text == "One"
        await pilot.press("down")
        assert pane(app).prompt.text == "draft"
        await pilot.press("ctrl+j", *"second line")
        assert pane(app).prompt.text == "draft\nsecond line"


async def test_the_last_question_is_taken_back_and_asked_otherwise(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await choose(pilot, app, talker.url)
        for text in ("First", "Secnd"):
            await pilot.press(*text, "enter")
            await idle(pilot, lambda: not pane(app).streaming and "tokens" in screen_text(app))
        await pilot.press("escape", "u")
        await pilot.pause()
        assert pane(app).prompt.text == "Secnd" and "❯ Secnd" not in screen_text(app)
        await pilot.press("backspace", "backspace", *"ond", "enter")
        await idle(pilot, lambda: not pane(app).streaming and "❯ Second" in screen_text(app))
        kept = workbench.transcripts().conversation(workbench.transcripts().conversations()[0].id)
        assert [message.content for message in kept.messages if message.role == "user"] == ["First", "Second"]


async def test_an_endpoint_chosen_by_address_stays_when_a_host_leaves(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    job = workbench.store.submit(JobRequest(Kind.SERVE, "some-build", {"build": "some-build"}))
    claimed = workbench.store.claim(job.id, "cpu")
    assert claimed is not None
    result = {"build": "some-build", "model": "m", "base_url": talker.url, "device": "cpu", "context": 2048}
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        workbench.store.mark_ready(job.id, claimed.attempt, result)
        await idle(pilot, lambda: "0 of 2,048 tokens" in screen_text(app))
        await pilot.press("4", *"Hi", "enter")
        await idle(pilot, lambda: f"{7 + len(PIECES)} of 2,048 tokens" in screen_text(app))
        await choose(pilot, app, talker.url)
        await idle(pilot, lambda: app.chat_ref == talker.url)
        workbench.store.finish(job.id, claimed.attempt, {})
        await idle(pilot, lambda: not app.hosts)
        assert app.endpoint is not None and talker.url in screen_text(app)


async def test_the_model_asked_for_last_answers_when_it_is_loaded(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    def loaded(name: str) -> Job:
        job = workbench.store.submit(JobRequest(Kind.SERVE, name, {"build": name}))
        claimed = workbench.store.claim(job.id, "cpu")
        assert claimed is not None
        workbench.store.mark_ready(job.id, claimed.attempt, {"build": name, "model": name, "base_url": talker.url})
        return job

    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        first = loaded("first")
        await idle(pilot, lambda: app.chat_ref == str(first.id))
        loaded("by-another-terminal")
        await idle(pilot, lambda: len(app.hosts) == 2)
        assert app.chat_ref == str(first.id), "nobody here asked for that one"
        asked = workbench.store.submit(JobRequest(Kind.SERVE, "asked", {"build": "asked"}))
        app.told_jobs((asked,))
        claimed = workbench.store.claim(asked.id, "cpu")
        assert claimed is not None
        workbench.store.mark_ready(asked.id, claimed.attempt, {"build": "asked", "model": "m", "base_url": talker.url})
        await idle(pilot, lambda: app.chat_ref == str(asked.id))


async def test_a_host_that_leaves_is_said(app: HeftApp, talker: TalkingEndpoint, workbench: Workbench) -> None:
    job = workbench.store.submit(JobRequest(Kind.SERVE, "some-build", {"build": "some-build"}))
    claimed = workbench.store.claim(job.id, "cpu")
    assert claimed is not None
    workbench.store.mark_ready(job.id, claimed.attempt, {"build": "some-build", "model": "m", "base_url": talker.url})
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot, lambda: app.endpoint is not None)
        workbench.store.finish(job.id, claimed.attempt, {})
        await idle(pilot, lambda: "the host has left" in screen_text(app))
        assert app.endpoint is None


async def test_who_answers_lists_loaded_models_first_and_takes_an_address(
    app: HeftApp, talker: TalkingEndpoint
) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("4", "e")
        await idle(pilot, lambda: "API" in screen_text(app))
        assert "set OPENAI_API_KEY" in screen_text(app)
        await pilot.press("enter")
        assert "set " in app.notes[-1].text and len(app.screen_stack) == 2
        await pilot.press(*talker.url, "enter")
        await idle(pilot, lambda: app.endpoint is not None)
        assert app.endpoint is not None and app.endpoint.base_url == talker.url
