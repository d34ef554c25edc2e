"""How jobs read on screen: glyphs of states, the rows of the queue with their chains, progress in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tui.jobs.job import Job, Kind, Progress, State, Want
from tui.quantities import bytes_text, duration_text
from tui.ui import clock
from tui.ui.lines.meters import pair_text
from tui.ui.lines.span import Line, Span, bar, cut_line, line, sparkline, spread, width_of

STATE_MARKS: dict[State, tuple[str, str]] = {
    State.QUEUED: ("○", "dim"),
    State.RUNNING: ("▸", "info"),
    State.READY: ("◆", "ok"),
    State.PAUSED: ("‖", "warn"),
    State.DONE: ("✓", "ok"),
    State.FAILED: ("✗", "bad"),
    State.CANCELLED: ("–", "dim"),
    State.INTERRUPTED: ("!", "warn"),
}

STATE_WORDS: dict[State, str] = {State.READY: "answers", State.QUEUED: "waits"}


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job as a row of the queue; ``depth`` is how far it stands behind the first job of its chain."""

    job: Job
    depth: int = 0


def state_mark(job: Job) -> Span:
    """Glyph of the state."""
    glyph, role = STATE_MARKS[job.state]
    return Span(glyph, role)


def state_word(job: Job) -> str:
    """The state as one word, or what was asked of it."""
    if job.want is Want.CANCEL:
        return "stopping"
    if job.want is Want.PAUSE:
        return "pausing"
    return STATE_WORDS.get(job.state, job.state.value)


def queue_rows(jobs: Sequence[Job]) -> list[JobRow]:
    """Jobs as the queue shows them: chains stay together, what is alive or waits comes before what is over.

    A chain counts as alive while one of its jobs is. Inside a group the order of the queue holds.
    """
    chains: dict[str, list[Job]] = {}
    for job in sorted(jobs, key=lambda job: (-job.priority, job.id)):
        chains.setdefault(job.plan or f"job {job.id}", []).append(job)
    groups = list(chains.values())
    for group in groups:
        group.sort(key=lambda job: job.id)

    def rank(group: list[Job]) -> tuple[int, int]:
        if any(job.state.is_alive for job in group):
            return 0, group[0].id
        if not all(job.state.is_over for job in group):
            return 1, 0
        return 2, -group[0].id

    rows: list[JobRow] = []
    for group in sorted(groups, key=rank):
        rows.extend(JobRow(job, depth) for depth, job in enumerate(group))
    return rows


def job_height(row: JobRow) -> int:
    """Lines of a row: one when nothing more is to be said."""
    job = row.job
    return 1 if job.state in (State.DONE, State.CANCELLED) else 2


def what_line(job: Job) -> str:
    """What a job works on, in words: "Qwen3 0.6B to gptq-4bit-g128"."""
    if job.kind is Kind.QUANTIZE:
        recipe = job.spec.get("recipe") or {}
        bits, group = recipe.get("bits"), recipe.get("group_size")
        if bits:
            method = recipe.get("method") or "gptq"
            what = f"{bits}-bit" + ("" if method == "gptq" else f" {method.upper()}")
            what += f" g{group}" if group and group > 0 else ""
            return f"{job.model} → {what}" + (", one layer" if job.spec.get("dry_run") else "")
    return job.model


def job_lines(row: JobRow, width: int, now: datetime | None = None) -> list[Line]:
    """The lines of one row of the queue."""
    job = row.job
    indent = "  " * max(0, row.depth - 1) + ("└ " if row.depth else "")
    quiet = job.state.is_over and job.state is not State.FAILED
    head = line(
        Span(indent, "faint"),
        state_mark(job),
        Span(" "),
        Span(f"{job.kind.value:<8} ", "dim"),
        Span(what_line(job), "dim" if quiet else ""),
    )
    first = spread(head, (Span(_tail(job, now, width - width_of(head) - 1), "dim"),), width)
    if job_height(row) == 1:
        return [first]
    margin = " " * (len(indent) + 2)
    room = max(4, width - len(margin))
    return [first, (Span(margin), *cut_line(_second(job, room), room))]


def _tail(job: Job, now: datetime | None, room: int) -> str:
    """The end of the first line; what was made is told before what it took, where there is not room for both."""
    if job.state is State.DONE and job.result.get("dry_run"):
        return f"would take {duration_text(job.result['predicted_seconds'])}"
    if job.state is State.DONE:
        size = job.result.get("bytes")
        took = _seconds(job.started, job.ended)
        lost = _lost(job)
        parts = [part for part in (lost, bytes_text(size) if size else "", duration_text(took) if took else "") if part]
        while len(parts) > 1 and len(" · ".join(parts)) > room:
            parts.pop()
        told = " · ".join(parts)
        return told if len(told) <= room or told != lost else told.replace(" perplexity", "")
    if job.state.is_over and (took := _seconds(job.started, job.ended)):
        return f"{state_word(job)} · {duration_text(took)}"
    if job.state is State.RUNNING and job.progress.fraction is not None:
        return f"{job.progress.fraction:.0%}"
    if job.state is State.READY:
        return duration_text(_seconds(job.started, now or clock.now()))
    return state_word(job)


