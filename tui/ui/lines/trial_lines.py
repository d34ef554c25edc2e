"""A trial as it reads on screen: columns of answers with their heads, what differs in them, and the table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum

from tui.compare.divergence import bits_of
from tui.compare.plan import cost_text
from tui.compare.published import HubResults, Published
from tui.compare.report import rate_text, seconds_text
from tui.compare.trial import Attempt, AttemptState, Contestant, Standing
from tui.plain_text import clean_line
from tui.quantities import bytes_text, count_text
from tui.ui.lines.span import BLANK, Line, Span, cut_line, fit_cells, line, pad_line, wrap_line

LEAST_COLUMN = 30
"""Cells below which a column is no column: another is shown instead."""

GAP = " │ "
HEAD_LINES = 5
_DIFF_LIMIT = 4_000
"""Words of an answer that are held against another; longer ones differ from there on."""

_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_STATES: dict[AttemptState, tuple[str, str]] = {
    AttemptState.STREAMING: ("▸ answers", "info"),
    AttemptState.DONE: ("✓", "ok"),
    AttemptState.FAILED: ("✗ failed", "bad"),
    AttemptState.LOST: ("! cut off", "warn"),
    AttemptState.HELD: ("‖ spend cap", "warn"),
}


class Diff(StrEnum):
    """How answers are held against the chosen column."""

    OFF = "off"
    WORDS = "words"
    LADDER = "ladder"
    """From the first token that differs from the build with the most bits."""


@dataclass(frozen=True, slots=True)
class Column:
    """One contestant at the place that is seen."""

    contestant: Contestant
    attempt: Attempt | None
    standing: Standing
    chosen: bool = False


def columns_at(width: int, columns: int) -> tuple[int, int]:
    """How many columns are seen side by side in ``width`` cells, and the cells of each."""
    gap = len(GAP)
    shown = max(1, min(columns, (width + gap) // (LEAST_COLUMN + gap)))
    return shown, (width - gap * (shown - 1)) // shown


def short_names(names: Sequence[str], width: int) -> list[str]:
    """Names in at most ``width`` cells; those that would read the same are cut in their middle: builds of one model
    differ at the end."""
    plain = [clean_line(name) for name in names]
    cut = [fit_cells(name, width).rstrip() for name in plain]
    tail = (width - 1) * 2 // 3
    return [
        short if cut.count(short) == 1 or short == name else f"{name[: width - 1 - tail]}…{name[-tail:]}"
        for name, short in zip(plain, cut, strict=True)
    ]


def tabs_line(columns: Sequence[Column], width: int) -> Line:
    """The switcher where not all columns are seen: each contestant with the mark of its answer."""
    room = max(6, (width - 2 * len(columns)) // max(1, len(columns)) - 3)
    spans: list[Span] = []
    names = short_names([column.contestant.name for column in columns], room)
    for column, name in zip(columns, names, strict=True):
        mark, _ = state_of(column)
        spans += [Span(f" {mark[:1]} {name} ", "chip" if column.chosen else "dim"), Span(" ")]
    return cut_line(spans, width)


def state_of(column: Column) -> tuple[str, str]:
    """Where a contestant stands, in words, and the role of it."""
    if column.attempt is not None and column.attempt.state is not AttemptState.LOST:
        return _STATES[column.attempt.state]
    if column.standing.problem:
        return "✗ out", "bad"
    if column.standing.note:
        return f"○ {clean_line(column.standing.note, 200)}", "dim"
    return _STATES[AttemptState.LOST] if column.attempt else ("○ waits", "dim")


def head_lines(column: Column, width: int) -> list[Line]:
    """Five lines above an answer: who, where it stands, times, tokens and cost, quality."""
    attempt, standing = column.attempt, column.standing
    name = clean_line(column.contestant.name)
    bits = bits_of(column.contestant)
    tail = f" {bits}-bit" if bits and column.contestant.is_local else ""
    mark, role = state_of(column)
    if len(name) + len(tail) + 1 > width:  # builds of one model differ at the end of the line: the bits stay
        name = fit_cells(name, max(1, width - 1 - len(tail))).rstrip()
    who = line(Span("▌" if column.chosen else " ", "accent"), Span(name, "strong"), Span(tail, "dim"))
    rows: list[Line] = [
        cut_line(who, width),
        cut_line(line(Span(f" {mark}", role), Span(_reason(attempt), "dim")), width),
    ]
    if attempt is None or attempt.state is AttemptState.HELD:
        return [*rows, *([BLANK] * (HEAD_LINES - len(rows)))]
    load = f" · load {seconds_text(standing.load_seconds)}" if standing.load_seconds else ""
    rate = f" · {rate_text(attempt.decode_rate)} t/s" if attempt.decode_rate else ""
    first = f"first {seconds_text(attempt.time_to_first_token)}"
    total = f" · all {seconds_text(attempt.seconds)}" if attempt.seconds else ""
    rows.append(cut_line(line(Span(f" {first}{rate}{total}{load}", "dim")), width))
    mark = "*" if attempt.counted else ""
    thinking = f" ({count_text(attempt.thinking_tokens)} thinking)" if attempt.thinking_tokens else ""
    memory = f" · {bytes_text(standing.peak_memory)}" if standing.peak_memory else ""
    tokens = f"{count_text(attempt.prompt_tokens)} → {count_text(attempt.completion_tokens)}{mark} tokens{thinking}"
    rows.append(cut_line(line(Span(f" {tokens} · {cost_text(attempt.cost)}{memory}", "dim")), width))
    rows.append(cut_line((Span(" "), *_worth(attempt)), width))
    return rows


def _reason(attempt: Attempt | None) -> str:
    if attempt is None or attempt.is_answer or attempt.state is AttemptState.STREAMING:
        waited = attempt.waited if attempt else 0.0
        reason = f" {attempt.finish_reason}" if attempt and attempt.finish_reason not in ("", "stop") else ""
        return reason + (f" · waited {seconds_text(waited)}" if waited >= 0.5 else "")
    return f" {clean_line(attempt.problem, 300)}" if attempt.problem else ""


def _worth(attempt: Attempt) -> list[Span]:
    spans: list[Span] = []
    quality = attempt.quality
    for name in ("exact", "contains", "regex", "json", "schema"):
        if name in quality:
            good = quality[name] == 1.0
            spans += [Span(f"{'✓' if good else '✗'} {name} ", "ok" if good else "bad")]
    for name, words in (("f1", "F1"), ("rouge_l", "ROUGE-L"), ("similarity", "like")):
        if name in quality:
            spans.append(Span(f"{words} {quality[name]:.2f} ", "dim"))
    if quality.get("refusal"):
        spans.append(Span("refuses ", "warn"))
    parted = quality.get("divergence")
    if parted:
        same = parted.get("token") is None
        words = (
            f"same as {clean_line(str(parted.get('against', '')), 40)}"
            if same
            else f"differs at {parted['unit']} {parted['token'] + 1} of {parted['tokens']}"
        )
        spans.append(Span(words, "ok" if same else "warn"))
    elif "words" in quality:
        spans.append(Span(f"{quality['words']} words", "faint"))
    return spans


def answer_lines(
    column: Column, width: int, *, wrapped: bool = True, base: str | None = None, diff: Diff = Diff.OFF
) -> list[Line]:
    """The text of an answer in ``width`` cells; ``base`` is the text it is held against."""
    attempt = column.attempt
    if attempt is None:
        words = column.standing.problem or column.standing.note
        return [*wrap_line(line(Span(clean_line(words), "bad" if column.standing.problem else "dim")), width)]
    rows: list[Line] = []
    if attempt.thinking:
        for text in attempt.thinking.strip().split("\n"):
            rows += _fit(line(Span(text.expandtabs(4), "faint")), width, wrapped)
        rows.append(BLANK)
    spans = marked_spans(attempt.text, base, column, diff) if base is not None else [Span(attempt.text)]
    for row in lines_of(spans):
        rows += _fit(row, width, wrapped)
    if attempt.problem and not attempt.is_answer:
        rows += [BLANK, *wrap_line(line(Span(f"✗ {clean_line(attempt.problem, 300)}", "bad")), width)]
        if attempt.hint:
            rows += wrap_line(line(Span(clean_line(attempt.hint, 300), "dim")), width)
    return rows


def _fit(row: Line, width: int, wrapped: bool) -> list[Line]:
    return wrap_line(row, width) if wrapped else [cut_line(row, width)]


def marked_spans(text: str, base: str, column: Column, diff: Diff) -> list[Span]:
    """``text`` with what differs from ``base`` marked: word by word, or all from the first token on."""
    if diff is Diff.LADDER:
        parted = column.attempt.quality.get("divergence") if column.attempt else None
        at = parted["character"] if parted else _first_difference(text, base)
        if at is None:
            return [Span(text)]
        token = _WORDS.match(text, at)
        end = max(at + 1, token.end() if token and not text[at].isspace() else _word_end(text, at))
        return [Span(text[:at]), Span(text[at:end] or "⏹", "match"), Span(text[end:], "warn")]
    words, others = _WORDS.findall(text), _WORDS.findall(base)
    head, rest = words[:_DIFF_LIMIT], "".join(words[_DIFF_LIMIT:])
    spans: list[Span] = []
    matcher = SequenceMatcher(None, head, others[:_DIFF_LIMIT], autojunk=False)
    for tag, start, end, _, _ in matcher.get_opcodes():
        piece = "".join(head[start:end])
        if piece:
            spans.append(Span(piece, "" if tag == "equal" else "match"))
    return [*spans, Span(rest, "warn")] if rest else spans


def _word_end(text: str, at: int) -> int:
    found = re.compile(r"\s*\S+").match(text, at)
    return found.end() if found else len(text)


def _first_difference(text: str, base: str) -> int | None:
    if text == base:
        return None
    shared = min(len(text), len(base))
    return next((index for index in range(shared) if text[index] != base[index]), shared)


def lines_of(spans: Sequence[Span]) -> list[Line]:
    """Spans that hold newlines as lines that do not."""
    rows: list[list[Span]] = [[]]
    for span in spans:
        for number, part in enumerate(span.text.expandtabs(4).split("\n")):
            if number:
                rows.append([])
            if part:
                rows[-1].append(Span(part, span.role))
    return [tuple(row) for row in rows]


def side_by_side(columns: Sequence[Sequence[Line]], width: int) -> list[Line]:
    """Columns of lines as one text; each line is padded to ``width`` cells of its column."""
    rows: list[Line] = []
    for number in range(max((len(column) for column in columns), default=0)):
        spans: list[Span] = []
        for index, column in enumerate(columns):
            if index:
                spans.append(Span(GAP, "faint"))
            spans += pad_line(column[number] if number < len(column) else BLANK, width)
        rows.append(tuple(spans))
    return rows


def published_lines(results: Sequence[Published], width: int) -> list[Line]:
    """What the model's card says it scored; empty when it says nothing."""
    if not results:
        return []
    head = line(Span("Published in its card", "title"), Span("  not measured here", "warn"))
    return [BLANK, cut_line(head, width), *_result_lines(results, width)]


