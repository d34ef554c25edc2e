"""Facts of several models side by side: one column for each model, one row for each fact, differences standing out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui.quantities import bytes_text, count_text
from tui.ui.lines.model_lines import ModelRow, context_text, fit_mark, license_span, precision_word, size_text
from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line

LABEL = 12
LEAST_COLUMN = 18
_Fact = Callable[[ModelRow], Span]


def columns_at(width: int, models: int) -> tuple[int, int]:
    """How many models are seen at once, and the cells of each."""
    shown = max(1, min(models, (width - LABEL) // (LEAST_COLUMN + 2)))
    return shown, max(LEAST_COLUMN, (width - LABEL) // shown - 2)


def compare_lines(rows: Sequence[ModelRow], width: int, first: int = 0) -> list[Line]:
    """The grid from the model at ``first`` on."""
    shown, cells = columns_at(width, len(rows))
    first = max(0, min(first, len(rows) - shown))
    seen = rows[first : first + shown]
    head: list[Span] = [Span(fit_cells("", LABEL))]
    for row in seen:
        head.append(Span("  " + fit_cells(row.model.name, cells), "strong"))
    lines: list[Line] = [tuple(head)]
    if len(rows) > shown:
        lines.append(line(Span(f"models {first + 1} to {first + shown} of {len(rows)}, ← → moves", "faint")))
    lines.append(BLANK)
    for label, fact in _FACTS:
        spans = [fact(row) for row in rows]
        if not any(span.text and span.text != "—" for span in spans):
            continue
        same = len({span.text for span in spans}) == 1
        parts = [Span(fit_cells(label, LABEL), "dim")]
        for span in spans[first : first + shown]:
            parts.append(Span("  " + fit_cells(span.text or "—", cells), "dim" if same else span.role))
        lines.append(tuple(parts))
    return lines


def _active(row: ModelRow) -> Span:
    active = row.model.active_params
    return Span(count_text(active) if active and active != row.model.params else "")


def _need(row: ModelRow) -> Span:
    return Span(f"{bytes_text(row.fit.total)} ({precision_word(row.fit.precision)})" if row.fit else "")


def _cache(row: ModelRow) -> Span:
    fit = row.fit
    if fit is None or fit.kv_cache is None or not fit.context:
        return Span("")
    return Span(bytes_text(fit.kv_cache * 1024 / fit.context))


def _price(row: ModelRow) -> Span:
    api = row.model.api
    if api is None or api.price_in is None or api.price_out is None:
        return Span("")
    return Span(f"${api.price_in:g} / ${api.price_out:g}")


_FACTS: tuple[tuple[str, _Fact], ...] = (
    ("fits", lambda row: fit_mark(row.fit, row.model)),
    ("needs", _need),
    ("here", lambda row: Span("✓" if row.installed else "no", "ok" if row.installed else "")),
    ("parameters", lambda row: Span(count_text(row.model.params))),
    ("active", _active),
    ("download", lambda row: Span(size_text(row.model))),
    ("context", lambda row: Span(context_text(row.model.context_length))),
    ("cache per 1k", _cache),
    ("licence", lambda row: Span(row.model.license, license_span(row.model).role)),
    (
        "commercial",
        lambda row: Span(row.model.commercial_use or "", "warn" if row.model.commercial_use == "no" else ""),
    ),
    ("gated", lambda row: Span("yes" if row.model.gated else "no")),
    ("kind", lambda row: Span(row.model.kind)),
    ("maker", lambda row: Span(row.model.vendor)),
    ("released", lambda row: Span(row.model.released)),
    ("price in/out", _price),
    ("strengths", lambda row: Span(row.model.strengths)),
    ("limits", lambda row: Span(row.model.limitations)),
)
