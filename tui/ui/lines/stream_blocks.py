"""Cutting growing Markdown into blocks that will not change any more and an open tail.

Only the tail is parsed and drawn again when text arrives, so an answer costs the same per token however long it is:
lists and quotes are sealed part by part, however deep, code line by line, tables row by row, and a paragraph that grows
very long at a word. What was sealed inside one block of the parser is laid out whole when that block is over, so in
the end everything is drawn as if it had been parsed at once.
"""

from __future__ import annotations

from itertools import pairwise

from tui.ui.lines.block_starts import Leaf, Starts, block_starts
from tui.ui.lines.containers import Frames
from tui.ui.lines.growing_leaf import LONG_PARAGRAPH, GrowingCode, GrowingParagraph, GrowingTable
from tui.ui.lines.stream_block import Block, block_lines, with_gap

__all__ = ["LONG_PARAGRAPH", "Block", "StreamBlocks", "block_lines", "with_gap"]


class StreamBlocks:
    """Takes text as it comes. ``take`` returns the blocks that were sealed by it."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.tail = ""
        self._frames: Frames = ()
        self._leaf: GrowingCode | GrowingTable | GrowingParagraph | None = None
        self._references: dict[str, str] = {}
        self._redone = 0

    @property
    def in_code(self) -> bool:
        """The tail stands inside an open code block."""
        return isinstance(self._leaf, GrowingCode)

    def tail_block(self) -> Block | None:
        """The open tail as a block, or None when there is nothing to show."""
        if self._leaf is not None:
            return self._leaf.tail_block(self.tail)
        return Block("markdown", self.tail, self._definitions(), frames=self._frames) if self.tail.strip() else None

    def take(self, text: str) -> int:
        """Add ``text``; returns the index of the first block that is new or changed (``len(blocks)`` before: none)."""
        first = self._redone = len(self.blocks)
        self.tail += text
        by_row = isinstance(self._leaf, GrowingCode | GrowingTable)
        if not by_row and "\n" not in text and len(self.tail) < LONG_PARAGRAPH:
            return first
        while self._advance():
            pass
        return min(first, self._redone)

    def finish(self) -> int:
        """Seal what is open; returns the same as ``take``."""
        first = self._redone = len(self.blocks)
        if isinstance(self._leaf, GrowingCode | GrowingTable) and self.tail and not self._leaf.holds(self.tail):
            self._close_leaf()
        if self._leaf is not None:
            self._close_leaf(self.tail)
        elif self.tail.strip():
            rows = self.tail.split("\n")
            self._seal(rows, len(rows), self._starts(is_whole=True))
        first = min(first, self._redone)
        self.tail = ""
        if self._references:
            first, definitions = 0, self._definitions()
            self.blocks[:] = [
                block._replace(info=definitions) if block.kind == "markdown" and "[" in block.source else block
                for block in self.blocks
            ]
        return first

    def _advance(self) -> bool:
        """One step; False when nothing more can be sealed now. ``_redone`` is the first block that any step changed."""
        if isinstance(self._leaf, GrowingCode | GrowingTable):
            return self._advance_row(self._leaf)
        return self._advance_text()

    def _advance_row(self, leaf: GrowingCode | GrowingTable) -> bool:
        """Code and tables, line by line."""
        row, newline, rest = self.tail.partition("\n")
        if not newline:
            if leaf.leaves(row):
                self._close_leaf()
                return True
            self.tail = leaf.cut(row, self.blocks)
            return False
        if not leaf.holds(row):
            self._close_leaf()
            return True
        self.tail = rest
        self._redone = min(self._redone, leaf.take_row(row, self.blocks))
        if leaf.is_over:
            self._close_leaf()
        return True

    def _close_leaf(self, more: str = "") -> None:
        """The whole block is known, ``more`` is the rest of it: it is laid out as one."""
        leaf, self._leaf = self._leaf, None
        if leaf is None:
            return
        whole = leaf.whole(more)
        if whole.kind == "markdown":
            whole = whole._replace(info=self._definitions())
        self._redone = min(self._redone, leaf.start)
        self.blocks[leaf.start :] = [whole]
        self._frames = leaf.frames

    def _advance_text(self) -> bool:
        """Everything else, block by block."""
        found = self._starts()
        if found.starts:
            last = found.starts[-1]
            rows = self.tail.split("\n")
            self._seal(rows, last.line, found)
            self.tail, self._frames = "\n".join(rows[last.line :]), last.frames
            return True
        leaf = found.leaf
        if leaf is None or leaf.line:
            return False
        is_code = leaf.kind in ("fence", "code_block")
        if (is_code or (leaf.kind == "table" and self.tail.count("\n") > 1)) and self._leaf is None:
            growing = (GrowingCode if is_code else GrowingTable)(leaf, len(self.blocks), self._frames)
            self.tail = growing.open(self.tail, self.blocks)
            self._leaf = growing
            return True
        return leaf.kind == "paragraph" and len(self.tail) > LONG_PARAGRAPH and self._cut_paragraph(leaf)

    def _starts(self, *, is_whole: bool = False) -> Starts:
        found = block_starts(self.tail, self._frames, is_whole=is_whole)
        for label, target in found.references.items():
            self._references.setdefault(label, target)
        return found

    def _seal(self, rows: list[str], end: int, found: Starts) -> None:
        """Seal the ``rows`` of the tail before ``end``, what begins at the top level by itself."""
        if isinstance(self._leaf, GrowingParagraph):
            self._close_leaf(_joined(rows, 0, end))
            return
        lines = [0, *(start.line for start in found.starts if not start.frames and start.line < end), end]
        for first, last in pairwise(lines):
            if not any(first <= line < last for line in found.drawn):
                continue
            frames = () if first else self._frames
            tokens = [token for line, token in found.tops if first <= line < last]
            if not frames and len(tokens) == 1 and tokens[0].type == "fence":
                block = Block("fence", tokens[0].content.removesuffix("\n"), tokens[0].info)
            else:
                block = Block("markdown", _joined(rows, first, last), self._definitions(), frames=frames)
            self.blocks.append(block)

    def _cut_paragraph(self, leaf: Leaf) -> bool:
        paragraph = self._leaf
        if not isinstance(paragraph, GrowingParagraph):
            paragraph = GrowingParagraph(leaf, len(self.blocks), self._frames)
        rest = paragraph.cut(self.tail, self.blocks)
        if rest == self.tail:
            return False
        self.tail, self._frames, self._leaf = rest, paragraph.frames, paragraph
        return True

    def _definitions(self) -> str:
        """The links that the text has defined so far, as Markdown."""
        return "".join(f"[{label}]: <{target}>\n\n" for label, target in self._references.items())


def _joined(rows: list[str], first: int, last: int) -> str:
    """The lines from ``first`` to before ``last``, each whole but the very last of the text."""
    return "\n".join(rows[first:last]) + ("\n" if last < len(rows) else "")