def hub_results_lines(found: HubResults | None, width: int) -> list[Line]:
    """What the hub says the model scored; None: it is being asked."""
    when = f"  not measured here, asked {found.asked}" if found is not None and found.results else ""
    head = line(Span("Published at the hub", "title"), Span(when, "warn"))
    rows: list[Line] = [BLANK, cut_line(head, width)]
    if found is None:
        return [*rows, line(Span("asking the hub", "dim"))]
    if found.note:
        rows += wrap_line((Span(clean_line(found.note, 400), "dim"),), width, "")
    return [*rows, *_result_lines(found.results, width)]


def _result_lines(results: Sequence[Published], width: int) -> list[Line]:
    rows: list[Line] = []
    for result in results:
        more = "  ".join(part for part in (result.metric, result.source, result.date) if part)
        row = line(Span(f"{result.value:>8}  "), f"{result.dataset}  ", Span(more, "dim"))
        rows.append(cut_line(row, width))
    return rows


def facts_lines(circumstances: Mapping[str, object], width: int) -> list[Line]:
    """What an answer ran on, a fact a line."""
    rows: list[Line] = []
    for name, value in circumstances.items():
        label = Span(fit_cells(name.replace("_", " "), 18), "dim")
        text = ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)
        rows += wrap_line((label, Span(clean_line(text, 400))), width, " " * 18)
    return rows
