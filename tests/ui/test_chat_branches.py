"""What can be done with the messages of a conversation by keys: versions, editing, going on, removing, copying."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.ui.conftest import idle, screen_text
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.conversation import Message, MessageState
from tui.paths import Paths
from tui.ui.app import HeftApp
from tui.ui.panes.chat_pane import ChatPane
from tui.workbench import Workbench

CODE = ["Look:\n\n", "```python\n", "x = 1\n", "y = 2\n", "```\n", "That is it."]


@pytest.fixture
def talker() -> Iterator[TalkingEndpoint]:
    endpoint = TalkingEndpoint(["The first answer."])
    yield endpoint
    endpoint.close()


def pane(app: HeftApp) -> ChatPane:
    return app.query_one(ChatPane)


async def ask(pilot: Pilot[int], app: HeftApp, talker: TalkingEndpoint, text: str) -> None:
    """Choose the endpoint and hold one turn; ends among the commands."""
    app.choose_endpoint(talker.url, focus=True)
    await idle(pilot, lambda: app.endpoint is not None)
    count = len(app.messages)
    await pilot.press(*text, "enter")
    await idle(pilot, lambda: len(app.messages) > count + 1 and not pane(app).streaming)
    await pilot.press("escape")


async def test_asking_again_keeps_the_old_answer_as_a_version(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await ask(pilot, app, talker, "Why?")
        talker.pieces = ["The second answer."]
        await pilot.press("r")
        await idle(pilot, lambda: "The second answer." in screen_text(app) and not pane(app).streaming)
        assert "‹2/2›" in screen_text(app) and "The first answer." not in screen_text(app)
        await pilot.press("left")
        await idle(pilot, lambda: "The first answer." in screen_text(app))
        assert "‹1/2›" in screen_text(app) and "The second answer." not in screen_text(app)
        await pilot.press("right")
        await idle(pilot, lambda: "The second answer." in screen_text(app))


async def test_an_earlier_question_is_asked_otherwise_and_both_branches_stay(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await ask(pilot, app, talker, "One")
        await ask(pilot, app, talker, "Two")
        await pilot.press("K", "K", "K", "K", "u")
        await pilot.pause()
        assert pane(app).prompt.text == "One"
        await pilot.press(*"!", "enter")
        await idle(pilot, lambda: "❯ One!" in screen_text(app) and not pane(app).streaming)
        assert "❯ Two" not in screen_text(app) and "‹2/2›" in screen_text(app)
        assert [one["content"] for one in talker.asked[-1]["messages"]] == ["One!"]
        await pilot.press("escape", "left")
        await idle(pilot, lambda: "❯ Two" in screen_text(app))
        kept = workbench.transcripts().conversations()[0]
        assert kept.message_count == 6, "nothing is overwritten"


async def test_an_edit_can_be_given_up(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await ask(pilot, app, talker, "One")
        await pilot.press("u")
        await pilot.pause()
        assert "❯ One" not in screen_text(app)
        await pilot.press("escape", "u")
        await idle(pilot, lambda: "❯ One" in screen_text(app))
        assert "The first answer." in screen_text(app) and pane(app).prompt.text == ""


async def test_a_stopped_answer_goes_on_in_the_same_message(
    app: HeftApp, talker: TalkingEndpoint, workbench: Workbench
) -> None:
    talker.pieces, talker.hold = ["Half an "], threading.Event()
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press(*"Go", "enter")
        while "Half an" not in screen_text(app):
            await pilot.pause(0.02)
        await pilot.press("escape")
        await idle(pilot, lambda: not pane(app).streaming)
        assert "stopped, c goes on" in screen_text(app)
        talker.pieces, talker.hold = ["answer."], None
        await pilot.press("escape", "c")
        await idle(pilot, lambda: "Half an answer." in screen_text(app) and not pane(app).streaming)
        kept = workbench.transcripts().conversation(app.conversation)
        assert [(one.content, one.state) for one in kept.messages] == [
            ("Go", MessageState.COMPLETE),
            ("Half an answer.", MessageState.COMPLETE),
        ]
        assert [one["role"] for one in talker.asked[-1]["messages"]] == ["user", "assistant", "user"]


async def test_a_message_is_removed_and_taken_back(app: HeftApp, talker: TalkingEndpoint) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await ask(pilot, app, talker, "One")
        await pilot.press("x")
        await idle(pilot, lambda: "The first answer." not in screen_text(app))
        await pilot.press("U")
        await idle(pilot, lambda: "The first answer." in screen_text(app))


async def test_a_fork_goes_its_own_way(app: HeftApp, talker: TalkingEndpoint, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await ask(pilot, app, talker, "One")
        first = app.conversation
        await pilot.press("K", "K", "f")
        await idle(pilot, lambda: app.conversation != first)
        assert [one.content for one in app.messages] == ["One"]
        assert len(workbench.transcripts().conversation(first).messages) == 2


async def test_a_message_a_code_block_and_everything_are_copied(
    app: HeftApp, talker: TalkingEndpoint, paths: Paths
) -> None:
    talker.pieces = CODE
    copied = Path(paths.state / "copied.txt")
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await ask(pilot, app, talker, "Code?")
        for keys, what, text in (
            (("K", "y"), "code copied", "x = 1\ny = 2"),
            (("K", "y"), "answer copied", "".join(CODE)),
            (("K", "y"), "question copied", "Code?"),
            (("Y",), "chat copied", f"**You**\n\nCode?\n\n**Answer**\n\n{''.join(CODE)}\n"),
        ):
            await pilot.press(*keys)
            await idle(pilot, lambda what=what: any(what in note.text for note in app.notes))
            assert copied.read_text() == text
        assert "▌ Code?" in screen_text(app) and "▌ Look" not in screen_text(app), "the question is marked"
        await pilot.press("escape")
        assert "❯ Code?" in screen_text(app)


async def test_an_answer_that_another_window_streams_is_followed_and_stopped(
    app: HeftApp, workbench: Workbench
) -> None:
    store = workbench.transcripts()
    chat = store.start("elsewhere").id
    store.add(chat, Message("user", "A long one"))
    stop = threading.Event()
    writer = store.answer(chat, stop=stop)
    writer.append("It begins")
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot, lambda: "It begins" in screen_text(app))
        assert pane(app).streaming
        writer.append(" and goes on")
        await idle(pilot, lambda: "It begins and goes on" in screen_text(app))
        await pilot.press("4", "escape")
        await idle(pilot, lambda: stop.is_set() or writer.append(".") or False)
        writer.finish(state=MessageState.STOPPED)
        await idle(pilot, lambda: not pane(app).streaming)
        assert "stopped" in screen_text(app)


async def test_a_file_goes_with_the_question_and_only_its_name_is_shown(
    app: HeftApp, talker: TalkingEndpoint, tmp_path: Path
) -> None:
    (tmp_path / "notes.py").write_text("secret = '```'\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0")
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press("ctrl+t", *str(tmp_path / "pic"), "tab", "enter")
        await idle(pilot, lambda: any("not a text file" in note.text for note in app.notes))
        await pilot.press("ctrl+t", *str(tmp_path / "no"), "tab", "enter")
        await idle(pilot, lambda: "+ notes.py" in screen_text(app))
        await pilot.press(*"What is it?", "enter")
        await idle(pilot, lambda: len(app.messages) == 2 and not pane(app).streaming)
        sent = talker.asked[-1]["messages"][-1]["content"]
        assert sent == "File `notes.py`:\n\n````py\nsecret = '```'\n````\n\nWhat is it?"
        shown = screen_text(app)
        assert "+ notes.py (" in shown and "secret" not in shown
        assert pane(app).files == []


async def test_a_prompt_that_was_not_sent_is_there_again(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        await pilot.press("4", "i", *"half a thought")
        await idle(pilot, (workbench.paths.state / "draft.txt").exists)
    again = HeftApp(workbench)
    async with again.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot, lambda: pane(again).prompt.text == "half a thought")


async def test_leaving_while_an_answer_streams_asks_once(app: HeftApp, talker: TalkingEndpoint) -> None:
    talker.hold = threading.Event()
    async with app.run_test(size=(120, 50), notifications=True) as pilot:
        await idle(pilot)
        app.choose_endpoint(talker.url, focus=True)
        await idle(pilot, lambda: app.endpoint is not None)
        await pilot.press(*"Go", "enter")
        while "The first" not in screen_text(app):
            await pilot.pause(0.02)
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert app.is_running and "still under way" in app.notes[-1].text
        await pilot.press("ctrl+q")
        assert app.return_code == 0
