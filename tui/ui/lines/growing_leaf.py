"""Blocks of text that grow long: code, tables and paragraphs. What came of one is sealed piece by piece and, when it
is over, laid out as a whole."""

from __future__ import annotations

import re

from tui.ui.lines.block_starts import Leaf
from tui.ui.lines.containers import Frames, inside, leaves, prefix, strip_openers
from tui.ui.lines.markdown_lines import parser
from tui.ui.lines.stream_block import Block, column_sizes, no_head

LONG_PARAGRAPH = 1600
"""Characters of a paragraph, or of one line of code, that are parsed and drawn again for each piece that comes."""

FIRST_ROWS = 40
"""A row among the first may still widen the columns of a growing table; cells of later ones are cut to them."""

_CELLS = re.compile(r"[ >]*(?:(?:[-+*]|\d{1,9}[.)]) +)*\|")
"""How a line begins that the next one may make the head of a table."""

_ENDS_WORD = " \n、。，；：！？"


class GrowingLeaf:
    """``start`` is the place of its first block, ``outer`` what was open before it, ``frames`` what it stands in."""

    def __init__(self, leaf: Leaf, start: int, outer: Frames) -> None:
        self.start = start
        self.outer = outer
        self.frames = leaf.frames
        self.is_over = False
        self._opened = leaf.opened
        self._has_gap = leaf.has_gap
        self._raw: list[str] = []

    def whole(self, more: str) -> Block:
        """All of it as one block; ``more`` is what was not taken yet."""
        return Block("markdown", "".join(self._raw) + more, frames=self.outer)

    def leaves(self, row: str) -> bool:
        """Whether a line that begins with ``row`` stands outside of what it stands in."""
        return leaves(row, self.frames)

    def _piece(self, kind: str, source: str, info: str) -> Block:
        if self._raw_is_shown:
            return Block(kind, source, info, gap=False, frames=self.frames)
        return Block(kind, source, info, self._has_gap, self.frames, self._opened)

    _raw_is_shown = False


class GrowingCode(GrowingLeaf):
    """An open code block, fenced or indented, line by line."""

    def __init__(self, leaf: Leaf, start: int, outer: Frames) -> None:
        super().__init__(leaf, start, outer)
        self._info = leaf.token.info
        mark = re.escape(leaf.token.markup[:1])
        self._ending = re.compile(rf" {{0,3}}{mark}{{{len(leaf.token.markup)},}}[ \t]*$") if mark else None
        self._is_cut = False

    def open(self, tail: str, blocks: list[Block]) -> str:
        """Take the first line of ``tail``, which opens it; returns the rest."""
        if self._ending is None:
            row, _, rest = tail.partition("\n")
            self._take(row, strip_openers(row.expandtabs(4), self.frames), blocks)
            return rest
        row, _, rest = tail.partition("\n")
        self._raw.append(f"{row}\n")
        return rest

    def holds(self, row: str) -> bool:
        """Whether the line ``row`` belongs to it."""
        if self._is_cut:
            return True
        text = inside(row, self.frames)
        return text is not None and (self._ending is not None or not text.strip() or text.startswith("    "))

    def leaves(self, row: str) -> bool:
        """As of any leaf; the rest of a line that was cut never does."""
        if self._is_cut:
            return False
        is_short = self._ending is None and bool((inside(row, self.frames) or "")[:4].strip())
        return is_short or super().leaves(row)

    def take_row(self, row: str, blocks: list[Block]) -> int:
        """Add a whole line; returns the first block that changed."""
        text = row if self._is_cut else inside(row, self.frames) or ""
        if self._ending is not None and not self._is_cut and self._ending.match(text):
            self._raw.append(f"{row}\n")
            self.is_over = True
            return len(blocks)
        return self._take(row, text, blocks)

    def _take(self, row: str, text: str, blocks: list[Block]) -> int:
        self._raw.append(f"{row}\n")
        blocks.append(self._line(text))
        self._raw_is_shown, self._is_cut = True, False
        return len(blocks) - 1

    def cut(self, row: str, blocks: list[Block]) -> str:
        """Seal the beginning of an unfinished line that has grown long; returns the rest of it."""
        if len(row) <= LONG_PARAGRAPH:
            return row
        text = row if self._is_cut else inside(row, self.frames) or ""
        self._raw.append(row)
        blocks.append(self._line(text))
        self._raw_is_shown = self._is_cut = True
        return ""

    def _line(self, text: str) -> Block:
        return self._piece("code", text if self._ending or self._is_cut else text[4:], self._info)

    def tail_block(self, tail: str) -> Block | None:
        """The line that is not complete."""
        text = tail if self._is_cut else inside(tail, self.frames)
        return self._line(text) if text else None

    def whole(self, more: str) -> Block:
        """All of it; at the top level as a code block that can be copied."""
        block = super().whole(more)
        if self.frames or self._ending is None:
            return block
        token = parser().parse(block.source)[0]
        return Block("fence", token.content.removesuffix("\n"), token.info)


