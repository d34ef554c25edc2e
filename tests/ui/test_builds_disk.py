"""The builds screen tells what else lies on the disk, and brings back what was removed, also after a restart."""

from __future__ import annotations

import os
import shutil
import time

from tests.ui.conftest import idle, screen_text
from tui.jobs.job import Kind
from tui.starter import starter_folder
from tui.ui.app import HeftApp
from tui.ui.messages import BuildsRequested, DiskRequested
from tui.workbench import Workbench


async def test_f_asks_for_a_gguf_file_and_a_refusal_says_why(app: HeftApp, workbench: Workbench) -> None:
    shutil.copytree(starter_folder(), workbench.paths.builds / "starter")
    (workbench.paths.builds / "file").mkdir()
    (workbench.paths.builds / "file" / "tiny-Q8_0.gguf").write_bytes(b"GGUF" + bytes(60))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        app.post_message(BuildsRequested())
        await idle(pilot, lambda: "tiny" in screen_text(app) or "gguf" in screen_text(app))
        await pilot.press("f")
        await idle(pilot, lambda: "GGUF file already" in screen_text(app) or "file:" in screen_text(app))
        await pilot.press("down", "f")
        await idle(pilot, lambda: [job.kind for job in workbench.jobs()] == [Kind.EXPORT])
        assert workbench.jobs()[0].spec["name"] == "starter-f16"


async def test_leftovers_are_told_and_a_removal_of_yesterday_is_undone(app: HeftApp, workbench: Workbench) -> None:
    paths = workbench.paths
    for name in ("kept", "gone"):
        (paths.builds / name).mkdir()
        (paths.builds / name / "heft.json").write_text("{}")
    workbench.remove_build("gone")
    half = paths.hub_cache / "models--org--model/blobs" / ("c" * 64 + ".heft.incomplete")
    half.parent.mkdir(parents=True)
    half.write_bytes(os.urandom(2_000_000))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        app.post_message(BuildsRequested())
        await idle(pilot, lambda: "1 leftover, d frees 2.0" in screen_text(app))
        await idle(pilot, lambda: "1 in the trash" in screen_text(app))
        assert f"used {time.strftime('%Y-%m-%d')}" in screen_text(app)
        await pilot.press("u")
        await idle(pilot, (paths.builds / "gone").exists)
        await idle(pilot, lambda: "in the trash" not in screen_text(app))
        await pilot.press("u")
        await idle(pilot, lambda: "the trash is empty" in screen_text(app))


async def test_the_disk_screen_prunes_and_empties_the_trash(app: HeftApp, workbench: Workbench) -> None:
    paths = workbench.paths
    (paths.builds / "gone").mkdir()
    (paths.builds / "gone/heft.json").write_text('{"x": "' + "y" * 5000 + '"}')
    workbench.remove_build("gone")
    half = paths.hub_cache / "models--org--model/blobs" / ("c" * 64 + ".heft.incomplete")
    half.parent.mkdir(parents=True)
    half.write_bytes(os.urandom(2_000_000))
    async with app.run_test(size=(120, 36), notifications=True) as pilot:
        await idle(pilot)
        app.post_message(DiskRequested())
        await idle(pilot, lambda: "half a download" in screen_text(app) and "may go" in screen_text(app))
        assert "brings it back, for" in screen_text(app) and "no large file is here twice" in screen_text(app)
        await pilot.press("x")
        await idle(pilot, lambda: "Delete what nobody goes on with (2.0" in screen_text(app))
        await pilot.press("y")
        await idle(pilot, lambda: not half.exists() and "half a download" not in screen_text(app))
        await pilot.press("t")
        await idle(pilot, lambda: "Empty the trash" in screen_text(app))
        await pilot.press("y")
        await idle(pilot, lambda: "nothing lies around" in screen_text(app))
        await pilot.press("t")
        await idle(pilot, lambda: "the trash is empty" in screen_text(app))
