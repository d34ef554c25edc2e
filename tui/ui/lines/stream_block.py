"""One sealed part of a streamed answer and how it is drawn."""

from __future__ import annotations

from typing import NamedTuple

from tui.ui.lines.code_lines import code_lines
from tui.ui.lines.containers import Frames, framed, inner_width, lines_in
from tui.ui.lines.markdown_lines import fence_lines, frame_code, table_lines, table_rows
from tui.ui.lines.span import BLANK, Line, width_of


class Block(NamedTuple):
    """Sealed Markdown. ``kind`` is "markdown", "code" (one line of a code block that still grows), "fence" (a whole
    code block at the top level), "head" or "row" (the two first lines and one further line of a table that still
    grows). ``frames`` are the containers that are open where it begins; of "code", "head" and "row", which hold their
    text without them, those that it stands in, of which ``opened`` begin with it. ``gap`` says that a blank line
    stands before it where it begins a block; without it, it goes on with one. ``info`` holds a code block's language,
    the widths of a table's columns, or the definitions of links."""

    kind: str
    source: str
    info: str = ""
    gap: bool = True
    frames: Frames = ()
    opened: int = 0


def block_lines(block: Block, width: int) -> list[Line]:
    """A block as it is drawn."""
    if block.kind == "markdown":
        return lines_in(block.source, width, block.frames, is_joined=not block.gap, definitions=block.info)
    if block.kind == "fence":
        return fence_lines(block.source, block.info, width)
    room = inner_width(width, block.frames)
    if block.kind == "code":
        rows = [row for part in code_lines(block.source, block.info) for row in frame_code(part, room)]
    else:
        sizes = [int(size) for size in block.info.split()]
        cells = table_rows(block.source if block.kind == "head" else no_head(len(sizes)) + block.source)
        rows = table_lines(cells[:1] if block.kind == "head" else cells[1:], room, sizes, block.kind == "head")
    return framed(rows, block.frames, block.opened, block.gap)


def with_gap(block: Block, rows: list[Line], first: bool) -> list[Line]:
    """``rows`` with the blank line before them where one belongs at the top level."""
    is_top = not block.frames or (block.kind != "markdown" and block.opened == len(block.frames))
    return [BLANK, *rows] if block.gap and is_top and not first and rows else rows


def no_head(columns: int) -> str:
    """What makes a line below it a row of a table."""
    return f"|{' |' * columns}\n|{'-|' * columns}\n"


def column_sizes(source: str, columns: int) -> list[int]:
    """Cells that each of ``columns`` columns of a table needs."""
    rows = table_rows(source)
    return [max([1, *(width_of(row[column]) for row in rows if column < len(row))]) for column in range(columns)]
