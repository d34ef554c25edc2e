"""One reading as a line: a label, a bar or a short history as blocks, and the value at the right edge."""

from __future__ import annotations

from collections.abc import Sequence

from tui.quantities import bytes_text
from tui.ui.lines.span import HEAT_ROLE, Line, Span, bar, fit_cells, line, spark_line

LABEL = 5
VALUE = 17


def pair_text(used: float, total: float) -> str:
    """Two sizes in one unit: "12.4 / 79.6 GB"."""
    whole = bytes_text(total)
    number, _, unit = whole.partition(" ")
    for index, name in enumerate(("B", "kB", "MB", "GB", "TB")):
        if name == unit:
            value = used / 1000**index
            digits = len(number.partition(".")[2])
            return f"{value:.{digits}f} / {whole}"
    return f"{bytes_text(used)} / {whole}"


def meter(label: str, fraction: float | None, value: str, width: int, role: str = "") -> Line:
    """One reading as a bar; no bar where the share is not known."""
    room = meter_width(width)
    shown = bar(fraction, room, role or HEAT_ROLE) if fraction is not None else (Span(" " * room),)
    return line(Span(fit_cells(label, LABEL), "dim"), *shown, Span(" "), Span(fit_cells(value, VALUE, right=True)))


def history_meter(label: str, history: Sequence[float | None], top: float, value: str, width: int) -> Line:
    """One reading as its history up to ``top``."""
    room = meter_width(width)
    return line(
        Span(fit_cells(label, LABEL), "dim"),
        *spark_line(history, room, top, heat=True),
        Span(" "),
        Span(fit_cells(value, VALUE, right=True)),
    )


def meter_width(width: int) -> int:
    """Cells that a bar or a history has in a line of ``width`` cells."""
    return max(4, width - LABEL - VALUE - 1)
