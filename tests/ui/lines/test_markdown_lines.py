from __future__ import annotations

from tui.ui.lines.markdown_lines import markdown_lines
from tui.ui.lines.span import Line, plain, width_of

HOSTILE = "[click](javascript:alert(1)) <script>x</script> ![i](http://t/x.png) [/b] [@click=app.quit]"


def text(source: str, width: int = 40) -> list[str]:
    return [plain(row).rstrip() for row in markdown_lines(source, width)]


def roles(rows: list[Line], word: str) -> set[str]:
    return {span.role for row in rows for span in row if word in span.text}


def test_blocks_are_set_apart_and_lists_are_tight() -> None:
    assert text("Para.\n\n- a\n- b\n  - c\n\nEnd.") == ["Para.", "", "• a", "• b", "  ◦ c", "", "End."]


def test_numbers_of_a_list_go_on_from_where_it_starts() -> None:
    assert text("7. seven\n8. eight") == ["7. seven", "8. eight"]


def test_emphasis_code_and_links_have_roles() -> None:
    rows = markdown_lines("a **b** *c* `d` ~~e~~ [f](http://x)", 60)
    for word, role in (("b", "strong"), ("c", "emphasis"), ("d", "code"), ("e", "strike"), ("f", "link")):
        assert role in roles(rows, word)


def test_code_is_coloured_and_keeps_its_indentation() -> None:
    rows = markdown_lines("```python\ndef f():\n    return 1\n```", 40)
    assert [plain(row).rstrip() for row in rows] == ["▏ def f():", "▏     return 1"]
    assert "keyword" in roles(rows, "def")


def test_an_unknown_language_is_plain_code() -> None:
    assert text("```nosuch\nx\n```") == ["▏ x"]


def test_a_table_keeps_to_the_width_and_shows_its_head() -> None:
    rows = markdown_lines("| a | long head |\n|--|--|\n| 1 | " + "word " * 30 + "|", 30)
    assert all(width_of(row) <= 30 for row in rows)
    assert "strong" in roles(rows, "a")


def test_nothing_in_a_card_becomes_markup_or_html() -> None:
    shown = " ".join(text(HOSTILE, 200))
    assert "<script>x</script>" in shown
    assert "[/b]" in shown and "[@click=app.quit]" in shown
    assert "javascript" not in shown or "[click]" in shown


def test_wide_text_wraps_by_cells() -> None:
    assert all(width_of(row) <= 20 for row in markdown_lines("日本語のとても長い文章です。" * 5, 20))
