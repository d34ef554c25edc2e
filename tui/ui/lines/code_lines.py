"""Code as coloured lines, by Pygments: only token classes are used, colours come from the roles of the theme."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tui.ui.lines.span import Line, Span

if TYPE_CHECKING:
    from pygments.lexer import Lexer  # type: ignore[import-untyped]

LONGEST = 40_000
"""Characters of one block that are coloured; longer ones stay plain."""


@lru_cache(1)
def _roles() -> tuple[tuple[Any, str], ...]:
    from pygments.token import Comment, Keyword, Name, Number, Operator, String  # type: ignore[import-untyped]

    return (
        (Comment, "comment"),
        (Keyword, "keyword"),
        (String, "string"),
        (Number, "number"),
        (Name.Function, "name"),
        (Name.Class, "name"),
        (Name.Builtin, "name"),
        (Name.Decorator, "name"),
        (Name.Tag, "keyword"),
        (Name.Attribute, "name"),
        (Operator.Word, "keyword"),
    )


@lru_cache(64)
def lexer_for(language: str) -> Lexer | None:
    """The lexer of a fence's language, or None when there is none of that name."""
    name = language.strip().split()[0].lower() if language.strip() else ""
    if not name:
        return None
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        return get_lexer_by_name(name, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return None


def _role(kind: Any) -> str:
    for base, role in _roles():
        if kind in base:
            return role
    return ""


def code_lines(code: str, language: str) -> list[Line]:
    """``code`` as lines with roles; tabs become four spaces."""
    code = code.expandtabs(4)
    lexer = lexer_for(language) if len(code) <= LONGEST else None
    if lexer is None:
        return [(Span(row),) for row in code.split("\n")]
    rows: list[list[Span]] = [[]]
    for kind, text in lexer.get_tokens(code):
        role = _role(kind)
        for index, part in enumerate(text.split("\n")):
            if index:
                rows.append([])
            if part:
                rows[-1].append(Span(part, role))
    return [tuple(row) for row in rows]
