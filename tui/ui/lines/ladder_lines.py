"""The ladder of a model as lines: a table, then plots."""

from __future__ import annotations

from collections.abc import Sequence

from tui.catalog.ladder import BitRung, ladder_plot
from tui.quantities import bytes_text
from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line

_COLUMNS = (("size", 9), ("perplexity", 11), ("lost", 9), ("KL", 9), ("same first", 11), ("tokens/s", 9), ("memory", 9))


def ladder_lines(rungs: Sequence[BitRung], width: int) -> list[Line]:
    """One row per rung, with the columns that there is room for, then the plots."""
    name = 32 if width >= 100 else 24
    columns = [column for at, column in enumerate(_COLUMNS) if name + sum(w for _, w in _COLUMNS[: at + 1]) <= width]
    head = line(
        Span(fit_cells("bits", name), "dim"),
        *(Span(fit_cells(title, room, right=True), "dim") for title, room in columns),
    )
    rows = [head]
    for rung in rungs:
        label = f"{rung.bits:>2}  {rung.label}" + ("" if rung.here else "  (not here)")
        role = "bad" if rung.flagged else "" if rung.here else "dim"
        cells = dict(_cells(rung))
        spans = [Span(fit_cells(label, name), role or "strong")]
        spans += [Span(fit_cells(cells[title], room, right=True), role) for title, room in columns]
        rows.append(line(*spans))
    if missing := [rung for rung in rungs if not rung.here]:
        words = f"not here yet: {len(missing)} of {len(rungs)}; "
        rows += [
            BLANK,
            line(Span(words, "dim"), Span("enter", "key"), Span(" makes what is missing, one after the other", "dim")),
        ]
    plot = ladder_plot(rungs, min(width, 90))
    return [*rows, BLANK, *(line(Span(text, "info")) for text in plot)] if plot else rows


def _cells(rung: BitRung) -> list[tuple[str, str]]:
    def text(value: float | None, pattern: str) -> str:
        return "—" if value is None else pattern.format(value)

    return [
        ("size", bytes_text(rung.size) if rung.size else "—"),
        ("perplexity", text(rung.perplexity, "{:.4g}")),
        ("lost", text(rung.loss, "{:+.1%}") + ("!" if rung.flagged else "")),
        ("KL", text(rung.kl_divergence, "{:.4f}")),
        ("same first", text(rung.top1_agreement, "{:.1%}")),
        ("tokens/s", text(rung.speed, "{:.1f}")),
        ("memory", bytes_text(rung.memory) if rung.memory else "—"),
    ]