def _lost(job: Job) -> str:
    """What a finished quantize job cost: "+2.1% perplexity", with a mark past the limit."""
    quality = job.result.get("quality")
    if not isinstance(quality, dict) or not quality.get("perplexity_before"):
        return ""
    after = quality.get("perplexity_after")
    if not isinstance(after, int | float):
        return ""
    mark = " !" if job.result.get("flagged") or quality.get("flagged") else ""
    loss = after / quality["perplexity_before"] - 1
    return f"{loss:+.1%} perplexity{mark}" if abs(loss) >= 0.0005 else f"same perplexity{mark}"


def loss_line(progress: Progress, width: int) -> Line:
    """The losses of the layers so far as a line of blocks, on a logarithmic scale; empty without losses."""
    losses = [value for value in progress.details.get("losses") or () if isinstance(value, int | float) and value > 0]
    if len(losses) < 2 or width < 2:
        return ()
    low, high = math.log(min(losses)), math.log(max(losses))
    heights = [0.5 if high == low else (math.log(value) - low) / (high - low) for value in losses]
    return (Span(sparkline(heights[-width:], min(width, len(heights)), 1.001), "info"),)


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return max(0.0, (end - start).total_seconds()) if start and end else None


def _second(job: Job, width: int) -> Line:
    if job.want is not None:
        return line(Span(state_word(job) + " …", "warn"))
    if job.state is State.FAILED and job.failure:
        return line(Span(job.failure.summary, "bad"))
    if job.state is State.INTERRUPTED:
        return line(Span(job.failure.summary if job.failure else "the process went away; p goes on", "warn"))
    if job.state is State.QUEUED:
        return line(Span(job.waiting_because or "waits for its turn", "dim"))
    if job.state.is_alive and job.waiting_because:
        return line(Span(job.waiting_because, "warn"))
    if job.state is State.READY:
        where = where_text(job.result) or job.device
        return line(
            Span("answers", "ok"), Span(f" on {where}" if where else "", "dim"), Span(_ready_note(job.result), "dim")
        )
    if job.state is State.PAUSED:
        words = progress_words(job.progress)
        return line(Span("paused", "warn"), Span(f" · {words}" if words else "", "dim"))
    room = max(8, min(24, width // 3))
    losses = loss_line(job.progress, min(24, width - room - 40))
    losses = (Span(" loss ", "faint"), *losses) if losses else ()
    words = _fitting(job.progress, width - room - 2 - width_of(losses))
    return (*bar(job.progress.fraction, room, "info"), Span("  "), Span(words, "dim"), *losses)


def _fitting(progress: Progress, width: int) -> str:
    """As much of the words as there is room for; time left matters most, then the rate, then the amount."""
    parts = progress_parts(progress)
    for dropped in ("", "memory", "message", "amount", "rate"):
        parts.pop(dropped, "")
        words = " · ".join(parts.values())
        if len(words) <= width:
            return words
    return words


def where_text(result: Mapping[str, object]) -> str:
    """Where a host computes, and with what where that is not our own loop: "cpu, llama.cpp Q4_0"."""
    device = str(result.get("device") or "")
    if result.get("engine") != "llama.cpp":
        return device
    return f"{device}, llama.cpp {result.get('dtype') or ''}".rstrip()


def _ready_note(result: Mapping[str, object]) -> str:
    context = result.get("context")
    return f" · context {context:,}" if isinstance(context, int) else ""


def progress_parts(progress: Progress) -> dict[str, str]:
    """Amount, rate, time left and the present step, each in words."""
    parts: dict[str, str] = {}
    if progress.unit == "B":
        if progress.total:
            parts["amount"] = pair_text(progress.done, progress.total)
        elif progress.done:
            parts["amount"] = bytes_text(progress.done)
        if progress.rate is not None:
            parts["rate"] = f"{bytes_text(progress.rate)}/s"
    elif progress.total:
        parts["amount"] = f"{progress.done:g} of {progress.total:g} {progress.unit}".rstrip()
    if progress.eta is not None:
        parts["eta"] = f"{duration_text(progress.eta)} left"
    if progress.message:
        parts["message"] = progress.message
    memory = progress.details.get("memory")
    if isinstance(memory, int) and memory:
        parts["memory"] = bytes_text(memory)
    return parts


def progress_words(progress: Progress) -> str:
    """All of it: "412 / 988 MB · 38.0 MB/s · 15s left · model.safetensors"."""
    return " · ".join(progress_parts(progress).values())


def queue_counts(jobs: Sequence[Job]) -> str:
    """Live counts for a title: "2 running · 1 waits · 1 failed"."""
    running = sum(job.state is State.RUNNING for job in jobs)
    ready = sum(job.state is State.READY for job in jobs)
    waiting = sum(job.state in (State.QUEUED, State.PAUSED) for job in jobs)
    failed = sum(job.state in (State.FAILED, State.INTERRUPTED) for job in jobs)
    parts = [f"▸{running}" if running else "", f"◆{ready}" if ready else "", f"○{waiting}" if waiting else ""]
    parts.append(f"✗{failed}" if failed else "")
    return " ".join(part for part in parts if part)
