"""Markdown as lines: headings, emphasis, lists, quotes, code with colours, tables. Pure; widgets cache what it gives.

The parser is markdown-it (what Textual uses); HTML is shown as text and nothing becomes a link that can be clicked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING

from tui.ui.lines.code_lines import code_lines
from tui.ui.lines.span import BLANK, Line, Span, cut_line, fit_cells, width_of, wrap_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_BULLETS = "•◦▪"


@lru_cache(1)
def parser() -> MarkdownIt:
    """The one parser: CommonMark with tables and strikethrough, HTML off. Loaded when there is something to parse."""
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def markdown_lines(source: str, width: int) -> list[Line]:
    """``source`` wrapped to ``width`` cells, blocks separated by a blank line."""
    return document_lines(parser().parse(source), width)


def document_lines(tokens: Sequence[Token], width: int) -> list[Line]:
    """What the parser made of a document, wrapped to ``width`` cells."""
    return _Blocks(tokens, max(8, width)).lines()


def item_mark(number: int | None, level: int) -> str:
    """What stands before an item: its number, or the bullet of a list at the parser's ``level``."""
    return f"{_BULLETS[min(2, level // 2)]} " if number is None else f"{number}. "


def quote_lines(rows: Sequence[Line]) -> list[Line]:
    """``rows`` as a quote."""
    return [(Span("▎ ", "faint"), *_recolour(row, "dim")) for row in rows]


class _Blocks:
    """Walks the tokens of one document."""

    def __init__(self, tokens: Sequence[Token], width: int) -> None:
        self._tokens = tokens
        self._at = 0
        self._width = width

    def lines(self) -> list[Line]:
        return self._until("", self._width)

    def _until(self, closing: str, width: int, tight: bool = False) -> list[Line]:
        found: list[Line] = []
        while self._at < len(self._tokens):
            token = self._tokens[self._at]
            if token.type == closing:
                break
            block = self._block(token, width)
            if found and block and not tight:
                found.append(BLANK)
            found.extend(block)
        return found

    def _block(self, token: Token, width: int) -> list[Line]:
        self._at += 1
        if token.type in ("fence", "code_block"):
            return fence_lines(token.content, token.info, width)
        if token.type == "hr":
            return [(Span("─" * width, "faint"),)]
        if token.type == "heading_open":
            return self._heading(int(token.tag[1]), width)
        if token.type == "paragraph_open":
            return self._inline(width)
        if token.type == "blockquote_open":
            inner = self._until("blockquote_close", width - 2)
            self._at += 1
            return quote_lines(inner)
        if token.type in ("bullet_list_open", "ordered_list_open"):
            return self._list(token, width)
        if token.type == "table_open":
            return self._table(width)
        if token.content:
            return wrap_line((Span(token.content),), width)
        return []

    def _inline(self, width: int, role: str = "") -> list[Line]:
        token = self._tokens[self._at]
        self._at += 2
        rows: list[Line] = []
        for part in inline_spans(token, role):
            rows.extend(wrap_line(part, width))
        return rows

    def _heading(self, level: int, width: int) -> list[Line]:
        rows = self._inline(width, "title" if level <= 2 else "strong")
        if level == 1 and rows:
            rows.append((Span("─" * min(width, max(width_of(row) for row in rows)), "faint"),))
        return rows

    def _list(self, opening: Token, width: int) -> list[Line]:
        closing = opening.type.replace("open", "close")
        ordered = opening.type == "ordered_list_open"
        number = int(opening.attrs.get("start", 1)) if ordered else 0
        rows: list[Line] = []
        while self._tokens[self._at].type != closing:
            self._at += 1
            mark = item_mark(number if ordered else None, opening.level)
            indent = " " * len(mark)
            item = self._until("list_item_close", max(8, width - len(mark)), tight=True)
            self._at += 1
            for index, row in enumerate(item or [BLANK]):
                rows.append((Span(mark, "accent") if index == 0 else Span(indent), *row))
            number += 1
        self._at += 1
        return rows

    def _table(self, width: int) -> list[Line]:
        return table_lines(self.table_rows(), width)

    def table_rows(self) -> list[list[Line]]:
        """The cells of the table that the walk stands in."""
        rows: list[list[Line]] = []
        while self._tokens[self._at].type != "table_close":
            token = self._tokens[self._at]
            if token.type == "tr_open":
                rows.append([])
            elif token.type == "inline":
                head = self._tokens[self._at - 1].type == "th_open"
                parts = inline_spans(token, "strong" if head else "")
                rows[-1].append(tuple(span for part in parts for span in part))
            self._at += 1
        self._at += 1
        return rows


