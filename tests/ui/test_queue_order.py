"""The order of the queue by keys, the banner of a full disk, and the news for who looks elsewhere."""

from __future__ import annotations

import pytest

from tests.ui.conftest import idle, screen_text
from tui.jobs.job import Failure, JobRequest, Kind, Needs, State
from tui.settings import JobSettings
from tui.ui.app import HeftApp
from tui.ui.notification import osc9
from tui.workbench import Workbench


def submit(workbench: Workbench, *models: str) -> list[int]:
    return [workbench.store.submit(JobRequest(Kind.DOWNLOAD, model, {})).id for model in models]


def shown(app: HeftApp, *models: str) -> list[str]:
    text = screen_text(app)
    return sorted((model for model in models if model in text), key=text.index)


async def test_keys_change_the_order_and_the_cursor_stays_on_the_job(app: HeftApp, workbench: Workbench) -> None:
    submit(workbench, "model-one", "model-two", "model-three")
    names = ("model-one", "model-two", "model-three")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "model-three" in screen_text(app))
        await pilot.press("3", "J")
        await idle(pilot, lambda: shown(app, *names) == ["model-two", "model-one", "model-three"])
        await pilot.press("minus")
        await idle(pilot, lambda: shown(app, *names) == ["model-two", "model-three", "model-one"])
        await pilot.press("K", "plus")
        await idle(pilot, lambda: shown(app, *names) == ["model-one", "model-two", "model-three"])
    assert [job.model for job in workbench.jobs()] == list(names)


async def test_what_runs_is_not_moved_and_says_so(app: HeftApp, workbench: Workbench) -> None:
    (number,) = submit(workbench, "model-one")
    workbench.store.claim(number, "")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "model-one" in screen_text(app))
        await pilot.press("3", "K")
        await idle(pilot, lambda: "only what waits can be moved" in screen_text(app))


async def test_a_full_disk_stands_above_the_queue_until_there_is_room(
    app: HeftApp, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (number,) = submit(workbench, "model-one")
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await idle(pilot, lambda: "model-one" in screen_text(app))
        assert not app.query_one("#held").display
        workbench.store.wait(number, "the disk is full: 3.1 MB left on /; nothing new starts")
        await idle(pilot, lambda: f"! job {number} waits for disk space" in screen_text(app))
        monkeypatch.setattr("tui.jobs.full_disk.STATE_FLOOR", 10**18)
        await idle(pilot, lambda: "GB left: all goes on" in screen_text(app))
        monkeypatch.undo()
        workbench.store.wait(number, "GPU 0 is busy")
        await idle(pilot, lambda: "waits for disk space" not in screen_text(app))


async def test_a_waiting_job_is_told_to_wait_for_memory(app: HeftApp, workbench: Workbench) -> None:
    needs = Needs(device="cpu", memory=1000)
    number = workbench.store.submit(JobRequest(Kind.QUANTIZE, "model-one", {}, needs)).id
    submit(workbench, "model-two")
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "model-two" in screen_text(app))
        await pilot.press("3", "w")
        await idle(pilot, lambda: f"When shall job {number} start?" in screen_text(app))
        await pilot.press(*"24GB", "down", "backspace", "backspace", *"5", "enter")
        await idle(pilot, lambda: workbench.job(number).needs.free == 24 * 10**9)
        assert workbench.job(number).needs.free_for == 5
        await idle(pilot, lambda: "When shall" not in screen_text(app))
        await pilot.press("w", *(["backspace"] * 8), "enter")
        await idle(pilot, lambda: workbench.job(number).needs == needs)
        await pilot.press("j", "w")
        await idle(pilot, lambda: "a download needs no memory of a device" in screen_text(app))


async def test_a_job_that_tries_again_says_when_and_can_be_hurried(app: HeftApp, workbench: Workbench) -> None:
    (number,) = submit(workbench, "model-one")
    workbench.store.claim(number, "")
    away = Failure("the hub is away", passing=True)
    workbench.store.fail(number, 1, away, JobSettings(retries=3, retry_wait=500))
    async with app.run_test(size=(160, 40), notifications=True) as pilot:
        await idle(pilot, lambda: "the hub is away; tries again in 8m 20s (1 of 3)" in screen_text(app))
        due = workbench.job(number).again
        await pilot.press("3", "r")
        await idle(pilot, lambda: workbench.job(number).again != due)
        assert workbench.job(number).state is State.QUEUED
        await pilot.press("enter")
        await idle(pilot, lambda: "queued for" in screen_text(app) and "running for" in screen_text(app))


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_terminal_hears_of_an_ending(app: HeftApp, workbench: Workbench, wanted: bool) -> None:
    workbench.settings = type(workbench.settings)(notify=type(workbench.settings.notify)(terminal=wanted))
    (number,) = submit(workbench, "evil\x07;name")
    workbench.store.claim(number, "")
    written: list[str] = []
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot, lambda: "download" in screen_text(app))
        assert app._driver is not None
        app._driver.write = written.append  # type: ignore[method-assign]
        workbench.store.finish(number, 1, {})
        await idle(pilot, lambda: any("done" in note.text for note in app.notes))
        news = [text for text in written if text.startswith("\x1b]9;")]
    assert news == (["\x1b]9;Heft: download evil\ufffd,name is done\x07"] if wanted else [])


def test_multiplexers() -> None:
    assert osc9("a", {"TMUX": "x"}) == "\x1bPtmux;\x1b\x1b]9;a\x07\x1b\\"
    assert osc9("a", {"STY": "x"}) == ""
