"""What a line on screen is made of, and how text is fitted into columns of cells.

A span is text and a role ("accent", "dim", "bad", ...); only ``themes.py`` knows which colour a role has. So every
presentation function is a pure function and its tests read like the screen.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size


class Span(NamedTuple):
    """Some text in one role. Text never holds a newline or a control character."""

    text: str
    role: str = ""


Line = tuple[Span, ...]
BLANK: Line = ()

_SPARKS = "▁▂▃▄▅▆▇█"
HEAT_ROLE = "heat"
"""The role of a bar whose cells go from calm to alarm along its length."""
_HEAT_STEPS = (0.5, 0.65, 0.78, 0.88, 0.95)


def line(*parts: Span | str) -> Line:
    """A line of spans; plain strings get the default role."""
    return tuple(part if isinstance(part, Span) else Span(part) for part in parts)


def plain(spans: Iterable[Span]) -> str:
    """The text of a line without its roles."""
    return "".join(span.text for span in spans)


def width_of(spans: Iterable[Span]) -> int:
    """Cells that a line takes."""
    return sum(len(span.text) if span.text.isascii() else cell_len(span.text) for span in spans)


def fit_cells(text: str, width: int, *, right: bool = False) -> str:
    """``text`` in exactly ``width`` cells: padded, or cut with an ellipsis."""
    if width <= 0:
        return ""
    length = len(text) if text.isascii() else cell_len(text)
    if length > width:
        return set_cell_size(text, width - 1) + "…"
    pad = " " * (width - length)
    return pad + text if right else text + pad


def cut_line(spans: Sequence[Span], width: int) -> Line:
    """At most ``width`` cells of a line; what does not fit ends in an ellipsis."""
    if width_of(spans) <= width:
        return tuple(spans)
    found: list[Span] = []
    left = width
    for span in spans:
        length = cell_len(span.text)
        if length >= left:
            found.append(Span(fit_cells(span.text + "  ", left), span.role))
            break
        found.append(span)
        left -= length
    return tuple(found)


def pad_line(spans: Sequence[Span], width: int) -> Line:
    """A line in exactly ``width`` cells."""
    cut = cut_line(spans, width)
    missing = width - width_of(cut)
    return (*cut, Span(" " * missing)) if missing > 0 else cut


def spread(left: Sequence[Span], right: Sequence[Span], width: int) -> Line:
    """``left`` at the left edge and ``right`` at the right one; ``left`` is cut first."""
    tail = cut_line(right, width)
    room = max(0, width - width_of(tail) - (1 if tail else 0))
    head = pad_line(left, room)
    return (*head, Span(" "), *tail) if tail and room else (*head, *tail)


def bar(fraction: float | None, width: int, role: str = "accent") -> Line:
    """A progress bar of ``width`` cells as text; heavy is done, light is to do, so it reads without colour."""
    if width <= 0:
        return ()
    if fraction is None:
        return (Span("╌" * width, "faint"),)
    full = min(width, max(0, round(min(1.0, fraction) * width)))
    if role == HEAT_ROLE and full:
        return (*_heated("━" * full, [(cell + 1) / width for cell in range(full)]), Span("─" * (width - full), "faint"))
    if full == 0 and fraction > 0:
        return (Span("╸", "heat0" if role == HEAT_ROLE else role), Span("─" * (width - 1), "faint"))
    return (Span("━" * full, role), Span("─" * (width - full), "faint"))


def spark_line(values: Sequence[float | None], width: int, top: float = 100.0, *, heat: bool = False) -> Line:
    """A history as blocks, newest at the right; the time before the first value is a faint base line. With ``heat``
    high values have the colours of a full bar."""
    shown = sparkline(values, width, top)
    known = shown.lstrip(" ")
    base = Span("▁" * (len(shown) - len(known)), "faint")
    if not heat:
        return (base, Span(known, "info"))
    return (base, *_heated(known, [_SPARKS.find(block) / 7 for block in known]))


def _heated(text: str, shares: Sequence[float]) -> Line:
    """Each cell in the colour of its share of what there is; neighbours of one colour are one span."""
    spans: list[Span] = []
    for cell, share in zip(text, shares, strict=True):
        role = heat_role(share)
        if spans and spans[-1].role == role:
            spans[-1] = Span(spans[-1].text + cell, role)
        else:
            spans.append(Span(cell, role))
    return tuple(spans)


def heat_role(share: float) -> str:
    """The role of a share between 0 and 1: half full is calm, the last twentieth is alarm."""
    return f"heat{bisect_right(_HEAT_STEPS, share)}"


def sparkline(values: Sequence[float | None], width: int, top: float = 100.0) -> str:
    """The last ``width`` values between 0 and ``top`` as a line of blocks; a missing value is a space."""
    if width <= 0:
        return ""
    cells = []
    for value in values[-width:]:
        if value is None or top <= 0:
            cells.append(" ")
        else:
            cells.append(_SPARKS[min(7, max(0, int(value / top * 8)))])
    return "".join(cells).rjust(width)


def wrap_text(text: str, width: int) -> list[str]:
    """Wrap plain text to ``width`` cells at spaces, hard where a word is longer; keeps its own line breaks."""
    found: list[str] = []
    for raw in text.expandtabs(4).split("\n"):
        found.extend(plain(row) for row in wrap_line((Span(raw),), width))
    return found


def wrap_line(spans: Sequence[Span], width: int, indent: str = "") -> list[Line]:
    """Wrap one styled line to ``width`` cells at spaces; following lines begin with ``indent``."""
    wrapping = _Wrapping(max(1, width), indent if width > len(indent) + 4 else "")
    word: list[Span] = []
    for span in spans:
        for index, part in enumerate(span.text.split(" ")):
            if index:
                wrapping.add(word)
                wrapping.space(span.role)
                word = []
            if part:
                word.append(Span(part, span.role))
    wrapping.add(word)
    return [_merge(row) for row in wrapping.rows]


class _Wrapping:
    """Rows that are filled word by word; a word may have several roles."""

    def __init__(self, width: int, indent: str) -> None:
        self.rows: list[list[Span]] = [[]]
        self._width = width
        self._indent = indent
        self._used = 0
        self._begun = False

    def _next_row(self) -> None:
        while self.rows[-1] and self.rows[-1][-1].text == " ":
            self.rows[-1].pop()
        self.rows.append([Span(self._indent)] if self._indent else [])
        self._used = len(self._indent)
        self._begun = False

    def space(self, role: str) -> None:
        if self._used + 1 > self._width:
            self._next_row()
        elif self._begun or len(self.rows) == 1:
            self._put(" ", role, 1)

    def add(self, word: Sequence[Span]) -> None:
        if self._used + width_of(word) > self._width and self._begun:
            self._next_row()
        for text, role in word:
            rest = text
            while self._used + cell_len(rest) > self._width:
                piece, rest = _split_cells(rest, max(1, self._width - self._used))
                self._put(piece, role, cell_len(piece))
                if not rest:
                    break
                self._next_row()
            if rest:
                self._put(rest, role, cell_len(rest))

    def _put(self, text: str, role: str, length: int) -> None:
        self.rows[-1].append(Span(text, role))
        self._used += length
        self._begun = True


def _split_cells(word: str, room: int) -> tuple[str, str]:
    taken = 0
    for index, character in enumerate(word):
        size = cell_len(character)
        if taken + size > room and index:
            return word[:index], word[index:]
        taken += size
    return word, ""


def _merge(row: Sequence[Span]) -> Line:
    merged: list[Span] = []
    for span in row:
        if merged and merged[-1].role == span.role:
            merged[-1] = Span(merged[-1].text + span.text, span.role)
        else:
            merged.append(span)
    return tuple(merged)
