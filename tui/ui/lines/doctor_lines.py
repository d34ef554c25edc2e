"""What is wrong with the installation, as lines: problems first, each with what to do."""

from __future__ import annotations

from collections.abc import Sequence

from tui.doctor import Check
from tui.ui.lines.span import Line, Span, fit_cells, line, wrap_line

_MARKS = {"ok": ("✓", "ok"), "warning": ("!", "warn"), "problem": ("✗", "bad")}
_ORDER = ("problem", "warning", "ok")
_LABEL = 18


def doctor_lines(checks: Sequence[Check], width: int) -> list[Line]:
    """One line per check, its hint below it."""
    rows: list[Line] = []
    for check in sorted(checks, key=lambda check: _ORDER.index(check.state) if check.state in _ORDER else 0):
        mark, role = _MARKS.get(check.state, ("?", "dim"))
        parts = wrap_line(line(Span(check.summary)), max(10, width - _LABEL - 2))
        head = line(Span(f"{mark} ", role), Span(fit_cells(check.name, _LABEL), "dim"))
        margin = Span(" " * (_LABEL + 2))
        rows += [(*(head if number == 0 else (margin,)), *part) for number, part in enumerate(parts)]
        if check.hint:
            hint = wrap_line(line(Span(f"→ {check.hint}", "accent")), max(10, width - _LABEL - 2), "  ")
            rows += [(margin, *part) for part in hint]
    return rows
