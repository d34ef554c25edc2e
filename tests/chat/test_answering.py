"""Answers that a process of its own asks for and keeps: they outlive what asked, and nothing of them is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.heft import ROOT
from tests.ui.talking_endpoint import TalkingEndpoint
from tui.chat.answering import AnsweringProcesses
from tui.chat.conversation import Message, MessageState, Parameters
from tui.chat.endpoint import Endpoint
from tui.chat.transcript_store import TranscriptStore
from tui.chat.turn import Turn

QUESTION = Message("user", "q")
ASKER = """
import sys, threading
from pathlib import Path
from tests.chat.test_answering import turn_to
from tui.chat.answering import AnsweringProcesses
chats = Path(sys.argv[1])
processes = AnsweringProcesses(chats, chats.with_suffix(".log"), float(sys.argv[3]))
processes.take_turn(turn_to(sys.argv[2]), lambda role, text: print(text, flush=True), threading.Event())
"""


def turn_to(url: str) -> Turn:
    return Turn(Endpoint("lab", url, "m"), (QUESTION,), Parameters(), question=QUESTION)


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    return tmp_path / "chats.db"


@pytest.fixture
def processes(chats: Path) -> Iterator[AnsweringProcesses]:
    processes = AnsweringProcesses(chats, chats.with_suffix(".log"))
    yield processes
    processes.close()


@pytest.fixture
def talker() -> Iterator[TalkingEndpoint]:
    talker = TalkingEndpoint(["one ", "two ", "three"])
    yield talker
    talker.close()


def last(chats: Path) -> Message:
    return TranscriptStore(chats).conversation(1).messages[-1]


def asker(chats: Path, url: str, outlive: float = 60) -> subprocess.Popen[str]:
    """A process that asks and has heard the beginning of the answer."""
    words = [sys.executable, "-c", ASKER, str(chats), url, str(outlive)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None and process.stdout.readline() == "one \n"
    return process


def writer_of(chats: Path) -> int:
    """The process that keeps the answer that is under way."""
    rows = TranscriptStore(chats)._rows("SELECT writer FROM message WHERE state = 'streaming'", ())
    return int(rows[0]["writer"].split(":")[1])


def test_a_turn_is_taken_as_in_this_process_and_the_next_one_by_the_same(
    processes: AnsweringProcesses, talker: TalkingEndpoint, chats: Path
) -> None:
    came: list[tuple[str, str]] = []
    talker.thinking = ["hm"]
    processes.prepare()
    over = processes.take_turn(turn_to(talker.url), lambda role, text: came.append((role, text)), threading.Event())
    assert over is not None
    assert came == [("thinking", "hm"), ("assistant", "one "), ("assistant", "two "), ("assistant", "three")]
    assert (over.answer.content, over.answer.state) == ("one two three", MessageState.COMPLETE)
    assert over.answer.id == last(chats).id and last(chats) == over.messages[-1]
    process = processes._idle
    again = processes.take_turn(turn_to(talker.url), lambda role, text: None, threading.Event())
    assert again is not None and again.conversation != over.conversation and processes._idle is process


def test_stop_ends_the_answer_and_keeps_what_came(
    processes: AnsweringProcesses, talker: TalkingEndpoint, chats: Path
) -> None:
    talker.hold, stop = threading.Event(), threading.Event()
    heard: list[str] = []

    def sink(role: str, text: str) -> None:
        heard.append(text)
        if text == "three":
            stop.set()

    over = processes.take_turn(turn_to(talker.url), sink, stop)
    assert over is not None and over.answer.state is MessageState.STOPPED
    assert last(chats).content == over.answer.content == "one two three" == "".join(heard)


def test_what_asked_may_be_killed_and_the_answer_goes_on(
    talker: TalkingEndpoint, chats: Path, until: Callable[..., object]
) -> None:
    talker.hold = threading.Event()
    process = asker(chats, talker.url)
    until(lambda: last(chats).content == "one two three", 20, "what came is on the disk")
    writer = writer_of(chats)
    process.kill()
    process.wait()
    assert writer != process.pid and last(chats).state is MessageState.STREAMING
    talker.hold.set()
    until(lambda: last(chats).state is MessageState.COMPLETE, 20, "the answer is finished")
    assert last(chats).content == "one two three" and last(chats).usage["completion_tokens"] == 3
    until(lambda: not Path(f"/proc/{writer}").exists(), 20, "nothing is left behind")


def test_an_answer_without_end_is_ended_some_time_after_what_asked(
    talker: TalkingEndpoint, chats: Path, until: Callable[..., object]
) -> None:
    talker.hold = threading.Event()
    process = asker(chats, talker.url, outlive=1)
    until(lambda: last(chats).content == "one two three", 20, "what came is on the disk")
    writer = writer_of(chats)
    process.kill()
    process.wait()
    until(lambda: last(chats).state is MessageState.STOPPED, 20, "its time is over")
    assert last(chats).content == "one two three"
    until(lambda: not Path(f"/proc/{writer}").exists(), 20, "nothing is left behind")


def test_when_the_answering_process_is_killed_what_it_passed_on_is_shown_with_the_reason(
    processes: AnsweringProcesses, talker: TalkingEndpoint, chats: Path
) -> None:
    talker.hold = threading.Event()

    def sink(role: str, text: str) -> None:
        if text == "three":
            os.kill(writer_of(chats), signal.SIGKILL)

    over = processes.take_turn(turn_to(talker.url), sink, threading.Event())
    assert over is not None and over.answer.state is MessageState.FAILED
    assert over.answer.content == "one two three" and "was killed" in over.answer.problem
    talker.hold.set()
    again = processes.take_turn(turn_to(talker.url), lambda role, text: None, threading.Event())
    assert again is not None and again.answer.state is MessageState.COMPLETE


def test_without_a_process_there_is_no_turn(tmp_path: Path, talker: TalkingEndpoint) -> None:
    processes = AnsweringProcesses(tmp_path / "chats.db", tmp_path / "nowhere" / "log")
    assert processes.take_turn(turn_to(talker.url), lambda role, text: None, threading.Event()) is None
    assert not processes.can_start and not talker.asked
