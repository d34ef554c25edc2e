"""The card that stands in a conversation after a host has died: cause, numbers, and three ways out by one key each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.ui.lines.span import Line, Span, line

if TYPE_CHECKING:
    from tui.jobs.job import Job
    from tui.jobs.remedies import Remedy

REMEDY_KEYS = {"context": "s", "precision": "b", "device": "d"}
"""Which key takes which remedy in the chat pane."""


def host_card(job: Job, numbers: str, found: Sequence[Remedy]) -> tuple[Line, ...]:
    """The lines of the card; what cannot be had here says why."""
    failure = job.failure
    cause = failure.summary if failure else "it ended without a word"
    rows = [line(Span("  ✗ ", "bad"), Span(f"{job.model} does not answer any more: ", "strong"), Span(cause, "bad"))]
    if failure and failure.hint:
        rows.append(line(Span(f"    {failure.hint}", "dim")))
    if numbers:
        rows.append(line(Span(f"    {numbers}", "dim")))
    for remedy in found:
        key = REMEDY_KEYS[remedy.kind]
        if remedy.off:
            rows.append(line(Span(f"    {key} ", "faint"), Span(f"{remedy.words}: {remedy.off}", "faint")))
        else:
            rows.append(line(Span(f"    {key} ", "key"), Span(remedy.words)))
    rows.append(line(Span("    r ", "key"), Span("load it again as it was; then r asks again")))
    rows.append(line(Span("    Everything that was said is kept.", "dim")))
    return tuple(rows)
