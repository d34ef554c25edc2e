"""Markdown by chance: what models write, and what they write wrongly, nested, cut and indented."""

from __future__ import annotations

import random
from collections.abc import Callable

_WORDS = (
    "the",
    "weights",
    "of",
    "a",
    "layer",
    "are",
    "squeezed",
    "to",
    "four",
    "bits",
    "**bold**",
    "*slanted*",
    "`code`",
    "~~gone~~",
    "[link](http://x)",
    "5",
    "-",
    "2.",
    "#",
    "|",
    "a|b",
    "[named]",
    "![i](u)",
    "\\*",
    "&amp;",
    "**open",
    "`open",
    "漢字",
    "émigré",
)


def random_markdown(chance: random.Random, blocks: int = 12) -> str:
    """A document of about ``blocks`` blocks at the top level."""
    text = "\n".join(row for _ in range(blocks) for row in _block(chance, 0))
    rows = text.split("\n")
    for _ in range(chance.choice((0, 0, 1, 3))):
        _damage(rows, chance)
    return "\n".join(rows)


def _words(chance: random.Random, longest: int = 9) -> str:
    return " ".join(chance.choice(_WORDS) for _ in range(chance.randint(1, longest)))


def _block(chance: random.Random, depth: int) -> list[str]:
    kinds = [_paragraph, _heading, _fence, _table, _rule, _indented, _setext, _definition]
    nested = [_points, _numbers, _quote] * 3 if depth < 4 else []
    rows = chance.choice([*kinds, _paragraph, *nested])(chance, depth)
    return [*rows, *[""] * chance.choice((0, 1, 1, 1, 2))]


def _paragraph(chance: random.Random, depth: int) -> list[str]:
    longest = chance.choice((9, 9, 9, 40, 120))
    return [_words(chance, longest) for _ in range(chance.choice((1, 1, 2, 3)))]


def _heading(chance: random.Random, depth: int) -> list[str]:
    return ["#" * chance.randint(1, 6) + " " + _words(chance, 4)]


def _setext(chance: random.Random, depth: int) -> list[str]:
    return [_words(chance, 4), chance.choice(("===", "---", "-"))]


def _rule(chance: random.Random, depth: int) -> list[str]:
    return [chance.choice(("---", "***", "- - -"))]


def _fence(chance: random.Random, depth: int) -> list[str]:
    mark = chance.choice(("```", "```", "~~~", "````"))
    rows = [chance.choice(("x = 1", "", "    return 42", "- no list", "> no quote", "``", "\tx", "'''", "word " * 400))]
    rows = [chance.choice((*rows, "x = 1", "", "def f():")) for _ in range(chance.randint(0, 6))]
    return [mark + chance.choice(("", "python", " sh")), *rows, *([mark] if chance.random() < 0.8 else [])]


def _indented(chance: random.Random, depth: int) -> list[str]:
    return ["    " + chance.choice(("x = 1", "", "  y", _words(chance))) for _ in range(chance.randint(1, 4))]


def _table(chance: random.Random, depth: int) -> list[str]:
    columns = chance.randint(1, 3)
    rows = ["| " + " | ".join(_words(chance, 3) for _ in range(columns)) + " |" for _ in range(chance.randint(1, 6))]
    return [rows[0].replace("a|b", "c"), "|" + "---|" * columns, *rows[1:]]


def _definition(chance: random.Random, depth: int) -> list[str]:
    return ["[named]: http://x" + chance.choice(("", " 'title'", "\n'title'"))] if chance.random() < 0.2 else ["text"]


def _points(chance: random.Random, depth: int) -> list[str]:
    marker = chance.choice("-*+") + " " * chance.choice((1, 1, 1, 2, 3))
    return _items(chance, depth, lambda number: marker)


def _numbers(chance: random.Random, depth: int) -> list[str]:
    start, step, end = chance.choice((1, 1, 8, 99)), chance.choice((1, 1, 0)), chance.choice(".)")
    return _items(chance, depth, lambda number: f"{start + number * step}{end} ")


def _items(chance: random.Random, depth: int, marker: Callable[[int], str]) -> list[str]:
    rows: list[str] = []
    loose = chance.random() < 0.3
    for number in range(chance.randint(1, 4)):
        mark = marker(number)
        inner = [row for _ in range(chance.choice((1, 1, 1, 2, 3))) for row in _block(chance, depth + 1)]
        while inner and not inner[-1] and not loose:
            inner.pop()
        lead = " " * chance.choice((0, 0, 0, 1, 2))
        rows += [lead + mark + (inner[0] if inner else "")]
        rows += [" " * len(lead + mark) + row if row else "" for row in inner[1:]]
    return rows


def _quote(chance: random.Random, depth: int) -> list[str]:
    inner = [row for _ in range(chance.randint(1, 3)) for row in _block(chance, depth + 1)]
    return [chance.choice(("> ", "> ", ">")) + row if row or chance.random() < 0.9 else "" for row in inner]


def _damage(rows: list[str], chance: random.Random) -> None:
    at = chance.randrange(len(rows))
    match chance.randrange(5):
        case 0:
            del rows[at:]
            rows.append("")
        case 1:
            rows[at] = rows[at].lstrip(" >")
        case 2:
            rows[at] = "\t" + rows[at]
        case 3:
            rows[at] = rows[at][: chance.randint(0, 5)]
        case _:
            rows.insert(at, "")
