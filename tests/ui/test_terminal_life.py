"""The life of the terminal: crashes, stops, stalls and stray output, all in a real one."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.heft import Heft
from tests.terminal import Terminal

Until = Callable[..., object]
SECRET = "hf_abcdefghijklmnop"
PRELUDE = """
import os, subprocess, sys, threading
import tui.ui.terminal as terminal
from tui.ui import app, start
terminal.PATIENCE = 1.0
"""
CRASHING = (
    PRELUDE
    + f"""
def action_crash(self):
    token = "{SECRET}"
    raise ValueError("no luck with " + token)
app.HeftApp.action_messages = action_crash
sys.exit(start.run())
"""
)
NOISY = (
    PRELUDE
    + """
def action_noise(self):
    os.write(1, b"STRAY-C-ONE\\n"); os.write(2, b"STRAY-C-TWO\\n")
    print("STRAY-PRINT"); print("STRAY-ERROR", file=sys.stderr)
    subprocess.run([sys.executable, "-c", "import os; os.write(1, b'STRAY-CHILD-ONE'); os.write(2, b'STRAY-CHILD')"])
    self.tell("noise was made")
app.HeftApp.action_messages = action_noise
sys.exit(start.run())
"""
)
PATIENT = PRELUDE + "sys.exit(start.run())"


@pytest.fixture
def heft(tmp_path: Path) -> Iterator[Heft]:
    machine = Heft(tmp_path / "home")
    yield machine
    machine.end_everything()


@pytest.fixture
def opened(heft: Heft) -> Iterator[Callable[..., Terminal]]:
    """Opens a program in a terminal; every one is closed in the end."""
    terminals: list[Terminal] = []

    def open_app(code: str = PATIENT, columns: int = 120, rows: int = 36) -> Terminal:
        terminal = Terminal(heft.environment, columns=columns, rows=rows, code=code)
        terminals.append(terminal)
        terminal.before = terminal.modes()  # type: ignore[attr-defined]
        terminal.wait_for("Catalog", "Heft Starter", seconds=60)
        return terminal

    yield open_app
    for terminal in terminals:
        terminal.close()


def app_log(heft: Heft) -> str:
    return next(heft.home.glob("state/*/app.log")).read_text(encoding="utf-8")


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def is_sane(terminal: Terminal) -> bool:
    """The terminal is as it was: main screen, cursor, no mouse, no paste marks, the same modes."""
    raw = bytes(terminal.raw)
    left = all(raw.rfind(off) > raw.rfind(on) for on, off in (
        (b"\x1b[?1049h", b"\x1b[?1049l"), (b"\x1b[?25l", b"\x1b[?25h"), (b"\x1b[?2004h", b"\x1b[?2004l"),
    ))  # fmt: skip
    return left and terminal.modes() == terminal.before  # type: ignore[attr-defined]


def test_a_crash_restores_the_terminal_names_the_log_and_tells_no_secret(
    heft: Heft, opened: Callable[..., Terminal], until: Until
) -> None:
    terminal = opened(CRASHING)
    terminal.press("m")
    until(lambda: not terminal.is_alive(), 20)
    until(lambda: is_sane(terminal), 5)
    assert terminal.exit_code == 1
    said = terminal.text
    assert "heft ended by an error: ValueError: no luck with hf_[hidden]" in said
    assert "app.log" in said and "heft doctor --report" in said and "go on" in said
    assert "Traceback" not in said and SECRET.encode() not in bytes(terminal.raw)
    written = app_log(heft)
    assert "Traceback" in written and "action_crash" in written and SECRET not in written


def test_what_libraries_and_children_print_goes_to_the_log(heft: Heft, opened: Callable[..., Terminal]) -> None:
    terminal = opened(NOISY)
    terminal.press("m")
    terminal.wait_for("noise was made")
    assert b"STRAY" not in bytes(terminal.raw)
    written = app_log(heft)
    for part in ("C-ONE", "C-TWO", "PRINT", "ERROR", "CHILD-ONE", "CHILD"):
        assert f"STRAY-{part}" in written, part
    terminal.resize(100, 32)
    terminal.wait_for("Heft Starter")
    assert max(len(line) for line in terminal.text.splitlines()) > 90, "the size is still read from the terminal"


@pytest.mark.parametrize("how", ["key", "signal"])
def test_stopped_it_gives_the_terminal_back_and_goes_on_after(
    opened: Callable[..., Terminal], until: Until, how: str
) -> None:
    terminal = opened()
    if how == "key":
        terminal.press("ctrl+z")
    else:
        os.kill(terminal.pid, signal.SIGTSTP)
    until(lambda: state_of(terminal.pid) == "T", 10)
    until(lambda: is_sane(terminal), 5)
    os.kill(terminal.pid, signal.SIGCONT)
    until(lambda: bytes(terminal.raw).rfind(b"\x1b[?1049h") > bytes(terminal.raw).rfind(b"\x1b[?1049l"), 10)
    terminal.press("3")
    terminal.press("?")
    terminal.wait_for("Keys", "Queue")


def test_a_terminal_that_hangs_stalls_no_job_and_the_app_still_ends(
    heft: Heft, opened: Callable[..., Terminal], until: Until
) -> None:
    terminal = opened(columns=200, rows=60)
    terminal.press("g")
    terminal.wait_for("Get Heft Starter")
    terminal.stall()
    terminal.press("enter")
    before = terminal.received
    until(lambda: [job["state"] for job in heft.json("jobs") if job["kind"] == "download"] == ["done"], 60)
    terminal.press(*["T"] * 40)
    until(lambda: not_drawing(terminal, before), 10)
    os.kill(terminal.pid, signal.SIGTERM)
    until(lambda: not terminal.is_alive(), 20)
    assert terminal.exit_code == 128 + signal.SIGTERM
    assert terminal.modes() == terminal.before  # type: ignore[attr-defined]


def not_drawing(terminal: Terminal, before: int) -> bool:
    """Whether the app waits for the terminal in a write: it uses no processor time although keys wait."""
    first = cpu(terminal.pid)
    time.sleep(0.5)
    return terminal.received == before and cpu(terminal.pid) - first <= 5


def cpu(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])
