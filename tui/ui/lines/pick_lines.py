"""The answer of "pick for me" as lines: three models with what speaks for and against them, and who is out and why."""

from __future__ import annotations

from collections import Counter

from tui.pick.decision import Pick, Picked
from tui.quantities import count_text
from tui.ui.lines.model_lines import precision_word
from tui.ui.lines.span import BLANK, Line, Span, line, spread, wrap_line

_MOST_REASONS = 4


def pick_lines(picked: Picked, width: int, chosen: int = 0) -> list[Line]:
    """The whole answer; the model at ``chosen`` is the one that keys work on."""
    rows: list[Line] = []
    for warning in picked.warnings:
        rows += wrap_line(line(Span("! ", "warn"), Span(warning, "warn")), width, "  ")
    if rows:
        rows.append(BLANK)
    for number, best in enumerate(picked.picks):
        rows += _best(number, best, width, number == chosen)
    if picked.others:
        words = f"also possible: {', '.join(picked.others[:5])}"
        rows += wrap_line(line(Span(words, "dim")), width, "  ")
    rows += rejected_lines(picked, width)
    return rows


def rejected_lines(picked: Picked, width: int) -> list[Line]:
    """How many rows each question took out, with the reason of one of them."""
    counts = Counter(row.filter for row in picked.rejected if row.filter not in ("task", "status"))
    rows: list[Line] = []
    for name, number in counts.items():
        example = next(row for row in picked.rejected if row.filter == name)
        words = f"{name} took out {number}, for example {example.id}: {example.reason}"
        rows += wrap_line(line(Span("− ", "faint"), Span(words, "faint")), width, "  ")
    return rows


def every_rejected_line(picked: Picked, width: int) -> list[Line]:
    """Every row that is out, with the question that took it out and why."""
    rows: list[Line] = [line(Span(f"{len(picked.rejected)} models are out; r shows the picks again", "title")), BLANK]
    for out in picked.rejected:
        words = line(Span(f"{out.id}  ", "strong"), Span(f"{out.filter}: ", "accent"), Span(out.reason, "dim"))
        rows += wrap_line(words, width, "    ")
    return rows


def _best(number: int, best: Pick, width: int, chosen: bool) -> list[Line]:
    model = best.model
    facts = [count_text(model.params) if model.params else "", precision_word(best.precision)]
    if best.rate is not None:
        facts.append(f"~{best.rate:.0f} tok/s" if best.rate >= 10 else f"~{best.rate:.1f} tok/s")
    if model.is_api and best.price is not None:
        facts.append(f"${best.price:.2f} per 1,000")
    head = line(Span("▌" if chosen else " ", "accent"), Span(f"{number + 1} ", "key"), Span(model.name, "strong"))
    tail = line(Span(" · ".join(fact for fact in facts if fact), "dim"))
    rows = [spread(head, tail, width)]
    for reason in best.reasons[:_MOST_REASONS]:
        rows += wrap_line(line(Span("   + ", "ok"), Span(reason)), width, "     ")
    for warning in best.warnings:
        rows += wrap_line(line(Span("   ! ", "warn"), Span(warning, "dim")), width, "     ")
    return [*rows, BLANK]
