"""What the top line of a wide screen says: who we are, what runs, what is loaded, what failed."""

from __future__ import annotations

from collections.abc import Sequence

from tui.jobs.job import Job, State
from tui.quantities import duration_text
from tui.ui.lines.job_lines import STATE_MARKS, what_line
from tui.ui.lines.span import Line, Span, line, width_of

BRAND: Line = (Span("▐█▌ ", "accent"), Span("Heft", "title"), Span("  "))
TAGLINE: Line = (Span("find it, weigh it, run it", "dim"),)


def status_line(jobs: Sequence[Job], width: int) -> Line:
    """The brand, then as many of the jobs that live, and of those that failed, as there is room for."""
    found: list[Span] = list(BRAND)
    parts = [part for job in jobs if (part := _part(job))]
    if not parts:
        return (*BRAND, *TAGLINE)
    for index, part in enumerate(parts):
        more = len(parts) - index
        if width_of(found) + width_of(part) + 8 > width:
            found.append(Span(f"+{more}", "dim"))
            break
        found.extend(part)
        found.append(Span("   "))
    return tuple(found)


def _part(job: Job) -> Line:
    glyph, role = STATE_MARKS[job.state]
    name = what_line(job)
    if job.state is State.RUNNING:
        fraction, left = job.progress.fraction, job.progress.eta
        tail = f" {fraction:.0%}" if fraction is not None else ""
        tail += f" {duration_text(left)} left" if left is not None else ""
        return line(Span(f"{glyph} ", role), Span(name), Span(tail, "dim"))
    if job.state is State.READY:
        return line(Span(f"{glyph} ", role), Span(name))
    if job.state is State.INTERRUPTED:
        return line(Span(f"{glyph} {name} interrupted", role))
    return ()


def place_line(host: str, hidden: Sequence[tuple[int, str]], *, ssh: bool) -> Line:
    """The right end: panes that are hidden, the machine, and whether it is far away."""
    spans: list[Span] = []
    for number, name in hidden:
        spans += [Span(f"{number}", "key"), Span(f" {name} hidden  ", "dim")]
    spans.append(Span(host, "dim"))
    if ssh:
        spans += [Span(" "), Span(" ssh ", "chip")]
    return tuple(spans)
