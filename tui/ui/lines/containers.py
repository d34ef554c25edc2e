"""What Markdown stands in: list items and quotes, as they are opened, continued and drawn around what they hold.

A long list or quote is parsed in parts. A part needs to know only which containers are open where it begins; a few
lines that open the same ones again (``context``) put the parser into that state, and what they draw is left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from tui.ui.lines.markdown_lines import document_lines, item_mark, parser, quote_lines
from tui.ui.lines.span import BLANK, Line, Span

_ITEM = re.compile(r"( *)([-+*]|\d{1,9}[.)])( *)(.?)")
_QUOTE = re.compile(r" *> ?")  # the parser lets a quote go on behind any number of spaces


class Frame(NamedTuple):
    """One container: a quote (``marker`` is ">") or a list item with its marker as written. ``lead`` and ``pad`` are
    the columns before and after it, ``number`` is what an ordered item is drawn with."""

    marker: str
    lead: int = 0
    pad: int = 1
    number: int = 0

    @property
    def is_quote(self) -> bool:
        """Whether it is a quote."""
        return self.marker == ">"

    @property
    def width(self) -> int:
        """Columns from where its parent's content begins to where its own does."""
        return self.lead + len(self.marker) + self.pad


Frames = tuple[Frame, ...]
QUOTE = Frame(">")


def item_frame(row: str, number: int) -> Frame | None:
    """The item that is opened at the beginning of ``row`` (without tabs); None when there is none."""
    found = _ITEM.match(row)
    if found is None:
        return None
    pad = len(found[3])
    return Frame(found[2], len(found[1]), pad if found[4] and 1 <= pad <= 4 else 1, number)


def strip_openers(row: str, frames: Sequence[Frame]) -> str:
    """``row`` (without tabs) after what opens or continues ``frames``; it is known to stand in all of them."""
    for frame in frames:
        row = _QUOTE.sub("", row, count=1) if frame.is_quote else row[frame.width :]
    return row


def inside(row: str, frames: Sequence[Frame]) -> str | None:
    """What ``row`` holds inside ``frames``, or None when it leaves one of them. Not for lines that lazily continue
    a paragraph."""
    text, is_inside = _continued(row, frames)
    return text if is_inside else None


def leaves(row: str, frames: Sequence[Frame]) -> bool:
    """Whether a line stands outside of ``frames``, whatever comes after its beginning ``row``."""
    text, is_inside = _continued(row, frames)
    return not is_inside and bool(text.strip())


def _continued(row: str, frames: Sequence[Frame]) -> tuple[str, bool]:
    row = row.expandtabs(4) if "\t" in row else row
    for frame in frames:
        if frame.is_quote:
            found = _QUOTE.match(row)
            if found is None:
                return row, False
            row = row[found.end() :]
        elif row[: frame.width].strip(" "):
            return row, False
        else:
            row = row[frame.width :]
    return row, True


def prefix(frames: Sequence[Frame]) -> str:
    """What a line must begin with to stand inside ``frames``."""
    return "".join("> " if frame.is_quote else " " * frame.width for frame in frames)


@lru_cache(256)
def context(frames: Frames) -> str:
    """Markdown that opens ``frames``, each with a word in it, and ends where a block inside the last may begin."""
    rows: list[str] = []
    for place, frame in enumerate(frames):
        before, pad = prefix(frames[:place]), " " * frame.pad
        rows += [f"{before}{' ' * frame.lead}{frame.marker}{pad}x", prefix(frames[: place + 1])]
    return "".join(f"{row}\n" for row in rows)


@lru_cache(256)
def _context_height(frames: Frames) -> int:
    return len(document_lines(parser().parse(context(frames)), 80))


def lines_in(source: str, width: int, frames: Frames, *, is_joined: bool = False, definitions: str = "") -> list[Line]:
    """Whole lines of Markdown as they are drawn where ``frames`` are open, within ``width`` cells. ``is_joined`` says
    that they go on with a paragraph; ``definitions`` are the links that they may name."""
    tokens = parser().parse(f"{definitions}{context(frames)}{source}")
    items = iter([frame for frame in frames if not frame.is_quote])
    for token in tokens:
        if token.type in ("bullet_list_open", "ordered_list_open"):
            frame = next(items, None)
            if frame is None:
                break
            token.attrs["start"] = frame.number
    left_out = _context_height(frames) + (1 if is_joined and frames and frames[-1].is_quote else 0) if frames else 0
    return document_lines(tokens, width)[left_out:]


def inner_width(width: int, frames: Sequence[Frame]) -> int:
    """Cells that are left for what stands inside ``frames``."""
    for place, frame in enumerate(frames):
        width = width - 2 if frame.is_quote else max(8, width - len(_mark(frames, place)))
    return width


def framed(rows: list[Line], frames: Frames, opened: int, has_gap: bool) -> list[Line]:
    """``rows`` as they are drawn inside ``frames``, of which the last ``opened`` begin with them; ``has_gap`` says
    that a blank line stands before them where that belongs."""
    for place in range(len(frames), 0, -1):
        frame, is_new = frames[place - 1], place > len(frames) - opened
        if has_gap and place == len(frames) - opened and frame.is_quote:
            rows = [BLANK, *rows]
        if frame.is_quote:
            rows = quote_lines(rows)
            continue
        mark = _mark(frames, place - 1)
        first = Span(mark, "accent") if is_new else Span(" " * len(mark))
        rows = [(first if number == 0 else Span(" " * len(mark)), *row) for number, row in enumerate(rows)]
    return rows


def _mark(frames: Sequence[Frame], place: int) -> str:
    frame = frames[place]
    if frame.marker[-1] in ".)":
        return item_mark(frame.number, 0)
    level = sum(1 if outer.is_quote else 2 for outer in frames[:place])  # a list and its item count each
    return item_mark(None, level)
