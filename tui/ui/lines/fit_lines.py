"""Whether a model fits, as lines: every term, every device, how long a text, what one would need, and the job of
making it smaller."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tui.fit.verdict import Fit, Verdict
from tui.quantities import bytes_text
from tui.ui.lines.model_facts import fact, heading
from tui.ui.lines.model_lines import context_text, fit_mark, precision_word, verdict_words
from tui.ui.lines.span import Line, Span, fit_cells, line, wrap_line

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.fit.ladder import Rung
    from tui.fit.needed import Need
    from tui.fit.quantize_fit import QuantizeFit

GLYPHS = {
    Verdict.FITS: Span("●", "ok"),
    Verdict.FITS_EMPTY: Span("◐", "warn"),
    Verdict.DOES_NOT_FIT: Span("○", "bad"),
    Verdict.UNKNOWN: Span("?", "dim"),
}
_LABEL = 10
_RUNG = 6
GIGA = 10**9


@dataclass(frozen=True, slots=True)
class Judged:
    """A model with what was learned of its size: one verdict and one ladder of contexts for each precision, what it
    would need, and whether a 4-bit build can be made here."""

    model: Model
    fits: Sequence[Fit]
    needs: Sequence[Need]
    ladders: Mapping[str, Sequence[Rung]] = field(default_factory=dict)
    quantize: QuantizeFit | None = None


def chosen_fit(fits: Sequence[Fit], precision: str = "") -> Fit | None:
    """The fit of ``precision``; without one the best that fits now, else empty, else the smallest."""
    for wanted in fits:
        if precision and wanted.precision == precision:
            return wanted
    for verdict in (Verdict.FITS, Verdict.FITS_EMPTY):
        for found in fits:
            if found.verdict is verdict:
                return found
    return fits[-1] if fits else None


def fit_lines(fits: Sequence[Fit], width: int) -> list[Line]:
    """One row per precision with every term of its sum, then what would help."""
    if not fits:
        return []
    context = next((fit.context for fit in fits if fit.context), 0)
    rows = [heading("Will it fit?")]
    if context:
        asked = Span(f"  context {context_text(context)}", "strong")
        rows = [line(Span("Will it fit?", "title"), asked, Span("  ← →", "faint"))]
    columns = ("weights", "kv cache", "overhead", "total")
    names = columns if width >= 68 else (columns[0], columns[1], columns[3]) if width >= 56 else ("weights", "total")
    rows.append(line(Span(fit_cells("", 12), "dim"), *(Span(fit_cells(name, 11, right=True), "dim") for name in names)))
    for fit in fits:
        terms = {"weights": fit.weights, "kv cache": fit.kv_cache, "overhead": fit.overhead, "total": fit.total}
        mark = fit_mark(fit)
        spans = [Span(mark.text[:2], mark.role), Span(fit_cells(precision_word(fit.precision) or "as is", _LABEL))]
        spans += [
            Span(fit_cells(bytes_text(terms[name]), 11, right=True), "" if name == "total" else "dim") for name in names
        ]
        spans.append(Span(f"  {verdict_words(fit)}", mark.role))
        rows.append(tuple(spans))
    measured: dict[str, dict[str, None]] = {}
    for fit in fits:
        if fit.measured:
            measured.setdefault(fit.measured.words, {})[precision_word(fit.precision) or "as is"] = None
    for words, precisions in measured.items():
        rows += wrap_line(line(Span(f"  {words} ({', '.join(precisions)})", "ok")), width, "  ")
    told: list[str] = []
    for number, fit in enumerate(fits):
        reasons = (fit.reason,) if number == 0 or fit.verdict is not Verdict.FITS else ()
        told += [text for text in (*reasons, fit.better, *fit.notes) if text and text not in told]
    for text in told[:6]:
        rows += wrap_line(line(Span(f"  {text}", "dim")), width, "  ")
    return rows


def ladder_lines(ladders: Mapping[str, Sequence[Rung]], context: int, width: int) -> list[Line]:
    """How long a text: a row for each precision, a column for each context, the one asked about in brackets."""
    if not ladders:
        return []
    first = next(iter(ladders.values()))
    room = max(1, (width - _LABEL - 2) // _RUNG)
    at = min(range(len(first)), key=lambda index: abs(first[index].context - context))
    start = max(0, min(len(first) - room, at - room // 2))
    shown = range(start, min(len(first), start + room))
    heads = [Span(fit_cells("", _LABEL + 2))]
    for index in shown:
        word = context_text(first[index].context)
        word = f"[{word}]" if index == at else f"{word} "
        heads.append(Span(fit_cells(word, _RUNG, right=True), "accent" if index == at else "dim"))
    rows = [heading("How long a text?"), tuple(heads)]
    for precision, rungs in ladders.items():
        spans = [Span("  " + fit_cells(precision_word(precision) or "as is", _LABEL))]
        for index in shown:
            glyph = GLYPHS[rungs[index].verdict]
            spans.append(Span(fit_cells(glyph.text, _RUNG - 2, right=True) + "  ", glyph.role))
        rows.append(tuple(spans))
    return rows


def device_lines(fit: Fit | None, width: int) -> list[Line]:
    """A verdict for every device, where there is more than one; memory is never added up over them."""
    if fit is None or len(fit.devices) < 2:
        return []
    rows = [heading(f"On each device, in {precision_word(fit.precision) or 'its own precision'}")]
    for device in fit.devices:
        need = f", {bytes_text(device.total)} needed" if device.verdict is not Verdict.UNKNOWN else ""
        words = device.reason.replace(" free", f" free{need}", 1)
        if device.verdict is Verdict.DOES_NOT_FIT:
            words = f"{device.reason}, {bytes_text(device.total)} needed"
        label = Span(fit_cells(device.device.replace("NVIDIA ", ""), min(26, width // 3)))
        rows += wrap_line(line(GLYPHS[device.verdict], Span(" "), label, Span(f" {words}", "dim")), width, "    ")
    return rows


def part_lines(fit: Fit | None, width: int) -> list[Line]:
    """Where the bytes go: every term of the sum."""
    if fit is None or not fit.parts:
        return []
    on = f" on {fit.device}" if fit.device else ""
    title = Span(f"Where it goes, in {precision_word(fit.precision) or 'its own precision'}{on}", "title")
    rows = [line(title, Span("  p: other precision", "faint"))]
    return [*rows, *_sum_lines(fit.parts, fit.total, width)]


def _sum_lines(parts: Sequence[tuple[str, int]], total: int | None, width: int) -> list[Line]:
    rows = []
    for name, size in parts:
        rows.append(
            line(Span(fit_cells(bytes_text(size), 10, right=True)), Span("  " + fit_cells(name, width - 12), "dim"))
        )
    rows.append(line(Span(fit_cells(bytes_text(total), 10, right=True), "strong"), Span("  in all", "dim")))
    return rows


def need_lines(needs: Sequence[Need], width: int) -> list[Line]:
    """What would I need? The smallest card for each precision, and how long a text it has room for."""
    known = [need for need in needs if need.total is not None]
    if not known:
        return []
    rows = [heading("What would I need?")]
    for need in known:
        card = "more than any one card" if need.card is None else f"a {need.card // GIGA} GB card"
        room = f", up to {context_text(need.longest)} of context" if need.longest else ""
        rows += fact(precision_word(need.precision), f"{card}{room}", width)
    return rows


def quantize_lines(job: QuantizeFit | None, width: int) -> list[Line]:
    """What making the 4-bit build takes, which is another question than what loading it takes."""
    if job is None or job.total is None:
        return []
    rows = [heading("To make the 4-bit build here")]
    rows += wrap_line(line(GLYPHS[job.verdict], Span(f" {job.reason}")), width, "  ")
    beside = f", {bytes_text(job.ram)} of RAM beside it" if job.ram else ""
    disk = f"{bytes_text(job.disk)} of disk while it runs, {bytes_text(job.result)} after" if job.disk else ""
    rows += wrap_line(line(Span(f"  {disk}{beside}", "dim")), width, "  ")
    return [*rows, *_sum_lines(job.terms, job.total, width)]
