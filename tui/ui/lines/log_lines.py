"""A log as lines: wrapped, errors and warnings in their colour, matches of a search marked."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tui.ui.lines.span import Line, Span, wrap_line

_BAD = re.compile(r"\b(error|failed|failure|traceback|exception|critical|fatal)\b", re.IGNORECASE)
_WARN = re.compile(r"\b(warn|warning|deprecat\w*)\b", re.IGNORECASE)
_TIME = re.compile(r"^(\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*|\[?\d\d:\d\d:\d\d\S*)")


def log_lines(rows: Sequence[str], width: int, wanted: str = "") -> list[Line]:
    """``rows`` of text wrapped to ``width``."""
    found: list[Line] = []
    for row in rows:
        found.extend(wrap_line(_colour(row.expandtabs(4), wanted), width, "  "))
    return found


def _colour(row: str, wanted: str) -> Line:
    role = "bad" if _BAD.search(row) else "warn" if _WARN.search(row) else ""
    stamp = _TIME.match(row)
    head = [Span(stamp[0], "dim")] if stamp else []
    rest = row[len(stamp[0]) :] if stamp else row
    if not wanted:
        return (*head, Span(rest, role))
    spans: list[Span] = []
    lowered, needle, at = rest.lower(), wanted.lower(), 0
    if len(lowered) != len(rest):
        return (*head, Span(rest, role))
    while (hit := lowered.find(needle, at)) >= 0:
        spans += [Span(rest[at:hit], role), Span(rest[hit : hit + len(needle)], "match")]
        at = hit + len(needle)
    return (*head, *spans, Span(rest[at:], role))


def matching_lines(rows: Sequence[Line]) -> list[int]:
    """Numbers of the lines with a match."""
    return [number for number, row in enumerate(rows) if any(span.role == "match" for span in row)]
