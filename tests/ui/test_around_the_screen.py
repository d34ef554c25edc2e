"""The terminal around the app, the feed and the errands."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.message import Message

from tests.ui.conftest import idle
from tui.errors import HeftError
from tui.jobs.job import JobRequest, Kind
from tui.ui.app import HeftApp
from tui.ui.feed import Feed
from tui.ui.messages import FeedFailed, JobsChanged, SnapshotTaken
from tui.ui.terminal import traceback_without_locals
from tui.workbench import Workbench

Until = Callable[..., object]


def test_the_app_imports_nothing_heavy() -> None:
    code = (
        "import sys, tui.ui.app\n"
        "heavy = ('torch', 'transformers', 'huggingface_hub', 'httpx2', 'pynvml', 'tui.workbench', 'pygments.lexers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_over_ssh_fewer_frames_are_drawn_and_nothing_moves() -> None:
    code = "import tui.ui.app, textual.constants as c; print(c.MAX_FPS, c.TEXTUAL_ANIMATIONS)"
    environment = {**os.environ, "SSH_CONNECTION": "1.2.3.4 5 6.7.8.9 22"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["10", "none"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, "TEXTUAL_FPS": "30"},
    )
    assert done.stdout.split()[0] == "30"


def test_stray_output_goes_to_the_log_and_comes_back_after(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    code = f"""
import os, subprocess, sys
from pathlib import Path
from tui.ui.terminal import quiet_screen
with quiet_screen(Path({str(log)!r})):
    os.write(2, b"from C\\n")
    print("from python", file=sys.stderr)
    subprocess.run([sys.executable, "-c", "import os; os.write(2, b'from a child\\\\n')"])
    print("to the screen", file=sys.__stderr__, flush=True)
print("after", file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "to the screen\nafter\n"
    written = log.read_text()
    assert all(part in written for part in ("from C", "from python", "from a child"))


def test_a_traceback_never_shows_values() -> None:
    def fails() -> None:
        token = "hf_SECRET123"
        raise ValueError(f"no {len(token)}")

    with pytest.raises(ValueError) as caught:
        fails()
    text = traceback_without_locals(caught.value)
    assert "hf_SECRET123" not in text.replace('token = "hf_SECRET123"', "") and "no 12" in text


def test_the_feed_posts_what_changed_and_only_then(workbench: Workbench, until: Until) -> None:
    posted: list[Message] = []
    feed = Feed(workbench, posted.append)
    feed.start()
    try:
        until(lambda: [message for message in posted if isinstance(message, JobsChanged)], what="the first look")
        until(lambda: [message for message in posted if isinstance(message, SnapshotTaken)], what="the machine")
        count = sum(isinstance(message, JobsChanged) for message in posted)
        job = workbench.store.submit(JobRequest(Kind.DOWNLOAD, "model", {"repo": "a/b"}))
        feed.wake()
        until(lambda: sum(isinstance(message, JobsChanged) for message in posted) == count + 1)
        last = [message for message in posted if isinstance(message, JobsChanged)][-1]
        assert [item.id for item in last.jobs] == [job.id]
        workbench.cancel(job.id)
        workbench.clear_jobs()
        feed.wake()
        until(lambda: [message for message in posted if isinstance(message, JobsChanged)][-1].jobs == ())
    finally:
        feed.stop()
        feed.join(5)
    assert not feed.is_alive()


def test_a_feed_that_fails_says_so_once_and_goes_on(
    workbench: Workbench, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted: list[Message] = []
    broken = threading.Event()
    broken.set()
    real = workbench.store.data_version

    def data_version() -> int:
        if broken.is_set():
            raise HeftError("the database is locked")
        return real()

    monkeypatch.setattr(workbench.store, "data_version", data_version)
    feed = Feed(workbench, posted.append)
    feed.start()
    try:
        until(
            lambda: (
                [message.summary for message in posted if isinstance(message, FeedFailed)] == ["the database is locked"]
            )
        )
        broken.clear()
        until(lambda: [message.summary for message in posted if isinstance(message, FeedFailed)][-1] == "")
        until(lambda: any(isinstance(message, JobsChanged) for message in posted))
    finally:
        feed.stop()


async def test_an_older_answer_of_a_group_is_dropped(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        release, answers = threading.Event(), []
        app.errand(lambda _: release.wait(10) and "old", answers.append, group="g")
        app.errand(lambda _: "new", answers.append, group="g")
        while not answers:
            await pilot.pause(0.01)
        release.set()
        await idle(pilot)
        assert answers == ["new"]


async def test_an_error_nobody_expected_is_told_in_a_line_and_logged(
    app: HeftApp, caplog: pytest.LogCaptureFixture
) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)

        def fails(_: Workbench) -> None:
            raise ZeroDivisionError("by \x1b[31mnothing")

        with caplog.at_level(logging.ERROR, logger="heft.app"):
            app.errand(fails)
            await idle(pilot, lambda: bool(app.notes))
        assert "ZeroDivisionError: by" in app.notes[-1].text and "\x1b" not in app.notes[-1].text
        assert app.is_running


async def test_the_loop_goes_on_while_the_domain_blocks(app: HeftApp) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        release = threading.Event()
        for _ in range(40):
            app.errand(lambda _: release.wait(120))
        await pilot.press("3", "1", "slash", *"qwen")
        await pilot.pause()
        assert "of 3" in app.catalog_pane.counts
        assert app.is_busy, "the domain still blocks"
        release.set()
