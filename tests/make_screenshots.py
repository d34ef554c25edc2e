"""Takes the pictures in ``screenshots/`` from the real app in real states: ``python tests/make_screenshots.py``.

It plays the README's tour in a private home without a network: the starter is downloaded, quantized, loaded and talked
to, and every step is kept as SVG and PNG, the whole tour as an animation (``tour.gif``). The hardware pane is also
shown with eight GPUs, on the stand-in for the driver library that the tests use. Takes about five minutes on two cores
and needs Pillow (``pip install '.[dev]'``).
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from textual.pilot import Pilot  # noqa: E402

from tests import fake_nvml  # noqa: E402
from tests.picture import Picture, picture_of, save_animation, save_png, svg_of  # noqa: E402
from tui.chat.conversation import Parameters  # noqa: E402
from tui.compare.trial import Order, Prompt  # noqa: E402
from tui.hardware import host_probe  # noqa: E402
from tui.jobs.job import State  # noqa: E402
from tui.paths import Paths  # noqa: E402
from tui.settings import InterfaceSettings  # noqa: E402
from tui.ui import clock  # noqa: E402
from tui.ui.app import HeftApp  # noqa: E402
from tui.workbench import Workbench  # noqa: E402

SIZES = ((80, 24), (120, 36), (200, 60))
FOLDER = ROOT / "screenshots"
QUESTION = "What does group_size do?"
DARK = InterfaceSettings(theme="heft-dark")


async def until(pilot: Pilot[int], condition: Callable[[], object], seconds: float = 300.0) -> None:
    """Let the app work until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the app did not get there")
        await pilot.pause(0.05)
    await pilot.pause(0.3)


def opened(app: HeftApp) -> bool:
    """Whether the first facts are on screen and nothing is under way."""
    return app.catalog_pane.index is not None and bool(app.catalog_pane.fits) and not app.is_busy


def hold_the_clock() -> None:
    """One moment for all pictures, and one name for the machine: only what was measured differs from run to run."""
    moment = datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC).timestamp()
    clock.seconds = lambda: moment
    host_probe.socket = SimpleNamespace(gethostname=lambda: "gpu-box")  # for the eye alone: folders keep the real name
    os.environ["TZ"] = "UTC"
    time.tzset()


def jobs_are(bench: Workbench, *states: State) -> Callable[[], bool]:
    """A condition: the newest jobs are in these states."""
    return lambda: [job.state for job in bench.jobs()][-len(states) :] == list(states)


def keep(app: HeftApp, name: str) -> None:
    """Write what is on screen, as SVG and as PNG."""
    columns, rows = app.size
    picture = picture_of(app)
    path = FOLDER / f"{name}-{columns}x{rows}.svg"
    path.write_text(svg_of(picture), encoding="utf-8")
    save_png(picture, path.with_suffix(".png"))
    print(path.stem, flush=True)


class Film:
    """Frames of the tour; one that looks like the one before only lasts longer."""

    def __init__(self) -> None:
        self.frames: list[tuple[Picture, float]] = []

    def take(self, app: HeftApp, seconds: float) -> None:
        """What is on screen now, to stand for ``seconds``."""
        picture = picture_of(app)
        if self.frames and self.frames[-1][0] == picture:
            self.frames[-1] = (picture, min(4.0, self.frames[-1][1] + seconds))
        else:
            self.frames.append((picture, seconds))

    async def watch(self, pilot: Pilot[int], app: HeftApp, over: Callable[[], object], every: float) -> None:
        """Take a frame ``every`` so many seconds until ``over``; they run faster than they were."""
        deadline = time.monotonic() + 300
        while not over() and time.monotonic() < deadline:
            self.take(app, 0.12)
            await pilot.pause(every)


