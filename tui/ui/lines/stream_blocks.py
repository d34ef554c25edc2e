"""Cutting growing Markdown into blocks that will not change any more and an open tail.

Only the tail is parsed and drawn again when text arrives, so an answer costs the same per token however long it is:
lists are sealed item by item, code line by line, tables row by row, and a paragraph that grows very long is sealed at
a sentence.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import NamedTuple

from tui.ui.lines.code_lines import code_lines
from tui.ui.lines.markdown_lines import fence_lines, frame_code, markdown_lines, parser, table_lines, table_rows
from tui.ui.lines.span import BLANK, Line, width_of

LONG_PARAGRAPH = 1600
FIRST_ROWS = 40
"""A row among the first may still widen the columns of a growing table; cells of later ones are cut to them."""

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^\n`]*)$")


class Block(NamedTuple):
    """Sealed Markdown. ``kind`` is "markdown", "code" (one line inside a fence), "fence" (a whole code block), "head"
    or "row" (the two first lines and one further line of a table that still grows); ``gap`` says that a blank line
    stands before it. ``info`` holds a fence's language, or the widths of a table's columns."""

    kind: str
    source: str
    info: str = ""
    gap: bool = True


def block_lines(block: Block, width: int) -> list[Line]:
    """A block as it is drawn."""
    if block.kind == "code":
        return [row for part in code_lines(block.source, block.info) for row in frame_code(part, width)]
    if block.kind == "fence":
        return fence_lines(block.source, block.info, width)
    if block.kind in ("head", "row"):
        sizes = [int(size) for size in block.info.split()]
        rows = table_rows(block.source if block.kind == "head" else _no_head(len(sizes)) + block.source)
        return table_lines(rows[:1] if block.kind == "head" else rows[1:], width, sizes, block.kind == "head")
    return markdown_lines(block.source, width)


def with_gap(block: Block, rows: list[Line], first: bool) -> list[Line]:
    """``rows`` with the blank line before them where one belongs."""
    return [BLANK, *rows] if block.gap and not first and rows else rows


class StreamBlocks:
    """Takes text as it comes. ``take`` returns the blocks that were sealed by it."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.tail = ""
        self.tail_gap = True
        self._fence = ""
        self._info = ""
        self._fence_start = 0
        self._table: list[int] = []
        self._table_start = 0

    @property
    def in_code(self) -> bool:
        """The tail stands inside an open code block."""
        return bool(self._fence)

    def tail_block(self) -> Block | None:
        """The open tail as a block, or None when there is nothing to show."""
        if self._table:
            return self._row(self.tail) if self.tail.strip() else None
        if self._fence:
            first = len(self.blocks) == self._fence_start
            return Block("code", self.tail, self._info, gap=first) if self.tail else None
        return Block("markdown", self.tail, gap=self.tail_gap) if self.tail.strip() else None

    def take(self, text: str) -> int:
        """Add ``text``; returns the index of the first block that is new or changed (``len(blocks)`` before: none)."""
        first = len(self.blocks)
        self.tail += text
        if "\n" not in text and len(self.tail) < LONG_PARAGRAPH:
            return first
        while self._advance():
            first = min(first, self._redone)
        return first

    def finish(self) -> int:
        """Seal what is open; returns the same as ``take``."""
        first = len(self.blocks)
        if self._fence:
            if self.tail:
                self._code_line(self.tail)
            self._close_fence()
            first = min(first, self._fence_start)
        elif self._table:
            if self.tail.strip():
                self.blocks.append(self._row(self.tail))
            self._close_table()
            first = min(first, self._table_start)
        elif self.tail.strip():
            self.blocks.append(Block("markdown", self.tail, gap=self.tail_gap))
        self.tail = ""
        return first

    _redone = 0

    def _advance(self) -> bool:
        """One step; False when nothing more can be sealed now. ``_redone`` is the first block that it changed."""
        self._redone = len(self.blocks)
        if self._table:
            return self._advance_table()
        return self._advance_code() if self._fence else self._advance_text()

    # A table

    def _row(self, source: str) -> Block:
        return Block("row", source, " ".join(map(str, self._table)), gap=False)

    def _advance_table(self) -> bool:
        row, newline, rest = self.tail.partition("\n")
        if not newline:
            return False
        if not row.strip() or "|" not in row:
            self._redone = self._table_start
            self._close_table()
            return True
        self.tail = rest
        self.blocks.append(self._row(row))
        if len(self.blocks) - self._table_start <= FIRST_ROWS:
            self._widen(row)
        return True

    def _widen(self, row: str) -> None:
        """Give the columns the room that ``row`` needs; the rows above it are drawn again then."""
        sizes = _sizes(_no_head(len(self._table)) + row, len(self._table))
        wider = [max(pair) for pair in zip(self._table, sizes, strict=True)]
        if wider != self._table:
            self._table, info = wider, " ".join(map(str, wider))
            self.blocks[self._table_start :] = [block._replace(info=info) for block in self.blocks[self._table_start :]]
            self._redone = self._table_start

    def _open_table(self, rows: list[str]) -> None:
        source = "\n".join(rows[:2])
        self._table = _sizes(source, rows[1].strip().strip("|").count("|") + 1)
        self._table_start = len(self.blocks)
        self.blocks.append(Block("head", source, " ".join(map(str, self._table)), gap=self.tail_gap))
        self.tail = "\n".join(rows[2:])

    def _close_table(self) -> None:
        """The whole table is known: its columns get the room that all of its rows need."""
        first = self.blocks[self._table_start]
        source = "\n".join(block.source for block in self.blocks[self._table_start :])
        self.blocks[self._table_start :] = [Block("markdown", source, gap=first.gap)]
        self._table, self.tail_gap = [], True

    # Code and text

    def _advance_code(self) -> bool:
        row, newline, rest = self.tail.partition("\n")
        if not newline:
            return False
        self.tail = rest
        mark = row.strip()
        if len(mark) >= len(self._fence) and mark == self._fence[0] * len(mark):
            self._close_fence()
        else:
            self._code_line(row)
        return True

    def _code_line(self, row: str) -> None:
        self.blocks.append(Block("code", row, self._info, gap=len(self.blocks) == self._fence_start))

    def _close_fence(self) -> None:
        source = "\n".join(block.source for block in self.blocks[self._fence_start :])
        self.blocks[self._fence_start :] = [Block("fence", source, self._info)]
        self._redone = min(self._redone, self._fence_start)
        self._fence, self.tail_gap = "", True

    def _advance_text(self) -> bool:
        starts = self._block_starts()
        rows = self.tail.split("\n")
        if starts and starts[-1][0]:
            self._seal(rows, starts)
            return True
        fence = _FENCE.match(rows[0]) if rows and len(rows) > 1 else None
        if fence and starts:
            self._fence, self._info = fence[1], fence[2]
            self._fence_start = len(self.blocks)
            self.tail = "\n".join(rows[1:])
            return True
        if len(rows) > 3 and starts and starts[-1] == (0, "table"):
            self._open_table(rows)
            return True
        if len(self.tail) > LONG_PARAGRAPH and starts and starts[-1][1] == "paragraph":
            return self._cut_paragraph()
        return False

    def _seal(self, rows: list[str], starts: list[tuple[int, str]]) -> None:
        """Seal every block of the tail but the last one."""
        for (start, kind), (end, following) in pairwise(starts):
            source = rows[start:end]
            fence = _FENCE.match(source[0]) if kind == "fence" else None
            if fence is not None:
                self.blocks.append(Block("fence", _inside(source, fence[1]), fence[2], gap=self.tail_gap))
            elif any(row.strip() for row in source):
                self.blocks.append(Block("markdown", "\n".join(source), gap=self.tail_gap))
            self.tail_gap = following != "item"
        self.tail = "\n".join(rows[starts[-1][0] :])

    def _block_starts(self) -> list[tuple[int, str]]:
        """First line and kind of each block of the tail at the top level, list items counting as blocks."""
        starts: list[tuple[int, str]] = []
        items = 0
        for token in parser().parse(self.tail):
            if token.map is None or token.nesting < 0:
                continue
            if token.level == 0:
                items = 0
                starts.append((token.map[0], token.type.removesuffix("_open")))
            elif token.type == "list_item_open" and token.level == 1:
                items += 1
                if items > 1:
                    starts.append((token.map[0], "item"))
        return starts

    def _cut_paragraph(self) -> bool:
        at = len(self.tail) - LONG_PARAGRAPH // 4
        while (at := self.tail.rfind(" ", 0, at)) > LONG_PARAGRAPH // 2:
            head = self.tail[:at]
            marks = (
                head.count("`"),
                head.count("**"),
                head.count("*"),
                head.count("~~"),
                head.count("[") - head.count("]"),
            )
            if not any(count % 2 for count in marks):
                self.blocks.append(Block("markdown", head, gap=self.tail_gap))
                self.tail = self.tail[at + 1 :]
                self.tail_gap = False
                return True
        return False


def _inside(rows: list[str], fence: str) -> str:
    """The lines of a whole code block without its marks."""
    inside = rows[1:]
    while inside and not inside[-1].strip():
        inside.pop()
    last = inside[-1].strip() if inside else ""
    if len(last) >= len(fence) and last == fence[0] * len(last):
        inside.pop()
    return "\n".join(inside)


def _no_head(columns: int) -> str:
    """What makes a line below it a row of a table."""
    return f"|{' |' * columns}\n|{'-|' * columns}\n"


def _sizes(source: str, columns: int) -> list[int]:
    """Cells that each of ``columns`` columns of a table needs."""
    rows = table_rows(source)
    return [max([1, *(width_of(row[column]) for row in rows if column < len(row))]) for column in range(columns)]
