"""Where blocks begin in Markdown that still grows: lines before which nothing can change any more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from tui.ui.lines.containers import QUOTE, Frame, Frames, context, item_frame, strip_openers
from tui.ui.lines.markdown_lines import parser

if TYPE_CHECKING:
    from markdown_it.token import Token

_LEAVES = ("fence", "code_block", "hr", "paragraph", "heading", "table")
_LISTS = ("bullet_list", "ordered_list")
_SURELY = 80
"""Characters of a line after which a paragraph that does not begin with a letter is nothing else any more."""


class Start(NamedTuple):
    """A block begins at ``line`` inside ``frames``; of an item that is not its list's first, the one before it is the
    last of them."""

    line: int
    frames: Frames


class Leaf(NamedTuple):
    """The last block that holds text: ``frames`` are what it stands in, ``opened`` of them begin on its first line;
    without ``has_gap`` the first of those goes on with a list."""

    line: int
    frames: Frames
    opened: int
    has_gap: bool
    kind: str
    token: Token


@dataclass
class Starts:
    """What ``block_starts`` found. ``tops`` are the blocks at the top level with their lines, ``drawn`` the lines of
    what is drawn, ``references`` the links that the text defines."""

    starts: list[Start] = field(default_factory=list)
    leaf: Leaf | None = None
    tops: list[tuple[int, Token]] = field(default_factory=list)
    drawn: list[int] = field(default_factory=list)
    references: dict[str, str] = field(default_factory=dict)


@dataclass
class _Open:
    frame: Frame
    line: int
    goes_on: bool = False
    is_drawn: bool = False


@dataclass
class _List:
    number: int
    last: Frame | None = None


def block_starts(source: str, frames: Frames, *, is_whole: bool = False) -> Starts:
    """The places in ``source``, which begins inside ``frames``, where it can be cut into parts that draw the same.

    Only places below the first line count, with complete lines above and, but for what is surely a paragraph already,
    a complete line there: what is written on may still make something else of it. Nothing more comes when
    ``is_whole`` is set.
    """
    before = context(frames)
    text = before + source
    rows = text.split("\n")
    walk = _Walk(rows, before.count("\n"), [frame.number for frame in frames if not frame.is_quote])
    env: dict[str, dict[str, dict[str, str]]] = {}
    for token in parser().parse(text, env):
        if not walk.take(token):
            break
    if not is_whole:
        walk.settle()
    found = walk.found
    found.references = {label: value["href"] for label, value in env.get("references", {}).items()}
    return found


class _Walk:
    """Goes through the tokens with the containers that are open."""

    def __init__(self, rows: Sequence[str], skipped: int, numbers: Sequence[int]) -> None:
        self.found = Starts()
        self._rows = rows
        self._skipped = skipped
        self._numbers = list(numbers)
        self._open: list[_Open] = []
        self._lists: list[_List] = []
        self._covered = skipped
        self._in_table = False

    def take(self, token: Token) -> bool:
        """One token; False when a line is not understood, and nothing below it counts."""
        kind, _, ending = token.type.rpartition("_")
        if self._in_table or token.type == "inline":
            self._in_table = self._in_table and token.type != "table_close"
            return True
        if ending == "close":
            self._close(kind)
        elif token.map is not None:
            name = kind if ending == "open" else token.type
            return self._begin(name, token, token.map[0], token.map[1])
        return True

    def _begin(self, name: str, token: Token, line: int, end: int) -> bool:
        if name == "list_item":
            return self._item(line)
        if not self._open and line >= self._skipped:
            self.found.tops.append((line - self._skipped, token))
        self._start(line, self._frames())
        if name in _LISTS:
            number = int(token.attrs.get("start", 1)) if name == "ordered_list" else 0
            self._lists.append(_List(self._numbers.pop(0) if self._numbers and line < self._skipped else number))
        elif name == "blockquote":
            self._open.append(_Open(QUOTE, line))
        elif name in _LEAVES:
            frames = self._frames()
            opened = [one for one in self._open if one.line == line]
            self._in_table = name == "table"
            self._draw(line)
            self._covered = max(self._covered, end)
            if line >= self._skipped:
                has_gap = not (opened and opened[0].goes_on)
                self.found.leaf = Leaf(line - self._skipped, frames, len(opened), has_gap, name, token)
        return True

    def _item(self, line: int) -> bool:
        of = self._lists[-1]
        if of.last is not None:
            self._start(line, (*self._frames(), of.last))
        row = self._rows[line]
        frame = item_frame(strip_openers(row.expandtabs(4) if "\t" in row else row, self._frames()), of.number)
        if frame is None:
            return False
        self._open.append(_Open(frame, line, goes_on=of.last is not None))
        self.found.drawn.append(line - self._skipped)
        return True

    def _close(self, kind: str) -> None:
        if kind in _LISTS:
            self._lists.pop()
        elif kind == "list_item":
            self._open[-1].is_drawn = True
            self._lists[-1].last = self._open.pop().frame
            self._lists[-1].number += 1
        elif kind == "blockquote":
            self._open.pop()

    def _draw(self, line: int) -> None:
        for one in self._open:
            one.is_drawn = True
        self.found.drawn.append(line - self._skipped)

    def _frames(self) -> Frames:
        return tuple(one.frame for one in self._open)

    def _start(self, line: int, frames: Frames) -> None:
        if line <= self._skipped or (self._open and not self._open[-1].is_drawn):
            return
        if any("]:" in row for row in self._rows[self._covered : line]):
            return  # the definition of a link, which may go on in the next line
        self.found.starts.append(Start(line - self._skipped, frames))

    def settle(self) -> None:
        """Leave out what the last line, which is not complete, may still become."""
        last = len(self._rows) - 1 - self._skipped
        leaf = self.found.leaf
        if leaf is not None and leaf.line == last and leaf.kind == "paragraph":
            row = strip_openers(self._rows[-1].expandtabs(4), leaf.frames).lstrip(" ")
            if row[:1].isalpha() or (len(row) > _SURELY and row[0] != "["):
                return
        if leaf is not None and leaf.kind == "table" and leaf.line == last - 1:
            last -= 1  # the line below the head may still become something else
        self.found.starts = [start for start in self.found.starts if start.line < last]
        if leaf is not None and leaf.line >= last and leaf.kind != "paragraph":
            self.found.leaf = None
