"""What stands in a pane that has nothing to show because something failed: what happened, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.ui.lines.span import BLANK, Line, Span, line, wrap_line

if TYPE_CHECKING:
    from tui.errors import HeftError


def problem_lines(error: HeftError, width: int, more: Sequence[Line] = ()) -> list[Line]:
    """The words of ``error`` and the lines of ``more``, wrapped to ``width`` cells."""
    room = max(20, width - 4)
    rows: list[Line] = [BLANK, *wrap_line(line(Span("✗ ", "bad"), Span(error.summary, "bad")), room, "  ")]
    if error.hint:
        rows += [BLANK, *wrap_line(line(Span(error.hint)), room)]
    for part in more:
        rows += [BLANK, *wrap_line(part, room)]
    return [(Span("  "), *row) for row in rows]