async def tour(bench: Workbench) -> None:
    """From an empty machine to an answer, at 120x36; every step is also a frame of the film."""
    app, film = HeftApp(bench, interface=DARK), Film()
    async with app.run_test(size=(120, 36), notifications=True) as pilot:

        async def press(*keys: str, seconds: float = 0.6) -> None:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.1)
                film.take(app, 0.07 if len(key) == 1 and len(keys) > 4 else seconds)

        await until(pilot, lambda: opened(app))
        keep(app, "first-run")
        film.take(app, 2.5)
        await press("down", "down", "enter", seconds=0.4)
        await until(pilot, lambda: not app.is_busy)
        film.take(app, 2.0)
        await press("escape", "home", "g", "right")
        await until(pilot, lambda: not app.is_busy)
        keep(app, "recipe")
        film.take(app, 2.0)
        await press("enter")
        await film.watch(
            pilot, app, lambda: any(j.kind == "quantize" and j.progress.done >= 2 for j in bench.jobs()), 1.0
        )
        await press("3")
        await pilot.pause(0.5)
        keep(app, "queue")
        await press("l")
        await pilot.pause(1.5)
        keep(app, "log")
        film.take(app, 1.5)
        await press("escape")
        await film.watch(pilot, app, jobs_are(bench, State.DONE, State.DONE, State.READY), 2.0)
        await until(pilot, lambda: not app.is_busy)
        await press("4")
        for question in ("What is GPTQ?", QUESTION):
            await press(*("space" if letter == " " else letter for letter in question))
            await press("enter", seconds=0.1)
            await film.watch(pilot, app, lambda: not app.is_busy and not app.pane(4).streaming, 0.06)
            film.take(app, 2.0)
        keep(app, "chat")
        await press("escape", "1", "b")
        await until(pilot, lambda: not app.is_busy)
        film.take(app, 2.5)
        await press("escape")
        await pilot.pause(0.5)
        keep(app, "workbench")
        await press("T", seconds=1.5)
        await press("T", "q", seconds=0.5)
    save_animation(film.frames, FOLDER / "tour.gif")
    print(f"tour.gif, {len(film.frames)} frames", flush=True)


async def screens(bench: Workbench, size: tuple[int, int], theme: str) -> None:
    """Every screen in one size and theme."""
    app = HeftApp(bench, interface=InterfaceSettings(theme=theme))
    mark = "" if theme == "heft-dark" else "-light"
    async with app.run_test(size=size, notifications=True) as pilot:
        await until(pilot, lambda: opened(app))
        for number, name in ((1, "catalog"), (2, "hardware"), (3, "queue"), (4, "chat")):
            await pilot.press("escape", str(number))
            await pilot.pause(0.4)
            if size[0] < 110:
                keep(app, name + mark)
            elif number == 1:
                keep(app, "workbench" + mark)
        await pilot.press("escape", "1")
        for keys, name in (
            (("enter",), "model"),
            (("F", "down", "right", "right", "down", "right"), "filters"),
            (("b",), "builds"),
            (("question_mark",), "help"),
            (("g",), "recipe"),
            (("g", "left"), "recipe-custom"),
            (("B",), "ladder"),
            (("w",), "pick"),
            (("space", "down", "down", "space", "x"), "compare"),
            (("3", "home", "enter"), "job"),
            (("m",), "messages"),
            (("colon",), "commands"),
            (("4", "escape", "o"), "conversations"),
            (("4", "escape", "e"), "endpoints"),
            (("4", "escape", "p"), "parameters"),
            (("4", "escape", "a"), "attach"),
            (("1", "b", "d"), "disk"),  # the last: esc leaves it for the builds
        ):
            await pilot.press(*keys)
            await until(pilot, lambda: not app.is_busy)
            await pilot.pause(0.5)
            keep(app, name + mark)
            await pilot.press("escape")
            await pilot.pause(0.2)


def climb(bench: Workbench) -> None:
    """Make the ladder of the starter."""
    jobs = bench.ladder(bench.model("heft-starter"))
    deadline = time.monotonic() + 600
    while not all(bench.job(job.id).state.is_over for job in jobs) and time.monotonic() < deadline:
        bench.keep_running()
        time.sleep(0.5)


