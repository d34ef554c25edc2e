"""An answer outlives the terminal that asked for it, and a second terminal sees it grow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.heft import Heft
from tests.terminal import Terminal
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.conversation import MessageState
from tui.chat.transcript_store import TranscriptStore
from tui.paths import Paths

pytestmark = pytest.mark.slow


def test_an_answer_goes_on_without_its_terminal_and_is_seen_from_another(
    tmp_path: Path, until: Callable[..., object]
) -> None:
    talker = TalkingEndpoint(["It begins"])
    talker.hold = threading.Event()
    heft = Heft(tmp_path / "home")
    paths = Paths.from_environment({"HEFT_HOME": str(heft.home)})
    first = Terminal(heft.environment)
    second = None
    try:
        first.wait_for("Catalog", "Heft Starter", seconds=60)
        first.press("4", "e", talker.url, "enter")
        first.wait_for("talker")
        first.press("Go on", "enter")
        first.wait_for("It begins")
        first.drop()
        second = Terminal(heft.environment, columns=120, rows=36)
        second.wait_for("It begins", "another window asked", seconds=60)
        talker.hold.set()
        second.wait_for("tokens", seconds=30)
        message = TranscriptStore(paths.chats).conversation(1).messages[-1]
        assert (message.content, message.state) == ("It begins", MessageState.COMPLETE)
        until(lambda: not first.is_alive(), 20, "the first app ends when its answer is over")
    finally:
        talker.close()
        for terminal in (first, second):
            if terminal is not None:
                terminal.close()
