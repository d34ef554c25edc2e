"""News for a user who looks elsewhere: the sequence by which a terminal shows a desktop notification, also over SSH."""

from __future__ import annotations

from collections.abc import Mapping

from tui.jobs.job import State
from tui.plain_text import clean_line

ENDING_WORDS: Mapping[State, str] = {State.DONE: "is done", State.FAILED: "failed", State.READY: "is ready"}
"""How a notification says what became of a job."""


def osc9(text: str, environment: Mapping[str, str]) -> str:
    """The sequence that notifies with ``text``; empty for a multiplexer that would draw it instead of passing it on.

    ConEmu and Windows Terminal read ``9;4;`` as progress, so the text never begins with a digit and a semicolon.
    """
    words = clean_line(text, 200).replace(";", ",")
    if environment.get("STY"):
        return ""
    if environment.get("TMUX"):
        return f"\x1bPtmux;\x1b\x1b]9;{words}\x07\x1b\\"
    return f"\x1b]9;{words}\x07"
