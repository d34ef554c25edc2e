"""An answer outlives the app that asked for it, however that ends, and a second terminal sees it grow."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.heft import Heft
from tests.terminal import Terminal
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.conversation import Message, MessageState
from tui.chat.transcript_store import TranscriptStore
from tui.paths import Paths

pytestmark = pytest.mark.slow


@pytest.fixture
def talker() -> Iterator[TalkingEndpoint]:
    talker = TalkingEndpoint(["It begins", " and goes on"])
    talker.hold = threading.Event()
    yield talker
    talker.close()


def quit_(terminal: Terminal) -> None:
    terminal.press("escape", "q")


def kill(terminal: Terminal) -> None:
    os.kill(terminal.pid, signal.SIGKILL)


def kept(home: Path) -> Message:
    paths = Paths.from_environment({"HEFT_HOME": str(home)})
    return TranscriptStore(paths.chats).conversation(1).messages[-1]


def asked(heft: Heft, talker: TalkingEndpoint) -> Terminal:
    """An app whose answer is under way; the commands have the keys."""
    terminal = Terminal(heft.environment)
    terminal.wait_for("Catalog", "Heft Starter", seconds=60)
    terminal.press("4", "e", talker.url, "enter")
    terminal.wait_for("talker")
    terminal.press("Go on", "enter")
    terminal.wait_for("It begins and goes on")
    return terminal


@pytest.mark.parametrize("end", [Terminal.drop, quit_, kill], ids=["hung up", "quit", "killed"])
def test_an_answer_goes_on_without_its_app_and_is_seen_from_another(
    end: Callable[[Terminal], None], tmp_path: Path, talker: TalkingEndpoint, until: Callable[..., object]
) -> None:
    assert talker.hold is not None
    heft = Heft(tmp_path / "home")
    first, second = asked(heft, talker), None
    try:
        if end is quit_:
            first.press("tab")  # out of the field, where letters are text
        end(first)
        until(lambda: not first.is_alive(), 20, "the app ends at once")
        assert kept(heft.home).state is MessageState.STREAMING
        second = Terminal(heft.environment, columns=120, rows=36)
        second.wait_for("It begins and goes on", "asked before", seconds=60)
        talker.hold.set()
        second.wait_for("tokens", seconds=30)
        message = kept(heft.home)
        assert (message.content, message.state) == ("It begins and goes on", MessageState.COMPLETE)
        assert message.usage["completion_tokens"] == 2 and len(talker.asked) == 1
    finally:
        for terminal in (first, second):
            if terminal is not None:
                terminal.close()


def test_an_answer_whose_model_goes_away_after_the_app_keeps_what_came(
    tmp_path: Path, talker: TalkingEndpoint, until: Callable[..., object]
) -> None:
    heft = Heft(tmp_path / "home")
    first = asked(heft, talker)
    try:
        kill(first)
        until(lambda: not first.is_alive(), 20, "the app ends at once")
        talker.break_off()
        until(lambda: kept(heft.home).state is MessageState.FAILED, 20, "the answer ends with its model")
        assert kept(heft.home).content == "It begins and goes on"
        assert "went away" in kept(heft.home).problem
    finally:
        first.close()
