"""The table of a trial on screen: the one metric set, as a table where it is wide, a column a contestant where not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tui.compare.metrics import Spread, Summary
from tui.compare.plan import cost_text
from tui.compare.report import chart_lines, rate_text, score_names, score_text, seconds_text, spread_text
from tui.plain_text import clean_line
from tui.quantities import bytes_text, count_text
from tui.ui.lines.span import BLANK, Line, Span, cut_line, fit_cells, line, wrap_line
from tui.ui.lines.trial_lines import short_names


def table_view(summaries: Sequence[Summary], width: int) -> list[Line]:
    """The one metric set: a block for each contestant on narrow screens, a table on wide ones, then charts."""
    rows = _wide_table(summaries, width) if width >= 110 else _narrow_table(summaries, width)
    if any(summary.counted_tokens for summary in summaries):
        rows.append(line(Span("* counted here, because the server reported nothing", "faint")))
    for summary in summaries:
        if summary.problem:
            words = f"✗ {summary.name}: {clean_line(summary.problem, 300)}"
            rows += wrap_line(line(Span(words, "bad")), width, "  ")
    charts: list[Line] = []
    for text in chart_lines(summaries):
        bar, blocks, rest = text.partition("█")
        if not blocks:
            charts.append(line(Span(text, "dim" if text.startswith("  ") else "strong")))
            continue
        full = blocks + rest
        solid = full[: len(full) - len(full.lstrip("█"))]
        charts.append(line(Span(bar), Span(solid, "accent"), Span(full[len(solid) :], "dim")))
    return [*rows, BLANK, *(cut_line(row, width) for row in charts)]


_FIELDS: tuple[tuple[str, Callable[[Summary], str]], ...] = (
    ("answers", lambda item: f"{item.answered}/{item.wanted}" + (f" ✗{item.failed}" if item.failed else "")),
    ("load", lambda item: seconds_text(item.load_seconds)),
    ("first token", lambda item: _median(item.first, seconds_text)),
    ("prompt t/s", lambda item: _median(item.prompt_rate, rate_text)),
    ("decode t/s", lambda item: _median(item.decode_rate, rate_text)),
    ("total", lambda item: _median(item.seconds, seconds_text)),
    ("in", lambda item: count_text(item.prompt_tokens)),
    ("out", lambda item: count_text(item.completion_tokens) + ("*" if item.counted_tokens else "")),
    ("thinking", lambda item: count_text(item.thinking_tokens) if item.thinking_tokens else "—"),
    ("memory", lambda item: bytes_text(item.peak_memory) if item.peak_memory else "—"),
    ("cost", lambda item: cost_text(item.cost)),
    ("per 1,000", lambda item: cost_text(item.per_thousand)),
)


def _median(spread: Spread | None, words: object) -> str:
    return spread_text(spread, words)


def _wide_table(summaries: Sequence[Summary], width: int) -> list[Line]:
    names = score_names(summaries)
    cells = [
        ["", *(name for name, _ in _FIELDS), *(name.replace("_", "-") for name in names)],
        *(
            [
                clean_line(item.name, 34),
                *(show(item) for _, show in _FIELDS),
                *(score_text(name, item) for name in names),
            ]
            for item in summaries
        ),
    ]
    sizes = [max(len(row[index]) for row in cells) for index in range(len(cells[0]))]
    rows = []
    for number, row in enumerate(cells):
        spans = [
            Span(
                fit_cells(cell, size, right=index > 0) + "  ", "dim" if number == 0 else "strong" if index == 0 else ""
            )
            for index, (cell, size) in enumerate(zip(row, sizes, strict=True))
        ]
        rows.append(cut_line(spans, width))
    return rows


def _narrow_table(summaries: Sequence[Summary], width: int) -> list[Line]:
    """One fact a line, one column a contestant, as many columns as there is room for."""
    names = score_names(summaries)
    label = 12
    size = max(9, (width - label) // max(1, len(summaries)) - 1)
    head: list[Span] = [Span(" " * label)]
    heads = short_names([item.name for item in summaries], size)
    head += [Span(fit_cells(name, size, right=True) + " ", "strong") for name in heads]
    rows: list[Line] = [cut_line(head, width)]
    fields = [(name, [show(item) for item in summaries]) for name, show in _FIELDS]
    fields += [(name.replace("_", "-"), [score_text(name, item) for item in summaries]) for name in names]
    for name, values in fields:
        if all(value == "—" for value in values):
            continue
        spans = [Span(fit_cells(name, label), "dim")]
        spans += [Span(fit_cells(value.partition(" (")[0], size, right=True) + " ") for value in values]
        rows.append(cut_line(spans, width))
    return rows
