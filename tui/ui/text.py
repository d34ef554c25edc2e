"""The second line of defence against foreign text: nothing that a terminal obeys leaves the app.

The first line is ``plain_text.clean`` at the boundary; this filter sees every segment just before it is written.
"""

from __future__ import annotations

import re

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_OBEYED = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")


# An emoji with what terminals join to it or not: a colour, a presentation mark, another emoji behind a joiner.
_JOINED = re.compile("(.)(?:[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d[\u2600-\u27bf\U0001f000-\U0001faff])+")


def _alone(found: re.Match[str]) -> str:
    """The first of what is joined, in as many cells as all of it was counted for."""
    return found[1] + " " * max(0, cell_len(found[0]) - cell_len(found[1]))


def harmless(text: str) -> str:
    """``text`` with U+FFFD for control and bidi characters, and of joined emoji only the first: terminals disagree on
    how wide the others are, and one cell too many breaks every frame to the right of it."""
    if text.isascii() and text.isprintable():
        return text
    if not text.isprintable():
        text = _OBEYED.sub("\ufffd", text)
    return _JOINED.sub(_alone, text)


class HarmlessText(LineFilter):
    """Makes what is about to be drawn harmless, whatever widget it came from."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """Return ``segments`` with harmless text; the common case returns the list itself."""
        if all(text == harmless(text) for text, _, _ in segments):
            return segments
        return [Segment(harmless(text), style, control) for text, style, control in segments]
