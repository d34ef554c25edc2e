from __future__ import annotations

import pytest

from tests.ui.conftest import idle, screen_text
from tui.jobs.job import Failure, JobRequest, Kind, Needs, Progress, State
from tui.ui.app import HeftApp
from tui.ui.screens.confirm_screen import ConfirmScreen
from tui.ui.screens.job_screen import JobScreen
from tui.ui.screens.log_screen import LogScreen
from tui.workbench import Workbench


def running(workbench: Workbench, model: str = "some-model") -> int:
    job = workbench.store.submit(JobRequest(Kind.DOWNLOAD, model, {"repo": "a/b"}, Needs(network=True)))
    claimed = workbench.store.claim(job.id, "")
    assert claimed is not None
    workbench.store.report(job.id, claimed.attempt, Progress(412e6, 988e6, "B", 38e6, 15.2))
    return job.id


async def test_jobs_appear_and_move_while_one_looks(app: HeftApp, workbench: Workbench) -> None:
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        number = running(workbench)
        await idle(pilot, lambda: "42%" in screen_text(app))
        assert "38.0 MB/s" in screen_text(app) and "▸1" in screen_text(app)
        workbench.store.fail(number, 1, Failure("the disk is full", "free some space"))
        await idle(pilot, lambda: "the disk is full" in screen_text(app))
        assert any("the disk is full" in note.text for note in app.notes)


async def test_cancelling_what_runs_is_asked_about_and_enter_keeps_it(app: HeftApp, workbench: Workbench) -> None:
    number = running(workbench)
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "42%" in screen_text(app))
        await pilot.press("3", "x")
        assert isinstance(app.screen, ConfirmScreen)
        await pilot.press("enter")
        await idle(pilot)
        assert workbench.job(number).want is None
        await pilot.press("x", "y")
        await idle(pilot, lambda: workbench.job(number).want is not None)
        await idle(pilot, lambda: "stopping" in screen_text(app))


async def test_pause_resume_retry_and_clear(app: HeftApp, workbench: Workbench) -> None:
    job = workbench.store.submit(JobRequest(Kind.EVALUATE, "model", {}))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "evaluate" in screen_text(app))
        await pilot.press("3", "p")
        await idle(pilot, lambda: workbench.job(job.id).state is State.PAUSED)
        await idle(pilot, lambda: "paused" in screen_text(app))
        await pilot.press("p")
        await idle(pilot, lambda: workbench.job(job.id).state is State.QUEUED)
        await idle(pilot, lambda: "waits" in screen_text(app))
        await pilot.press("x")
        await idle(pilot, lambda: workbench.job(job.id).state is State.CANCELLED)
        await idle(pilot, lambda: "cancelled" in screen_text(app))
        await pilot.press("r")
        await idle(pilot, lambda: workbench.job(job.id).state is State.QUEUED)
        await idle(pilot, lambda: "waits" in screen_text(app))
        await pilot.press("x")
        await idle(pilot, lambda: "cancelled" in screen_text(app))
        await pilot.press("c")
        await idle(pilot, lambda: not workbench.jobs())
        await idle(pilot, lambda: "Nothing to do" in screen_text(app))


async def test_the_log_opens_at_its_end_follows_and_is_searched(app: HeftApp, workbench: Workbench) -> None:
    number = running(workbench)
    log = workbench.job(number).log
    log.write_bytes(b"".join(b"line %d of the log\n" % row for row in range(500)) + b"\x1b[31mred\x1b[0m \x9b evil\r\n")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "42%" in screen_text(app))
        await pilot.press("3", "l")
        await idle(pilot, lambda: "line 499 of the log" in screen_text(app))
        assert isinstance(app.screen, LogScreen)
        shown = screen_text(app)
        assert "\x1b" not in shown and "\x9b" not in shown and "red" in shown
        with log.open("a") as file:
            file.write("and one more\n")
        await idle(pilot, lambda: "and one more" in screen_text(app))
        await pilot.press("slash", *"line 42 of", "enter")
        await idle(pilot, lambda: "line 42 of the log" in screen_text(app))
        assert "matches" in screen_text(app)
        with log.open("a") as file:
            file.write("not followed\n")
        await pilot.pause(0.8)
        assert "not followed" not in screen_text(app)
        await pilot.press("G")
        await idle(pilot, lambda: "not followed" in screen_text(app))


async def test_details_tell_the_failure_its_hint_and_the_story(app: HeftApp, workbench: Workbench) -> None:
    number = running(workbench)
    workbench.store.fail(number, 1, Failure("the hub refuses a/b", "accept the terms", "/x/log"))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "refuses" in screen_text(app))
        await pilot.press("3", "enter")
        await idle(pilot, lambda: "Story" in screen_text(app))
        assert isinstance(app.screen, JobScreen)
        shown = screen_text(app)
        assert "the hub refuses a/b" in shown and "accept the terms" in shown and "repo" in shown and "a/b" in shown


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_many_jobs_scroll_with_the_cursor(app: HeftApp, workbench: Workbench, size: tuple[int, int]) -> None:
    for number in range(60):
        workbench.store.submit(JobRequest(Kind.DOWNLOAD, f"model-{number:02}", {"repo": str(number)}))
    async with app.run_test(size=size, notifications=True) as pilot:
        await pilot.press("3")
        await idle(pilot, lambda: "model-00" in screen_text(app))
        await pilot.press("end")
        await pilot.pause()
        assert "model-59" in screen_text(app)
        await pilot.press("home")
        await pilot.pause()
        assert "model-00" in screen_text(app)