def hold_trial(bench: Workbench) -> int:
    """A trial of three builds of the starter; returns its number once every answer is there."""
    names = ("heft-starter", "heft-starter-gptq-4bit-g128", "heft-starter-gptq-2bit-g128")
    panel = tuple(bench.trials().contestant(name) for name in names)
    asked = tuple(Prompt((text,)) for text in (QUESTION, "What is GPTQ?", "Why does a job wait?"))
    trial, job = bench.compare(Order(panel, asked, parameters=Parameters(temperature=0.0, max_tokens=160, seed=0)))
    deadline = time.monotonic() + 300
    while not bench.job(job.id).state.is_over and time.monotonic() < deadline:
        bench.keep_running()
        time.sleep(0.5)
    return trial.id


async def trials(bench: Workbench, trial_id: int) -> None:
    """A trial: side by side, as a table, a blind vote and the board."""
    for size in SIZES:
        app = HeftApp(bench, interface=DARK)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda app=app: opened(app))
            app.open_trial(trial_id)
            for keys, name in (
                ((), "trial"),
                (("t",), "trial-table"),
                (("escape", "v"), "vote"),
                (("a",), "vote-cast"),
            ):
                await pilot.press(*keys)
                await pilot.pause(0.8)
                keep(app, name)
            await pilot.press("escape", "b")
            await pilot.pause(0.8)
            keep(app, "board")


async def gpus(bench: Workbench) -> None:
    """The hardware pane on a machine with eight GPUs; runs in a process that loads the stand-in library."""
    for size in SIZES:
        app = HeftApp(bench, interface=DARK)
        async with app.run_test(size=size, notifications=True) as pilot:
            await until(pilot, lambda app=app: opened(app))
            await pilot.press("2")
            if size[0] >= 110:
                await pilot.press("z")
            await pilot.pause(3)
            keep(app, "gpus")
            await pilot.press("1", "slash", *"llama-3.1-70b", "enter", "enter")
            await until(pilot, lambda app=app: not app.is_busy)
            await pilot.pause(0.5)
            keep(app, "fit")


def main() -> int:
    """Play the tour and take the pictures."""
    global FOLDER
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gpus", action="store_true", help="only the hardware pane, on the library that is loaded")
    parser.add_argument("--into", type=Path, default=FOLDER, help="where the pictures go")
    arguments = parser.parse_args()
    FOLDER = arguments.into.absolute()
    FOLDER.mkdir(parents=True, exist_ok=True)
    hold_the_clock()
    if arguments.gpus:
        bench = Workbench()
        asyncio.run(gpus(bench))
        bench.close()
        return 0
    home = Path(tempfile.gettempdir()) / "heft-tour"
    shutil.rmtree(home, ignore_errors=True)
    for name in [name for name in os.environ if name.startswith(("HF_", "HEFT_", "XDG_", "SSH_"))]:
        del os.environ[name]
    os.environ |= {"HEFT_HOME": str(home), "HF_ENDPOINT": "http://127.0.0.1:9", "PYTHONPATH": str(ROOT)}
    bench = Workbench(Paths.from_environment())
    try:
        asyncio.run(tour(bench))
        climb(bench)
        asyncio.run(trials(bench, hold_trial(bench)))
        for size in SIZES:
            asyncio.run(screens(bench, size, "heft-dark"))
            asyncio.run(screens(bench, size, "heft-light"))
        if fake_nvml.compiler():
            library = fake_nvml.build(home / "nvml")
            machine = fake_nvml.describe(home / "nvml" / "machine.txt", fake_nvml.eight_gpus())
            environment = {**os.environ, **fake_nvml.environment(library, machine)}
            again = [sys.executable, __file__, "--gpus", "--into", str(FOLDER)]
            subprocess.run(again, env=environment, check=True)
    finally:
        for job in bench.jobs():
            if not job.state.is_over:
                bench.cancel(job.id)
        time.sleep(3)
        bench.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
