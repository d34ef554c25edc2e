"""The board as it reads on screen: ratings with their intervals drawn on one scale, and imported boards below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

from tui.compare.board import Rank
from tui.plain_text import clean_line
from tui.ui.lines.span import BLANK, Line, Span, cut_line, fit_cells, line

EMPTY = (
    BLANK,
    line(Span("  No votes yet.", "dim")),
    BLANK,
    line(Span("  Open a trial and press "), Span("v", "key"), Span(": it shows two answers without names.")),
)


def board_lines(ranks: Sequence[Rank], imported: Sequence[Mapping[str, Any]], width: int) -> list[Line]:
    """Ranks with rating, interval and how they came about; then the imported boards, marked and dated."""
    if not ranks and not imported:
        return list(EMPTY)
    rows: list[Line] = []
    if ranks:
        rows += _ranks(ranks, width)
    for board in imported:
        when = datetime.fromtimestamp(board["imported"], UTC).strftime("%Y-%m-%d")
        rows += [BLANK, cut_line(line(Span(clean_line(board["name"]), "title"), Span("  imported", "warn")), width)]
        words = f"dated {board['dated']}, imported {when} from {board['source']}; not measured here"
        rows.append(cut_line(line(Span(clean_line(words), "dim")), width))
        for row in board["rows"][:20]:
            rows.append(cut_line(line(f"{row['rank']:>4} ", Span(f"{row['score']:>8g}  "), row["model"]), width))
    return rows


def _ranks(ranks: Sequence[Rank], width: int) -> list[Line]:
    name = min(32, max(len(rank.name) for rank in ranks))
    room = max(4, width - name - 48)
    low, high = min(rank.low for rank in ranks), max(rank.high for rank in ranks)
    head = f"{'':>4} {'model':<{name}} {'Elo':>5}  {'95 %':<13} {'won':>4}{'lost':>5}{'tied':>5}{'bad':>4}  "
    rows = [cut_line(line(Span(head, "dim")), width)]
    for number, rank in enumerate(ranks, 1):
        counts = f"{rank.wins:>4}{rank.losses:>5}{rank.ties:>5}{rank.both_bad:>4}  "
        rows.append(
            cut_line(
                line(
                    Span(f"{number:>3}. ", "dim"),
                    Span(fit_cells(clean_line(rank.name), name), "strong"),
                    Span(f" {rank.rating:>5.0f}  ", "accent"),
                    Span(fit_cells(f"{rank.low:.0f} to {rank.high:.0f}", 13), "dim"),
                    Span(f" {counts}"),
                    *_interval(rank, low, high, room),
                ),
                width,
            )
        )
    votes = sum(rank.votes for rank in ranks) // 2
    unsure = any(first.low < second.high for first, second in pairwise(ranks))
    note = "; where the bars overlap, the order is not settled" if unsure else ""
    rows += [BLANK, cut_line(line(Span(f"{votes} vote{'s' if votes != 1 else ''}{note}", "dim")), width)]
    return rows


def _interval(rank: Rank, low: float, high: float, room: int) -> list[Span]:
    def at(value: float) -> int:
        return round((value - low) / max(1.0, high - low) * (room - 1))

    start, middle, end = at(rank.low), at(rank.rating), at(rank.high)
    return [
        Span(" " * start),
        Span("─" * (middle - start), "info"),
        Span("●", "accent"),
        Span("─" * (end - middle), "info"),
    ]
