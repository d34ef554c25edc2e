"""What goes over the line: only the cells that changed, and always the same picture as a full redraw."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from pathlib import Path

import pyte
import pytest
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual.app import App, ComposeResult
from textual.strip import Strip

from tests.heft import CLOSED_HUB
from tests.terminal import Terminal
from tests.ui.conftest import idle
from tui.hardware.snapshot import Gpu, GpuProcess, Host, Snapshot
from tui.ui.app import HeftApp
from tui.ui.lines.span import Line, Span, line
from tui.ui.narrow_update import NarrowUpdate, render_tersely
from tui.ui.panes.hardware_pane import SPANS, HardwarePane
from tui.ui.widgets.painted import LinesView

GB = 10**9


class Two(App[None]):
    """Two views side by side."""

    def compose(self) -> ComposeResult:
        yield LinesView(id="left")
        yield LinesView(id="right")

    CSS = "Screen { layout: horizontal; } LinesView { width: 1fr; }"


async def test_a_narrow_update_makes_the_screen_that_a_full_one_makes() -> None:
    app = Two()
    async with app.run_test(size=(60, 8)) as pilot:
        left, right = app.query_one("#left", LinesView), app.query_one("#right", LinesView)
        screen = pyte.Screen(60, 8)
        stream = pyte.Stream(screen)
        stream.feed(app.screen._compositor.render_full_update().render_segments(app.console))
        sent = []
        for text, role in (("first 10%", ""), ("first 11%", ""), ("first 漢字", "bad"), ("x", "bad"), ("", "")):
            rows: list[Line] = [line(Span("label "), Span(text, role), Span(" tail")), line("still")]
            left.set_lines(rows)
            right.set_lines([*rows[::-1], line(Span(text * 2, role))])
            app.screen.check_idle()
            left._check_refresh()
            right._check_refresh()
            app.screen._compositor.update_widgets({left, right})
            update = app.screen._compositor.render_partial_update()
            await pilot.pause()
            if update is not None:
                written = NarrowUpdate(update).render_segments(app.console)
                sent.append((len(written), len(update.render_segments(app.console))))
                stream.feed(written)
            wanted = pyte.Screen(60, 8)
            pyte.Stream(wanted).feed(app.screen._compositor.render_full_update().render_segments(app.console))
            assert screen.display == wanted.display
        assert sum(narrow for narrow, _ in sent) < sum(full for _, full in sent)


async def test_the_histories_reach_back_as_far_as_asked(app: HeftApp) -> None:
    gpu = Gpu(0, "NVIDIA L4", 24 * GB, 20 * GB, 4 * GB, utilisation=90.0, clock_mhz=1755)
    async with app.run_test(size=(80, 24)) as pilot:
        await idle(pilot)
        assert app.feed is not None
        app.feed.stop()
        await pilot.press("2")
        pane = app.query_one(HardwarePane)
        for second in range(400):
            pane.show_snapshot(Snapshot(1000.0 + second, Host(cpu_count=2, cpu_percent=50.0), (gpu,)))
        await pilot.pause()
        assert pane.seconds == 300
        for _ in range(5):
            await pilot.press("right")
        assert pane.seconds == SPANS[-1]
        view = pane.query_one(LinesView)
        hour = next(row for row in view.lines if row and row[0].text.startswith("use"))
        for _ in range(5):
            await pilot.press("left")
        assert pane.seconds == SPANS[0]
        minute = next(row for row in view.lines if row and row[0].text.startswith("use"))
        blocks = [sum(span.text.count("█") + span.text.count("▇") for span in row) for row in (minute, hour)]
        assert blocks[0] > 40 and blocks[1] < 12
        assert any("1755 MHz" in span.text for row in view.lines for span in row)


async def test_a_busy_snapshot_keeps_the_title_and_the_processes(app: HeftApp) -> None:
    holder = GpuProcess(4121, 44 * GB, "alice", "python train.py")
    gpu = Gpu(0, "NVIDIA L4", 80 * GB, 36 * GB, 44 * GB, utilisation=7.0, processes=(holder,))
    async with app.run_test(size=(80, 24)) as pilot:
        await idle(pilot)
        assert app.feed is not None
        app.feed.stop()
        pane = app.query_one(HardwarePane)
        for load in (7.0, 100.0, 8.0):
            pane.show_snapshot(Snapshot(2000.0 + load, Host(), (replace(gpu, utilisation=load),)))
        await pilot.pause()
        assert "GPU 8%" in str(pane.border_title)


@pytest.mark.slow
def test_the_real_app_in_a_terminal_sends_little_while_it_is_watched(tmp_path: Path) -> None:
    import os

    environment = {**os.environ, "HEFT_HOME": str(tmp_path / "heft"), "HF_ENDPOINT": CLOSED_HUB}
    terminal = Terminal(environment, columns=80, rows=24)
    try:
        terminal.wait_for("Catalog", "models")
        terminal.press("2")
        terminal.wait_for("ram", "last 5 min")
        time.sleep(1.5)
        before, started = terminal.received, time.monotonic()
        time.sleep(4)
        rate = (terminal.received - before) / (time.monotonic() - started)
        assert 0 < rate < 2000
        shown = terminal.text
        terminal.press("ctrl+l")
        time.sleep(1)
        again = terminal.text
        same = [one == two for one, two in zip(shown.split("\n"), again.split("\n"), strict=True)]
        assert sum(same) >= 18  # what moves are readings; all the rest survived the partial updates
    finally:
        terminal.close()


@pytest.mark.parametrize("system", ["truecolor", "256", "standard"])
def test_terse_codes_make_the_same_picture(system: str) -> None:
    def styles() -> list[Style]:  # fresh ones: rich keeps the codes of the first terminal in the style itself
        paint = {"color": "#e3b062", "bgcolor": "#111417"}
        other = {"color": "#93be7b", "bgcolor": "#111417"}
        return [Style(), Style(**paint), Style(bold=True, **paint), Style(**other), Style(reverse=True, **other)]  # type: ignore[arg-type]

    draw = random.Random(7)
    for _ in range(60):
        pieces = [Segment("ab ", draw.choice(styles())) for _ in range(8)]
        strip = Strip(pieces)
        console = Console(color_system=system, force_terminal=True, width=80)
        terse = render_tersely(strip, console)
        assert cells_of(terse) == cells_of(strip.render(console))
        assert len(terse) <= len(strip.render(console)) + 4


def cells_of(text: str) -> list[object]:
    screen = pyte.Screen(40, 1)
    pyte.Stream(screen).feed(text + "X")  # and nothing is left switched on for what follows
    return [screen.buffer[0][column] for column in range(30)]
