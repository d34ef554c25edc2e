"""A real terminal for tests: ``heft`` in a pty of its own, its screen kept by a terminal emulator.

Keys go in as bytes, the screen comes out as lines of text; closing hangs the line up, as a dropped connection does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pyte

KEYS = {
    "enter": "\r",
    "escape": "\x1b",
    "tab": "\t",
    "backspace": "\x7f",
    "up": "\x1b[A",
    "down": "\x1b[B",
    "right": "\x1b[C",
    "left": "\x1b[D",
    "pagedown": "\x1b[6~",
    "pageup": "\x1b[5~",
    "home": "\x1b[H",
    "end": "\x1b[F",
    "space": " ",
}


class Terminal:
    """``words`` run as ``python -m tui words`` in a terminal of ``columns`` x ``rows``; with ``code``, that instead."""

    def __init__(
        self, environment: Mapping[str, str], *words: str, columns: int = 120, rows: int = 36, code: str = ""
    ) -> None:
        self._reading = threading.Event()
        self._reading.set()
        self._status = 0
        self._screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self.received = 0
        self.raw = bytearray()
        self.pid, self._master = pty.fork()
        if self.pid == 0:  # pragma: no cover - the child
            env = {**environment, "TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8"}
            for name in ("COLUMNS", "LINES", "NO_COLOR", "TMUX"):
                env.pop(name, None)
            program = ["-c", code] if code else ["-m", "tui"]
            os.execve(sys.executable, [sys.executable, *program, *words], env)
        self.resize(columns, rows)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            self._reading.wait()
            try:
                if not select.select([self._master], [], [], 0.5)[0]:
                    continue
                data = os.read(self._master, 65536)
            except (OSError, ValueError):
                return
            if not data:
                return
            with self._lock:
                self.received += len(data)
                self.raw += data
                self._stream.feed(data)

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as a person who drags the window does."""
        with self._lock:
            self._screen.resize(rows, columns)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    @property
    def text(self) -> str:
        """The screen as lines of text."""
        with self._lock:
            return "\n".join(line.rstrip() for line in self._screen.display)

    def press(self, *keys: str) -> None:
        """Press keys by name ("enter", "down", "ctrl+p") or type a text."""
        for key in keys:
            sequence = KEYS.get(key)
            if sequence is None and key.startswith("ctrl+"):
                sequence = chr(ord(key[-1]) - 96)
            os.write(self._master, (key if sequence is None else sequence).encode())
            time.sleep(
                0.2 if key == "escape" else 0.05
            )  # a person's keys come apart; an escape joins the next key else

    def wait_for(self, *texts: str, seconds: float = 30.0) -> str:
        """Wait until every text stands on the screen; fails with the screen."""
        deadline = time.monotonic() + seconds
        while True:
            seen = self.text
            if all(text in seen for text in texts):
                return seen
            assert self.is_alive(), f"the app has ended; its last screen:\n{seen}"
            assert time.monotonic() < deadline, f"not within {seconds} s: {texts}\n{seen}"
            time.sleep(0.05)

    def stall(self) -> None:
        """Read no more, as a terminal does whose connection hangs."""
        self._reading.clear()

    def go_on(self) -> None:
        """Read again."""
        self._reading.set()

    @property
    def exit_code(self) -> int:
        """The exit code of an app that has ended."""
        return os.waitstatus_to_exitcode(self._status)

    def modes(self) -> list[int]:
        """The terminal's input, output, control and local modes."""
        return [int(flags) for flags in termios.tcgetattr(self._master)[:4]]

    def is_alive(self) -> bool:
        """Whether the app still runs."""
        if self.pid == 0:
            return False
        try:
            ended, self._status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            return False
        if ended:
            self.pid = 0
        return not ended

    def drop(self) -> None:
        """Close the terminal and leave the app alone, which may have something to finish."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._master)  # its number stays taken, or our reader would read the next terminal's
        os.close(nothing)

    def hang_up(self) -> None:
        """Close the terminal without a word, as a lost connection does, and wait for the app to end."""
        with contextlib.suppress(OSError):
            os.close(self._master)
        self._end()

    def close(self) -> None:
        """End the app, whatever it does."""
        self.go_on()
        if self.is_alive():
            os.kill(self.pid, signal.SIGTERM)
        self._end()
        with contextlib.suppress(OSError):
            os.close(self._master)

    def _end(self) -> None:
        deadline = time.monotonic() + 10
        while self.is_alive():
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)

    def save(self, path: Path) -> None:
        """Write the screen's text to a file, for a look at it."""
        path.write_text(self.text + "\n", encoding="utf-8")
