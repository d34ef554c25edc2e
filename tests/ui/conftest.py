"""The app on a real workbench in a private home, and the notion of idle that its tests wait for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from textual.pilot import Pilot

from tests.patience import patient
from tui.paths import Paths
from tui.ui.app import HeftApp
from tui.workbench import Workbench


@pytest.fixture
def workbench(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """A real workbench; only the runner stays at home, so that jobs wait where the test put them."""
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("tui.workbench.work.ensure_runner", lambda paths: None)
    bench = Workbench(paths)
    yield bench
    bench.close()


@pytest.fixture
def app(workbench: Workbench) -> HeftApp:
    """The app, not yet running."""
    return HeftApp(workbench)


async def idle(pilot: Pilot[int], until: Callable[[], object] | None = None, seconds: float = 20.0) -> None:
    """Wait until no errand is under way, the first facts are on screen, and ``until`` holds."""
    app = pilot.app
    assert isinstance(app, HeftApp)
    deadline = time.monotonic() + patient(seconds)
    while True:
        await pilot.pause()
        opened = app.catalog_pane.index is not None and bool(app.pane(2).counts) and bool(app.catalog_pane.fits)
        if opened and not app.is_busy and (until is None or until()):
            await pilot.pause()
            return
        assert time.monotonic() < deadline, f"not idle within {seconds} s\n{screen_text(app)}"


def screen_text(app: HeftApp) -> str:
    """What is on screen, as lines of text."""
    size = app.size
    strips = app.screen._compositor.render_strips(size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)
