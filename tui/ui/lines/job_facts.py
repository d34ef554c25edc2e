"""Everything about one job as lines: where it stands, why, what it was asked, and its story."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from tui.catalog.quality_words import dry_run_lines, quality_lines
from tui.jobs.job import Event, Job, State, state_seconds
from tui.plain_text import clean_line
from tui.quantities import bytes_text, duration_text
from tui.ui.lines.job_lines import loss_line, progress_words, state_mark, state_word
from tui.ui.lines.model_facts import fact, heading
from tui.ui.lines.span import BLANK, Line, Span, bar, fit_cells, line, wrap_line


def clock_text(moment: datetime | None) -> str:
    """A moment in local time."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S") if moment else ""


def value_text(value: Any) -> str:
    """A value of a spec or result as a person reads it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {value_text(item)}" for name, item in value.items() if item not in ("", None, {}, []))
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float | str):
        return clean_line(str(value))
    return clean_line(json.dumps(value, default=str))


def table_lines(values: Mapping[str, Any], width: int) -> list[Line]:
    """The fields that say something."""
    rows: list[Line] = []
    for name, value in values.items():
        if value in ("", None, {}, [], ()):
            continue
        shown = bytes_text(value) if name == "bytes" and isinstance(value, int) else value_text(value)
        rows += fact(clean_line(name.replace("_", " "), 12), shown, width)
    return rows


def file_lines(job: Job, width: int) -> list[Line]:
    """A bar for each file that is being fetched now."""
    now = job.progress.details.get("now") if job.state is State.RUNNING else None
    rows: list[Line] = []
    name_width = max(12, min(48, width - 42))
    for name, done, size in now or ():
        amount = f"  {bytes_text(done)} of {bytes_text(size)}"
        rows.append(
            line(
                Span(fit_cells(clean_line(str(name)), name_width) + " "),
                *bar(done / size, 16, "info"),
                Span(amount, "dim"),
            )
        )
    return [*rows, BLANK] if rows else []


def job_facts(job: Job, history: Sequence[Event], width: int) -> list[Line]:
    """The lines of the job screen."""
    mark = state_mark(job)
    rows = [line(mark, Span(f" {state_word(job)}", "strong"), Span(f"  {progress_words(job.progress)}", "dim")), BLANK]
    if job.failure:
        rows += wrap_line(line(Span("✗ ", "bad"), Span(job.failure.summary, "bad")), width, "  ")
        if job.failure.hint:
            rows += wrap_line(line(Span("→ ", "accent"), Span(job.failure.hint)), width, "  ")
        rows.append(BLANK)
    rows += file_lines(job, width)
    if job.waiting_because:
        waits = "held up" if job.state.is_alive else "waits"
        rows += [*wrap_line(line(Span(f"{waits}: {job.waiting_because.removeprefix('waits ')}", "warn")), width), BLANK]
    took = (job.ended - job.started).total_seconds() if job.started and job.ended else None
    for label, value in (
        ("job", str(job.id)),
        ("does", job.kind.value),
        ("model", job.model),
        ("after", ", ".join(str(number) for number in job.after)),
        ("device", job.device),
        ("asked", clock_text(job.created)),
        ("started", clock_text(job.started)),
        ("ended", clock_text(job.ended)),
        ("took", duration_text(took) if took is not None else ""),
        ("attempt", str(job.attempt) if job.attempt > 1 else ""),
        ("log", str(job.log)),
    ):
        rows += fact(label, value, width)
    needs = job.needs
    wants = [
        f"{bytes_text(needs.memory)} on {needs.device}" if needs.memory else "",
        f"{bytes_text(needs.disk)} of disk" if needs.disk else "",
    ]
    rows += fact("needs", ", ".join(part for part in wants if part), width)
    if job.spec:
        rows += [BLANK, heading("Asked for"), *table_lines(job.spec, width)]
    if job.progress.details.get("losses"):
        rows += [BLANK, line(Span("loss per layer  ", "dim"), *loss_line(job.progress, width - 20))]
    quality = job.result.get("quality")
    if isinstance(quality, dict):
        rows += [BLANK, heading("What it cost")]
        for words in quality_lines(quality):
            rows += wrap_line(line(Span(words, "bad" if words.startswith("!") else "")), width)
    if would := dry_run_lines(job.result):
        rows += [BLANK, heading("What the whole would take")]
        for words in would:
            rows += wrap_line(line(Span(words)), width)
    elif job.result:
        rest = {name: value for name, value in job.result.items() if name != "quality"}
        rows += [BLANK, heading("Result"), *table_lines(rest, width)]
    if history:
        rows += [BLANK, heading("Story")]
        for event, seconds in zip(history, state_seconds(history), strict=True):
            lasted = f" for {duration_text(seconds)}" if seconds is not None else ""
            words = f"{event.state}{lasted}" + (f": {event.note}" if event.note else "")
            rows += fact(clock_text(event.at)[11:], words, width)
    return rows