def table_rows(source: str) -> list[list[Line]]:
    """The cells of a table, row by row; nothing when ``source`` is none."""
    tokens = parser().parse(source)
    return _Blocks(tokens, 80).table_rows() if tokens and tokens[0].type == "table_open" else []


def inline_spans(token: Token, role: str = "") -> list[Line]:
    """The spans of an inline token, one line for each hard line break."""
    rows: list[list[Span]] = [[]]
    roles = [role]
    for child in token.children or ():
        if child.type in ("hardbreak", "softbreak"):
            if child.type == "hardbreak":
                rows.append([])
            else:
                rows[-1].append(Span(" ", roles[-1]))
        elif child.type == "code_inline":
            rows[-1].append(Span(child.content, "code"))
        elif child.type == "image":
            rows[-1].append(Span(f"[image: {child.content}]", "dim"))
        elif child.nesting == 1:
            roles.append(
                {"strong_open": "strong", "em_open": "emphasis", "s_open": "strike", "link_open": "link"}.get(
                    child.type, roles[-1]
                )
            )
        elif child.nesting == -1:
            if len(roles) > 1:
                roles.pop()
        elif child.content:
            rows[-1].append(Span(child.content.replace("\n", " "), roles[-1]))
    return [tuple(row) for row in rows]


def fence_lines(content: str, info: str, width: int) -> list[Line]:
    """A code block with a rule at its left; long lines wrap."""
    return [framed for row in code_lines(content.rstrip("\n"), info) for framed in frame_code(row, width)]


def frame_code(row: Line, width: int) -> list[Line]:
    """One line of code as it is drawn."""
    return [(Span("▏ ", "faint"), *part) for part in wrap_line(row, max(4, width - 2))]


def table_lines(rows: Sequence[Sequence[Line]], width: int, sizes: Sequence[int] = (), rule: bool = True) -> list[Line]:
    """A table in columns as wide as they need (or as ``sizes`` says), narrowed evenly when the screen is; cells are
    cut, not wrapped. ``rule`` stands below the first row."""
    if not rows or not rows[0]:
        return []
    columns = len(sizes) or max(len(row) for row in rows)
    sizes = list(sizes) or [
        max((width_of(row[index]) for row in rows if index < len(row)), default=1) for index in range(columns)
    ]
    room = width - 3 * (columns - 1)
    while sum(sizes) > room and max(sizes) > 4:
        sizes[sizes.index(max(sizes))] -= 1
    found: list[Line] = []
    for number, row in enumerate(rows):
        spans: list[Span] = []
        for index, size in enumerate(sizes):
            cell = cut_line(row[index], size) if index < len(row) else ()
            spans.extend(cell)
            spans.append(Span(fit_cells("", size - width_of(cell)) if size > width_of(cell) else ""))
            if index < columns - 1:
                spans.append(Span(" │ ", "faint"))
        found.append(cut_line(spans, width))
        if number == 0 and rule:
            found.append((Span("─┼─".join("─" * size for size in sizes)[:width], "faint"),))
    return found


def _recolour(row: Line, role: str) -> Line:
    return tuple(Span(span.text, span.role or role) for span in row)
