"""The app in a real terminal: lost connections, other sizes, signals. The whole job by keys is in ``test_tour``."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.heft import Heft
from tests.local_hub import LocalHub, Synthetic
from tests.terminal import Terminal

pytestmark = pytest.mark.slow
Until = Callable[..., object]


@pytest.fixture
def heft(tmp_path: Path) -> Iterator[Heft]:
    machine = Heft(tmp_path / "home")
    yield machine
    machine.end_everything()


@pytest.fixture
def opened(heft: Heft) -> Iterator[Callable[..., Terminal]]:
    """Opens the app in a terminal, as often as asked; every one is closed in the end."""
    terminals: list[Terminal] = []

    def open_app(columns: int = 120, rows: int = 36) -> Terminal:
        terminal = Terminal(heft.environment, columns=columns, rows=rows)
        terminals.append(terminal)
        terminal.wait_for("Catalog", " models", seconds=60)
        return terminal

    yield open_app
    for terminal in terminals:
        terminal.close()


def job(heft: Heft, kind: str) -> dict[str, object]:
    return next((job for job in heft.json("jobs") if job["kind"] == kind), {})


def test_a_slow_download_goes_on_without_its_terminal(tmp_path: Path, until: Until) -> None:
    with LocalHub() as hub:
        hub.add_repo(
            "lab/slow", {"config.json": b'{"model_type": "llama"}', "model.safetensors": Synthetic(30_000_000)}
        )
        hub.fault("GET /cdn/", "slow", rate=2_000_000)
        heft = Heft(
            tmp_path / "home", HF_ENDPOINT=hub.url, **{k: v for k, v in hub.environment.items() if k != "HF_ENDPOINT"}
        )
        terminal = Terminal(heft.environment)
        try:
            terminal.wait_for("Heft Starter", seconds=60)
            heft.json("pull", "lab/slow", "--detach")
            terminal.wait_for("lab/slow", "MB/s")
            terminal.hang_up()
            before = job(heft, "download")["progress"]["done"]  # type: ignore[index]
            until(lambda: job(heft, "download")["progress"]["done"] > before, 30)  # type: ignore[index]
            terminal = Terminal(heft.environment)
            terminal.wait_for("lab/slow", seconds=60)
            assert heft.json("jobs", "cancel", "1")["state"] == "cancelled"
        finally:
            terminal.close()
            heft.end_everything()


def test_a_window_that_shrinks_and_grows_back_at_once_is_drawn_whole(opened: Callable[..., Terminal]) -> None:
    terminal = opened(80, 24)
    terminal.wait_for("Heft Starter", "Queue")
    for _ in range(3):
        terminal.resize(30, 5)
        terminal.resize(80, 24)
        terminal.wait_for("Heft Starter", "help")


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)])
def test_every_size_shows_its_panes_and_survives_a_resize(
    opened: Callable[..., Terminal], size: tuple[int, int]
) -> None:
    terminal = opened(*size)
    terminal.wait_for("Catalog", "Queue", "Chat", "Hardware")
    for columns, rows in ((40, 12), (200, 50), (80, 24)):
        terminal.resize(columns, rows)
        terminal.wait_for("Heft Starter" if columns >= 80 else "Heft")
    assert all(len(line) <= 80 for line in terminal.text.splitlines())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_a_sane_terminal(opened: Callable[..., Terminal], until: Until, number: signal.Signals) -> None:
    terminal = opened()
    os.kill(terminal.pid, number)
    until(lambda: not terminal.is_alive(), 10)
    until(lambda: b"\x1b[?1049l" in terminal.raw, 5, "the alternate screen is left")
    assert (
        terminal.raw.rindex(b"\x1b[?25h") > terminal.raw.rindex(b"\x1b[?25l") if b"\x1b[?25l" in terminal.raw else True
    )


def test_the_app_needs_a_terminal_and_says_so(heft: Heft) -> None:
    ended = heft()
    assert ended.code == 2
    assert "terminal" in ended.err and "Traceback" not in ended.err
