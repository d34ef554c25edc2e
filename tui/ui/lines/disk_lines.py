"""Everything on this disk as lines: builds with size, last use and revision, what lies around, what is here twice."""

from __future__ import annotations

from tui.catalog.leftovers import Leftover
from tui.jobs.disk_use import BuildUse, DiskUse
from tui.plain_text import clean_line
from tui.quantities import bytes_text
from tui.ui.lines.model_facts import heading
from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line

KIND_WORDS = {
    "incomplete": "half a download",
    "half-made": "half-made build",
    "revision": "old revision",
    "trash": "in the trash",
}


def prunable(use: DiskUse) -> int:
    """Bytes that pruning gives back."""
    return sum(item.bytes for item in use.leftovers if not item.kept_because)


def in_trash(use: DiskUse) -> int:
    """Bytes that lie in the trash."""
    return sum(item.bytes for item in use.leftovers if item.kind == "trash")


def disk_lines(use: DiskUse, width: int) -> list[Line]:
    """The lines of the disk screen."""
    total = sum(item.build.bytes for item in use.builds)
    rows: list[Line] = [heading(f"Builds: {len(use.builds)}, {bytes_text(total)}")]
    rows += [_build(item, width) for item in sorted(use.builds, key=lambda item: item.build.bytes, reverse=True)]
    rows += [] if use.builds else [line(Span("no weights are on this disk yet", "dim"))]
    rows += [BLANK, heading("Left over")]
    rows += [_leftover(item, width) for item in use.leftovers]
    rows += [] if use.leftovers else [line(Span("nothing lies around", "dim"))]
    rows += [BLANK, heading("Here more than once")]
    for twin in use.duplicates:
        rows.append(line(Span(f"{len(twin.paths)} times {bytes_text(twin.bytes)}: {bytes_text(twin.wasted)} too many")))
        rows += [line(Span(f"  {clean_line(str(path))}", "dim")) for path in twin.paths]
    rows += [] if use.duplicates else [line(Span("no large file is here twice", "dim"))]
    return rows


def _build(item: BuildUse, width: int) -> Line:
    build = item.build
    name = max(16, width - 44)
    used = item.last_used.astimezone().strftime("%Y-%m-%d") if item.last_used else "never"
    which = ", ".join(item.refs) or build.revision[:8]
    return line(
        Span(fit_cells(build.id, name), "bad" if build.problem else ""),
        Span(fit_cells(bytes_text(build.bytes), 10, right=True)),
        Span(f"  used {used}  ", "dim"),
        Span(fit_cells(which, 12), "dim"),
    )


def _leftover(item: Leftover, width: int) -> Line:
    name = max(12, min(40, width - 60))
    fate = Span(item.kept_because, "dim") if item.kept_because else Span("may go", "warn")
    return line(
        Span(fit_cells(KIND_WORDS.get(item.kind, item.kind), 17), "dim"),
        Span(fit_cells(item.name, name)),
        Span(fit_cells(bytes_text(item.bytes), 10, right=True) + "  "),
        fate,
    )
