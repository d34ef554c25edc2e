"""Which cells of a line changed: what a slow line to a terminal needs to be sent, and nothing else."""

from __future__ import annotations

from tui.ui.lines.span import Line, width_of

APART = 14
"""Cells that stay the same between two changes from which sending both alone is shorter than sending all in between:
moving the cursor and setting the colours again takes about as many bytes."""


def changed_ranges(before: Line, after: Line, width: int) -> tuple[tuple[int, int], ...]:
    """The ranges of cells, end excluded, in which two lines of ``width`` cells differ. All of it where a character is
    not one cell wide, because then cells and characters do not count alike."""
    old, new = _cells(before, width), _cells(after, width)
    if old is None or new is None:
        return ((0, width),)
    found: list[tuple[int, int]] = []
    for place, (left, right) in enumerate(zip(old, new, strict=True)):
        if left == right:
            continue
        if found and place - found[-1][1] < APART:
            found[-1] = (found[-1][0], place + 1)
        else:
            found.append((place, place + 1))
    return tuple(found)


def _cells(spans: Line, width: int) -> list[tuple[str, str]] | None:
    cells = [(character, span.role) for span in spans for character in span.text]
    if len(cells) != width_of(spans):
        return None
    return (cells + [(" ", "")] * (width - len(cells)))[:width]
