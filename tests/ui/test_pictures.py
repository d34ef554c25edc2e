"""Every screen as a picture, small and large, dark and light, on a machine that holds still.

A picture that changed is written beside the baseline as ``*.new.svg``, and the failure names the first lines that
differ. When the change is wanted: ``python -m pytest tests/ui/test_pictures.py --update-pictures``.
"""

from __future__ import annotations

import difflib
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.screen import Screen

from tests.picture import picture_of, svg_of
from tests.ui.conftest import idle
from tests.ui.still_life import still_machine
from tui.paths import Paths
from tui.ui.app import HeftApp

FOLDER = Path(__file__).parent / "pictures"
SIZES = ((80, 24), (200, 60))
PANES = (("1", "catalog"), ("2", "hardware"), ("3", "queue"), ("4", "chat"))
SCREENS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("enter",), "model"),
    (("g",), "recipe"),
    (("b",), "builds"),
    (("b", "d"), "disk"),
    (("b", "L"), "load"),
    (("B",), "ladder"),
    (("F",), "filter-form"),
    (("w",), "pick"),
    (("v",), "filters"),
    (("space", "down", "space", "x"), "compare"),
    (("3", "down", "enter"), "job"),
    (("3", "l"), "log"),
    (("3", "x"), "confirm"),
    (("3", "end", "up", "w"), "when-free"),
    (("4", "escape", "o"), "conversations"),
    (("4", "escape", "e"), "endpoints"),
    (("4", "escape", "p"), "parameters"),
    (("4", "escape", "a"), "attach"),
    (("D",), "doctor"),
    (("X",), "trials"),
    (("X", "n"), "new-trial"),
    (("X", "b"), "board"),
    (("X", "enter"), "trial"),
    (("X", "enter", "v"), "vote"),
    (("question_mark",), "help"),
    (("m",), "messages"),
    (("ctrl+p",), "commands"),
)
HOME = "heft-picture"


class Gallery:
    """Compares pictures with the kept ones; all that differ are told together."""

    def __init__(self, home: Path, update: bool) -> None:
        self.home = home
        self.update = update
        self.told: list[str] = []
        self.seen: set[str] = set()

    def show(self, app: HeftApp, name: str) -> None:
        """Take a picture of what is on screen and compare it."""
        columns, rows = app.size
        name = f"{name}-{columns}x{rows}" + ("" if app.current_theme.dark else "-light")
        self.seen.add(name)
        # the home's random name is as long as what stands for it
        svg = svg_of(picture_of(app)).replace(
            self.home.name, HOME[: len(self.home.name)].ljust(len(self.home.name), "-")
        )
        kept, fresh = FOLDER / f"{name}.svg", FOLDER / f"{name}.new.svg"
        fresh.unlink(missing_ok=True)
        before = kept.read_text(encoding="utf-8") if kept.exists() else ""
        if before == svg:
            return
        if self.update:
            kept.write_text(svg, encoding="utf-8")
            return
        fresh.write_text(svg, encoding="utf-8")
        lines = difflib.unified_diff(before.splitlines(), svg.splitlines(), "kept", "now", n=0, lineterm="")
        self.told.append("\n".join([f"{name} differs from its picture", *list(lines)[:12]]))


@pytest.fixture
def gallery(request: pytest.FixtureRequest) -> Iterator[Gallery]:
    """A gallery with a home whose path is always equally long."""
    with tempfile.TemporaryDirectory(prefix="heft-", dir="/tmp") as home:
        found = Gallery(Path(home), request.config.getoption("--update-pictures"))
        yield found
        assert not found.told, "\n\n".join(found.told)


@pytest.fixture
def home(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> Iterator[Paths]:
    monkeypatch.setenv("HEFT_HOME", str(gallery.home))
    monkeypatch.setattr("socket.gethostname", lambda: "gpu-box")
    for module in ("tui.fit.quantize_estimate", "tui.jobs.preflight"):  # processors differ; the picture is of one
        monkeypatch.setattr(f"{module}.computes_bfloat16_here", lambda: True)
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: True)
    monkeypatch.setattr("tui.fit.engine.has_llama_cpp", lambda: True)
    # only the pictures are drawn, not what a terminal would be sent between them
    monkeypatch.setattr(Screen, "_compositor_refresh", lambda screen: screen._dirty_widgets.clear())
    here = gallery.home / "here"
    (here / "notes").mkdir(parents=True)
    (here / "question.md").write_text("What does group_size do?\n")
    monkeypatch.chdir(here)
    yield Paths.from_environment()
    time.tzset()


async def settle(pilot: Pilot[int], app: HeftApp) -> None:
    """Wait until nothing is under way any more, twice: an answer may ask for the next thing."""
    for _ in range(2):
        await idle(pilot)
        await pilot.pause(0.02)


async def show_both(gallery: Gallery, pilot: Pilot[int], app: HeftApp, name: str) -> None:
    """A picture in the dark theme and one in the light one."""
    gallery.show(app, name)
    app.theme = "heft-light"
    await pilot.pause()
    gallery.show(app, name)
    app.theme = "heft-dark"
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES, ids=["small", "large"])
async def test_every_screen_looks_as_it_did(gallery: Gallery, home: Paths, size: tuple[int, int]) -> None:
    with still_machine(home) as bench:
        app = HeftApp(bench)
        async with app.run_test(size=size, notifications=False) as pilot:
            await settle(pilot, app)
            for key, name in PANES if size[0] < 110 else PANES[:1]:
                await pilot.press("escape", key)
                await settle(pilot, app)
                await show_both(gallery, pilot, app, name if size[0] < 110 else "workbench")
            for keys, name in SCREENS:
                await pilot.press("escape", "escape", "1", "home")
                for key in keys:  # a screen is there before its keys are pressed
                    await pilot.press(key)
                    await settle(pilot, app)
                await show_both(gallery, pilot, app, name)
                while len(app.screen_stack) > 1:
                    app.pop_screen()
                    await pilot.pause()
                await pilot.press("1", "escape")


@pytest.mark.parametrize("size", SIZES)
async def test_an_empty_machine_says_what_to_do(gallery: Gallery, home: Paths, size: tuple[int, int]) -> None:
    with still_machine(home, gpus=False, empty=True) as bench:
        app = HeftApp(bench)
        async with app.run_test(size=size, notifications=False) as pilot:
            await settle(pilot, app)
            for key, name in PANES if size[0] < 110 else PANES[:1]:
                await pilot.press("escape", key)
                await settle(pilot, app)
                gallery.show(app, f"empty-{name}")


def test_no_picture_is_left_of_a_screen_that_is_gone() -> None:
    shown = {name for _, name in (*SCREENS, *PANES)} | {"workbench"} | {f"empty-{name}" for _, name in PANES}
    kept = {path.name.split("-80x24")[0].split("-200x60")[0] for path in FOLDER.glob("*.svg")}
    assert kept <= shown
