"""The README's tour, key by key, in tmux: what a newcomer does in five minutes, with the screen checked after each key.

tmux is the terminal that most remote users have around the app, and it has opinions of its own about keys, colours and
the screen; so this is played there and not in a bare pty.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.heft import Heft

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed"),
]


class Tmux:
    """One tmux server with one window that runs the app."""

    def __init__(self, heft: Heft, columns: int, rows: int) -> None:
        self._name = f"heft-test-{os.getpid()}-{time.monotonic_ns()}"
        environment = {name: value for name, value in heft.environment.items() if name not in ("TMUX", "NO_COLOR")}
        size = ["-x", str(columns), "-y", str(rows)]
        program = f"exec {sys.executable} -m tui"
        command = ["tmux", "-L", self._name, "-f", "/dev/null", "new-session", "-d", *size, program]
        subprocess.run(command, env={**environment, "TERM": "xterm-256color"}, check=True)

    def __call__(self, *words: str) -> str:
        return subprocess.run(
            ["tmux", "-L", self._name, *words], capture_output=True, text=True, check=False, timeout=30
        ).stdout

    @property
    def text(self) -> str:
        """What the window shows."""
        return self("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        """Keys by tmux's names, or text."""
        for key in keys:
            self("send-keys", *(["-l", key] if len(key) > 1 and not key[0].isupper() else [key]))

    def sees(self, *signs: str, seconds: float = 30) -> str:
        """Wait until all of ``signs`` are on screen."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.text
            if all(sign in seen for sign in signs):
                return seen
            assert time.monotonic() < deadline, f"not within {seconds} s: {signs}\n{seen}"
            time.sleep(0.1)

    def leave(self, sign: str, seconds: float = 30) -> None:
        """Escape, and wait until ``sign`` is gone; tmux takes its time to tell an escape from the start of a key."""
        self.press("Escape")
        deadline = time.monotonic() + seconds
        while sign in self.text:
            assert time.monotonic() < deadline, f"{sign} is still there\n{self.text}"
            time.sleep(0.1)

    def close(self) -> None:
        self("kill-server")


@pytest.fixture
def heft(tmp_path: Path) -> Iterator[Heft]:
    machine = Heft(tmp_path / "home")
    yield machine
    machine.end_everything()


def test_the_tour_of_the_readme_key_by_key(heft: Heft, until: Callable[..., object]) -> None:
    tmux = Tmux(heft, 120, 36)
    try:
        tmux.sees("1 Catalog", "2 Hardware", "3 Queue", "4 Chat", "Welcome to Heft", "Heft Starter", seconds=60)
        # the screen
        for key, sign in (("2", "←"), ("3", "Welcome"), ("4", "who answers"), ("1", "get")):
            tmux.press(key)
            tmux.sees(sign)
        tmux.press("z")
        assert "3 Queue" in tmux.sees("1 Catalog").splitlines()[0] or tmux.sees(" 3 Queue ")
        tmux.press("z")
        tmux.sees("Welcome to Heft")
        tmux.press("?")
        tmux.sees("Keys", "Everywhere")
        tmux.leave("Everywhere")
        tmux.press("C-p")
        tmux.sees("Search for commands")
        tmux.leave("Search for commands")
        # find a model
        tmux.press("/", "granite")
        tmux.sees("granite", " of 327")
        tmux.press("Enter")
        tmux.leave(" of 327")
        for key, sign in (
            ("f", " fits "),
            ("f", "327 models"),
            ("l", " commercial "),
            ("l", "327 models"),
            ("s", "↓ "),
        ):
            tmux.press(key)
            tmux.sees(sign)
        tmux.press("Home", "/", "heft starter", "Enter")
        tmux.sees(" of 327")
        tmux.press("Home", "Enter")
        tmux.sees("Will it fit?", "Card")
        tmux.leave("Will it fit?")
        tmux.press("w")
        tmux.sees("esc close")
        tmux.leave("esc close")
        # get it
        tmux.press("g")
        tmux.sees("Get Heft Starter", "4-bit GPTQ")
        tmux.press("Right")
        tmux.sees("(4-bit GPTQ)")
        tmux.press("Enter")
        tmux.sees("download", "quantize", "serve")
        # watch it, or leave
        tmux.press("3", "End", "l")
        tmux.sees("esc close")
        tmux.leave("esc close")
        until(lambda: heft.json("jobs", "show", "2")["state"] == "running", 120)
    finally:
        tmux.close()  # a terminal that is torn away, in the middle of the work
    job = heft.json("jobs", "wait", "3", seconds=280)
    assert job["state"] in ("ready", "running")
    tmux = Tmux(heft, 120, 36)
    try:
        # everything is there and went on
        tmux.sees("answers on cpu", "heft-starter-gptq-4bit-g128", seconds=120)
        tmux.press("4")
        tmux.sees("enter send")
        tmux.press("What is GPTQ?", "Enter")
        tmux.sees("tok/s", seconds=60)
        tmux.leave("esc stop")
        tmux.press("o")
        tmux.sees("What is GPTQ?", "esc close")
        tmux.leave("esc close")
        tmux.press("1", "b")
        tmux.sees("heft-starter-gptq-4bit-g128", "esc close")
        tmux.leave("esc close")
        tmux.press("q")
        deadline = time.monotonic() + 20
        while tmux.text:
            assert time.monotonic() < deadline, "the app is still there"
            time.sleep(0.1)
        assert Path(f"/proc/{job['result']['pid']}").exists(), "what is loaded stays loaded"
    finally:
        tmux.close()
