"""The terminal around the app: stray output kept off the screen, and a clean end when the line drops or we crash."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import termios
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tui.plain_text import without_secrets

PATIENCE = 5.0
"""Seconds that the app has for a clean end after somebody asked for it."""


_modes: list[Any] = []
"""How the terminal was before the app, for an end that cannot wait for it."""


@contextlib.contextmanager
def quiet_screen(log: Path) -> Iterator[None]:
    """Send what anything in this process or its children writes to fd 1 and 2 into ``log``; Textual keeps the terminal.

    Textual draws on ``sys.__stderr__`` and asks ``sys.__stdout__`` for the size, so both get a private copy of it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(termios.error, OSError):
        _modes[:] = termios.tcgetattr(0)
    kept = sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr
    for stream in kept[2:]:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    terminal, old_output = os.dup(2), os.dup(1)
    target = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(target, 1)
    os.dup2(target, 2)
    screen = os.fdopen(terminal, "w", encoding="utf-8", errors="replace", closefd=False)
    stray = os.fdopen(target, "w", encoding="utf-8", errors="replace", buffering=1)
    sys.__stdout__ = sys.__stderr__ = screen  # type: ignore[misc]
    sys.stdout = sys.stderr = stray
    try:
        yield
    finally:
        for stream in (screen, stray):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os.dup2(terminal, 2)
        os.dup2(old_output, 1)
        os.close(terminal)
        os.close(old_output)
        sys.__stdout__, sys.__stderr__, sys.stdout, sys.stderr = kept  # type: ignore[misc]
        stray.close()


def log_to(path: Path) -> logging.Handler:
    """Let the app's own log write to ``path``; returns the handler."""
    handler = logging.FileHandler(path, delay=True, encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("heft.app")
    logger.addHandler(handler)
    logger.propagate = False
    logger.setLevel(logging.INFO)
    return handler


def leave_on_signals(leave: Callable[[int], object]) -> None:
    """Call ``leave`` with the exit code when the terminal goes away (SIGHUP) or somebody ends us (SIGTERM).

    Without this the terminal is left in the app's mode, or a process without a screen spins for ever. A terminal that
    does not read any more blocks every write to it, so after ``PATIENCE`` seconds the process ends without one.
    """
    loop = asyncio.get_running_loop()

    def give_up(code: int) -> None:
        time.sleep(PATIENCE)
        if _modes:
            with contextlib.suppress(termios.error, OSError):
                termios.tcsetattr(0, termios.TCSANOW, _modes)
        os._exit(code)

    def asked(code: int) -> None:
        # a signal handler of Python, not of the loop: the loop itself may hang in a write
        threading.Thread(target=give_up, args=(code,), name="give up", daemon=True).start()
        loop.call_soon_threadsafe(leave, code)

    for number in (signal.SIGHUP, signal.SIGTERM):
        with contextlib.suppress(ValueError, OSError):
            signal.signal(number, lambda got, _: asked(128 + got))


def traceback_without_locals(error: BaseException) -> str:
    """The traceback as text: names of files and lines, never the values, which may be keys."""
    return without_secrets("".join(traceback.format_exception(type(error), error, error.__traceback__)))


def terminal_problem() -> str:
    """Why no app can be shown here, in words; empty when it can."""
    if not (sys.stdin and sys.stdin.isatty() and sys.__stderr__ and sys.__stderr__.isatty()):
        return "heft needs a terminal to show the app; heft --help lists the commands that do not"
    if os.environ.get("TERM", "") in ("", "dumb"):
        return "this terminal cannot show the app (TERM is not set or dumb); heft --help lists the commands"
    return ""


def crash_words(failure: str, log: Path) -> str:
    """What is said when the app ended by an error: what, that nothing else did, where the rest is, what to do."""
    return (
        f"heft ended by an error: {failure}\n"
        "Downloads, quantizing and loaded models go on; heft opens the app again.\n"
        f"The rest is in {log}\n"
        "heft doctor --report writes a file for a bug report, without secrets."
    )
