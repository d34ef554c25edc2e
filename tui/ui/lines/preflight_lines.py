"""What a plan takes, as lines, before anything starts."""

from __future__ import annotations

from tui.jobs.preflight import Preflight
from tui.quantities import bytes_text, duration_text
from tui.ui.lines.span import Line, Span, fit_cells, line, wrap_line

_LABEL = 16


def preflight_lines(found: Preflight, width: int) -> list[Line]:
    """Bytes to fetch, disk, memory and size of the result; then every reason against the plan."""
    rows: list[Line] = []

    def row(label: str, value: str, role: str = "") -> None:
        rows.append(line(Span(" "), Span(fit_cells(label, _LABEL), "dim"), Span(value, role)))

    files = f" in {found.files} files" if found.files else ""
    row("to download", "nothing, it is here" if found.download == 0 else f"{bytes_text(found.download)}{files}")
    enough = found.disk <= found.disk_free
    row("disk", f"{bytes_text(found.disk)} of {bytes_text(found.disk_free)} free", "" if enough else "bad")
    if found.memory is not None:
        free = found.memory_free
        where = f" on {found.device}" if found.device else ""
        role = "" if free is None or found.memory <= free else "warn"
        row("memory", f"{bytes_text(found.memory)} of {bytes_text(free)} free{where}", role)
    if found.result_bytes is not None:
        row("result", f"about {bytes_text(found.result_bytes)} on disk")
    if found.job_memory:
        free = found.memory_free
        role = "" if free is None or found.job_memory <= free else "warn"
        took = f", about {duration_text(found.seconds)}" if found.seconds is not None else ""
        row("quantizing", f"{bytes_text(found.job_memory)} at its peak{took}", role)
    for problem in found.problems:
        rows += [
            line(Span(" "), *part) for part in wrap_line(line(Span("✗ ", "bad"), Span(problem, "bad")), width - 2, "  ")
        ]
    for note in found.notes:
        rows += [
            line(Span(" "), *part) for part in wrap_line(line(Span("· ", "dim"), Span(note, "dim")), width - 2, "  ")
        ]
    return rows
