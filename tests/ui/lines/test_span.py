from __future__ import annotations

import pytest

from tui.ui.lines.span import (
    Span,
    bar,
    cut_line,
    fit_cells,
    line,
    pad_line,
    plain,
    spark_line,
    spread,
    width_of,
    wrap_line,
    wrap_text,
)


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [("abc", 5, "abc  "), ("abcdef", 4, "abc…"), ("日本語", 5, "日本…"), ("日本語", 6, "日本語"), ("x", 0, "")],
)
def test_text_is_fitted_into_exactly_so_many_cells(text: str, width: int, shown: str) -> None:
    assert fit_cells(text, width) == shown


def test_right_aligned_numbers_end_at_the_edge() -> None:
    assert fit_cells("7B", 5, right=True) == "   7B"


def test_a_line_is_cut_with_an_ellipsis_in_the_span_where_it_ends() -> None:
    cut = cut_line(line(Span("model ", "dim"), Span("a long name", "strong")), 10)
    assert plain(cut) == "model a l…"
    assert cut[-1].role == "strong"


def test_spread_keeps_the_right_side_and_cuts_the_left_one() -> None:
    shown = spread(line("a very long name of a model"), line("42%"), 14)
    assert plain(shown) == "a very lo… 42%"
    assert width_of(shown) == 14


def test_words_wrap_at_spaces_and_long_words_are_broken() -> None:
    assert wrap_text("one two three", 7) == ["one two", "three"]
    assert wrap_text("abcdefghij", 4) == ["abcd", "efgh", "ij"]
    assert wrap_text("a\n\nb", 9) == ["a", "", "b"]


def test_a_word_of_two_roles_is_not_broken_between_them() -> None:
    rows = wrap_line(line(Span("see "), Span("Heft", "link"), Span(", the tool")), 8)
    assert [plain(row) for row in rows] == ["see", "Heft,", "the tool"]
    assert ("Heft", "link") in rows[1]


@pytest.mark.parametrize("width", range(1, 30))
def test_nothing_wrapped_is_wider_than_the_width(width: int) -> None:
    spans = line(Span("two words "), Span("日本語のテキスト", "dim"), Span(" and averyveryverylongword, done."))
    for row in wrap_line(spans, max(2, width), "  "):
        assert width_of(row) <= max(2, width)


def test_wrapping_loses_no_letter() -> None:
    text = "The quick brown fox jumps over the lazy dog"
    for width in range(3, 50):
        assert "".join(wrap_text(text, width)).replace(" ", "") == text.replace(" ", "")


def test_a_bar_reads_without_colour() -> None:
    assert plain(bar(0.5, 8)) == "━━━━────"
    assert plain(bar(0.0, 4)) == "────"
    assert plain(bar(0.001, 4)) == "╸───"
    assert plain(bar(None, 4)) == "╌╌╌╌"
    assert plain(bar(7.0, 4)) == "━━━━"


def test_a_history_begins_with_a_base_line_and_ends_with_now() -> None:
    assert plain(spark_line([0.0, 50.0, 100.0], 5)) == "▁▁▁▅█"
    assert len(plain(spark_line(list(range(100)), 10))) == 10


def test_padding_fills_to_the_width() -> None:
    assert width_of(pad_line(line("ab"), 6)) == 6
