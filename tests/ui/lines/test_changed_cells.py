from __future__ import annotations

import random

from tui.ui.lines.changed_cells import APART, changed_ranges
from tui.ui.lines.span import Line, Span, line


def test_only_what_differs_is_named() -> None:
    before = line(Span("use  ", "dim"), Span("▁▂▃", "info"), " 35%")
    assert changed_ranges(before, before, 20) == ()
    assert changed_ranges(before, line(Span("use  ", "dim"), Span("▁▂▄", "info"), " 35%"), 20) == ((7, 8),)
    assert changed_ranges(before, line(Span("use  ", "dim"), Span("▁▂▃", "bad"), " 35%"), 20) == ((5, 8),)
    assert changed_ranges(before, line("x"), 3) == ((0, 3),)


def test_changes_that_stand_close_are_sent_together_and_others_apart() -> None:
    def row(first: str, gap: int, last: str) -> Line:
        return line(first + "-" * gap + last)

    assert changed_ranges(row("a", APART - 1, "b"), row("c", APART - 1, "d"), 40) == ((0, APART + 1),)
    assert changed_ranges(row("a", APART, "b"), row("c", APART, "d"), 40) == ((0, 1), (APART + 1, APART + 2))


def test_wide_characters_draw_the_whole_line() -> None:
    assert changed_ranges(line("漢字 a"), line("漢字 b"), 10) == ((0, 10),)
    assert changed_ranges(line("e\u0301x"), line("e\u0301y"), 10) == ((0, 10),)


def test_sending_the_ranges_makes_one_line_of_the_other() -> None:
    draw = random.Random(1)
    for _ in range(300):
        rows = [
            tuple(Span(draw.choice("ab▁") * draw.randrange(9), draw.choice(["", "dim"])) for _ in range(5))
            for _ in range(2)
        ]
        cells = [[(c, span.role) for span in row for c in span.text] for row in rows]
        shown, wanted = [(each + [(" ", "")] * 50)[:50] for each in cells]
        for start, end in changed_ranges(rows[0], rows[1], 50):
            shown[start:end] = wanted[start:end]
        assert shown == wanted
