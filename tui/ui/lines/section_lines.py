"""One part of a conversation as lines: a question, an answer, what was thought before it, a note, a card. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from tui.quantities import duration_text
from tui.ui.lines.span import BLANK, Line, Span, line, wrap_line
from tui.ui.lines.stream_blocks import Block, StreamBlocks, block_lines, with_gap

INDENT = 2
FOLD_LINES = 3
"""Lines of thinking that are shown while it is folded and still under way."""

_FOLD_CHARACTERS = 600
_MARGIN = Span(" " * INDENT)


class Part(NamedTuple):
    """What can be chosen: a section, or the code block ``block`` of it (-1: the whole section)."""

    section: int
    block: int = -1


@dataclass(eq=False)
class Section:
    """``role`` is "user", "thinking", "assistant", "note" or "card". ``files`` are attached to a question, ``beside``
    says which of several versions this is ("2/3"), ``tokens`` counts the pieces that came."""

    role: str
    message_id: int = 0
    blocks: StreamBlocks = field(default_factory=StreamBlocks)
    source: list[str] = field(default_factory=list)
    footer: Line = BLANK
    started: float = 0.0
    seconds: float = 0.0
    tokens: int = 0
    is_open: bool = False
    beside: str = ""
    files: tuple[str, ...] = ()
    card: tuple[Line, ...] = ()
    last: str = ""

    @property
    def text(self) -> str:
        """Everything that came."""
        return "".join(self.source)

    def take(self, text: str, tokens: int = 0) -> int:
        """Add text; returns the first block that changed."""
        self.source.append(text)
        self.tokens += tokens
        if self.role == "thinking":
            self.last = (self.last + text)[-_FOLD_CHARACTERS:]
        return self.blocks.take(text)

    def code_blocks(self) -> Iterator[int]:
        """Places of its whole code blocks."""
        return (place for place, block in enumerate(self.blocks.blocks) if block.kind == "fence")

    def part_text(self, block: int) -> str:
        """What is copied of it: a code block without its fence, or everything."""
        return self.blocks.blocks[block].source if block >= 0 else self.text


def inner_width(width: int) -> int:
    """Cells that the text of a section has."""
    return max(8, width - INDENT - 1)


def head_lines(section: Section, unfolded: bool) -> list[Line]:
    """What stands above it."""
    if section.role == "thinking" and unfolded:
        return [BLANK, line(Span(f"  ∴ {_thought(section)}", "dim"))]
    return [BLANK]


def plain_section(section: Section, width: int, unfolded: bool) -> list[Line] | None:
    """The lines below the head of a section that is not made of Markdown; None for one that is."""
    if section.role == "user":
        return _user_lines(section, width)
    if section.role == "note":
        return [*wrap_line(line(Span(f"  {section.text}", "dim")), inner_width(width), "  ")]
    if section.role == "card":
        return [part for row in section.card for part in wrap_line(row, inner_width(width), "    ")]
    if section.role == "thinking" and not unfolded:
        return _folded(section, width)
    return None


def markdown_rows(section: Section, width: int, first: int = 0) -> Iterator[tuple[int, list[Line]]]:
    """Each sealed block from ``first`` on with its lines."""
    blocks = section.blocks.blocks
    for number in range(first, len(blocks)):
        rows = block_lines(blocks[number], inner_width(width))
        yield number, indent(section, with_gap(blocks[number], rows, number == 0))


def end_lines(section: Section, width: int) -> list[Line]:
    """The open tail, and the footer of a section that is over."""
    block: Block | None = section.blocks.tail_block() if section.is_open else None
    if block is not None:
        rows = block_lines(block, inner_width(width))
        return indent(section, with_gap(block, rows, not section.blocks.blocks))
    if section.is_open and not section.source:
        return [line(Span("  …", "dim"))]
    if not section.footer:
        return []
    return [BLANK, *((_MARGIN, *row) for row in wrap_line(section.footer, inner_width(width)))]


def indent(section: Section, rows: list[Line]) -> list[Line]:
    """``rows`` behind the margin, in the colour of the section."""
    if section.role == "thinking":
        return [(_MARGIN, *(Span(span.text, "dim") for span in row)) for row in rows]
    return [(_MARGIN, *row) for row in rows]


def part_lines(section: Section, block: int, width: int, unfolded: bool, height: int) -> tuple[int, int]:
    """Where, from its first line on, a part of a section of ``height`` lines begins and ends."""
    at = len(head_lines(section, unfolded))
    if block < 0:
        return at, height
    for number, rows in markdown_rows(section, width):
        if number == block:
            gap = 1 if section.blocks.blocks[block].gap and number else 0
            return at + gap, at + len(rows)
        at += len(rows)
    return 0, height


def marked(row: Line) -> Line:
    """``row`` with the mark of what is chosen at its left edge."""
    first = row[0] if row else Span(" ")
    return (Span("▌", "accent"), Span(first.text[1:], first.role), *row[1:])


def parts(sections: list[Section], is_wanted: Callable[[Section], bool] = lambda section: True) -> list[Part]:
    """Everything that can be chosen, from top to bottom."""
    found: list[Part] = []
    for number, section in enumerate(sections):
        if section.role in ("user", "assistant") and not section.is_open and section.source and is_wanted(section):
            found.append(Part(number))
            found.extend(Part(number, block) for block in section.code_blocks())
    return found


def _user_lines(section: Section, width: int) -> list[Line]:
    rows: list[Line] = []
    for number, text in enumerate(section.text.split("\n")):
        for part, wrapped in enumerate(wrap_line((Span(text, "strong"),), inner_width(width))):
            rows.append(line(Span("❯ " if number == 0 and part == 0 else "  ", "accent"), *wrapped))
    rows += [line(Span(f"  + {name}", "info")) for name in section.files]
    if section.beside:
        rows[0] = (*rows[0], Span(f"  ‹{section.beside}›", "dim"))
    return rows


def _thought(section: Section) -> str:
    word = "thinking" if section.is_open else "thought"
    tokens = f", {section.tokens:,} tokens" if section.tokens else ""
    seconds = f" for {duration_text(section.seconds) if section.seconds >= 10 else f'{section.seconds:.1f} s'}"
    return f"{word}{seconds if section.seconds or section.is_open else ''}{tokens}"


def _folded(section: Section, width: int) -> list[Line]:
    if not section.is_open:
        return [line(Span(f"  ∴ {_thought(section)}; ", "dim"), Span("t", "key"), Span(" unfolds", "dim"))]
    tail = re.sub(r"\s+", " ", section.last[-width * FOLD_LINES :])
    rows = wrap_line(line(Span(tail, "comment")), inner_width(width))[-FOLD_LINES:]
    return [line(Span(f"  ∴ {_thought(section)}", "dim")), *indent(section, rows)]