class GrowingTable(GrowingLeaf):
    """An open table, row by row."""

    def __init__(self, leaf: Leaf, start: int, outer: Frames) -> None:
        super().__init__(leaf, start, outer)
        self._sizes: list[int] = []

    def open(self, tail: str, blocks: list[Block]) -> str:
        """Take the first two lines of ``tail``; returns the rest."""
        head, rule, rest = tail.split("\n", 2)
        self._raw.append(f"{head}\n{rule}\n")
        source = f"{strip_openers(head.expandtabs(4), self.frames)}\n{inside(rule, self.frames)}"
        self._sizes = column_sizes(source, rule_columns(source))
        blocks.append(self._piece("head", source, self._info))
        self._raw_is_shown = True
        return rest

    @property
    def _info(self) -> str:
        return " ".join(map(str, self._sizes))

    def holds(self, row: str) -> bool:
        """Whether the line ``row`` belongs to it."""
        text = inside(row, self.frames)
        if text is None or not text.strip():
            return False
        tokens = parser().parse(no_head(len(self._sizes)) + text)
        return tokens[0].map == [0, 3]

    def take_row(self, row: str, blocks: list[Block]) -> int:
        """Add a whole line; returns the first block that changed."""
        text = inside(row, self.frames) or ""
        self._raw.append(f"{row}\n")
        blocks.append(self._piece("row", text, self._info))
        if len(blocks) - self.start > FIRST_ROWS:
            return len(blocks) - 1
        sizes = column_sizes(no_head(len(self._sizes)) + text, len(self._sizes))
        wider = [max(pair) for pair in zip(self._sizes, sizes, strict=True)]
        if wider == self._sizes:
            return len(blocks) - 1
        self._sizes = wider
        blocks[self.start :] = [block._replace(info=self._info) for block in blocks[self.start :]]
        return self.start

    def cut(self, row: str, blocks: list[Block]) -> str:
        """A row is never cut."""
        return row

    def tail_block(self, tail: str) -> Block | None:
        """The row that is not complete."""
        text = inside(tail, self.frames)
        return self._piece("row", text, self._info) if text and text.strip() else None


class GrowingParagraph(GrowingLeaf):
    """An open paragraph that was cut at a word."""

    def __init__(self, leaf: Leaf, start: int, outer: Frames) -> None:
        super().__init__(leaf, start, outer)
        self._made = ""

    def cut(self, tail: str, blocks: list[Block]) -> str:
        """Seal the beginning of ``tail`` where there is a place for that; returns the rest, inside its containers."""
        at = cutting_place(tail)
        if not at:
            return tail
        head, _, last = tail[:at].rpartition("\n")
        if last.strip(" >"):
            head = tail[:at]
        gap, frames = (False, self.frames) if self._raw else (True, self.outer)
        blocks.append(Block("markdown", head, gap=gap, frames=frames))
        self._raw.append(tail[len(self._made) : at])
        self._made = prefix(self.frames)
        return self._made + tail[at:]

    def whole(self, more: str) -> Block:
        """All of it as one block."""
        return super().whole(more[len(self._made) :])

    def tail_block(self, tail: str) -> Block | None:
        """What was not sealed."""
        return Block("markdown", tail, gap=False, frames=self.frames) if tail.strip(" >") else None


def cutting_place(text: str) -> int:
    """Where a long paragraph can be cut: before a word, outside of emphasis and code if there is such a place; 0 where
    there is none."""
    places = [
        at
        for at in range(len(text) - LONG_PARAGRAPH // 4, LONG_PARAGRAPH // 2, -1)
        if text[at].isalpha() and text[at - 1] in _ENDS_WORD and not _CELLS.match(text, text.rfind("\n", 0, at) + 1)
    ]
    for at in places:
        head = text[:at]
        marks = [head.count(mark) for mark in ("`", "**", "*", "~~")]
        if not any(count % 2 for count in [*marks, head.count("[") - head.count("]")]):
            return at
    if len(text) < 2 * LONG_PARAGRAPH:
        return 0
    if places:
        return places[0]
    middle = len(text) // 2
    return next((at for at in range(middle, LONG_PARAGRAPH // 2, -1) if text[at - 1 : at + 1].isalpha()), 0)


def rule_columns(source: str) -> int:
    """Columns of a table by its two first lines."""
    return sum(token.type == "th_open" for token in parser().parse(source))
