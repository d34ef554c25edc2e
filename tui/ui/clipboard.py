"""Copying to the machine where the user sits: OSC 52 through SSH, tmux and screen, and always a file beside it.

A terminal never says whether it took the text, so the copy also lands in a private file that can be fetched.
"""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def osc52(text: str, environment: Mapping[str, str]) -> str:
    """The sequence that puts ``text`` on the clipboard, wrapped for the multiplexer that ``environment`` names."""
    sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\x07"
    if environment.get("TMUX"):
        wrapped = sequence.replace("\x1b", "\x1b\x1b")
        return f"\x1bPtmux;{wrapped}\x1b\\"
    if environment.get("STY"):
        pieces = [sequence[start : start + 76] for start in range(0, len(sequence), 76)]
        return "".join(f"\x1bP{piece}\x1b\\" for piece in pieces)
    return sequence


def load_tmux_buffer(text: str) -> bool:
    """Hand ``text`` to tmux, which sets the outer clipboard itself; its default settings ignore OSC 52 of programs."""
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"], input=text.encode(), timeout=2, capture_output=True, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def keep_copy(text: str, path: Path) -> None:
    """Write ``text`` to a file that only this user reads."""
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    beside.replace(path)
