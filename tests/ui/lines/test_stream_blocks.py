from __future__ import annotations

import random

import pytest

from tui.ui.lines.markdown_lines import markdown_lines
from tui.ui.lines.span import plain
from tui.ui.lines.stream_blocks import LONG_PARAGRAPH, StreamBlocks, block_lines, with_gap

TEXT = """# A title

A paragraph with **bold** words,
on two lines.

1. first
2. second
   - nested
   - again
3. third

> quoted text

```python
def answer() -> int:
    return 42  # why

print(answer())
```

| bits | size |
|------|------|
| 16   | 14 GB |
| 4    | 4 GB |

- loose

- list

~~~
a fence of tildes
~~~

The end.
"""


TABLE = "| name | size |\n|------|------|\n"


def drawn(stream: StreamBlocks, width: int = 60) -> list[str]:
    rows = []
    for number, block in enumerate(stream.blocks):
        rows.extend(with_gap(block, block_lines(block, width), number == 0))
    return [plain(row).rstrip() for row in rows]


@pytest.mark.parametrize("seed", range(25))
def test_text_in_any_pieces_is_drawn_like_the_whole_text(seed: int) -> None:
    chance = random.Random(seed)
    stream = StreamBlocks()
    at = 0
    while at < len(TEXT):
        size = chance.choice((1, 1, 2, 3, 7, 40))
        stream.take(TEXT[at : at + size])
        at += size
    stream.finish()
    whole = [plain(row).rstrip() for row in markdown_lines(TEXT, 60)]
    assert [row for row in drawn(stream) if row] == [row for row in whole if row]


def test_sealed_blocks_never_change_but_an_open_fence() -> None:
    stream = StreamBlocks()
    seen: list[object] = []
    for character in TEXT:
        first = stream.take(character)
        assert stream.blocks[:first] == seen[:first]
        seen = list(stream.blocks)


def test_the_tail_stays_short_however_long_the_answer() -> None:
    for text in (
        "- point with words\n" * 400,
        "word " * 4000,
        "```\n" + "row of code\n" * 500,
        TABLE + "| a | b |\n" * 500,
    ):
        stream = StreamBlocks()
        longest = 0
        for at in range(0, len(text), 17):
            stream.take(text[at : at + 17])
            longest = max(longest, len(stream.tail))
        assert longest <= LONG_PARAGRAPH + 40


def test_a_long_paragraph_is_never_cut_inside_emphasis_or_code() -> None:
    stream = StreamBlocks()
    for _ in range(300):
        stream.take("**bold words here** and `some code` then ")
    stream.finish()
    assert len(stream.blocks) > 3
    for block in stream.blocks:
        assert block.source.count("**") % 2 == 0
        assert block.source.count("`") % 2 == 0


def test_an_unfinished_fence_is_code_in_the_end() -> None:
    stream = StreamBlocks()
    stream.take("```python\nx = 1\ny = ")
    assert stream.in_code
    tail = stream.tail_block()
    assert tail is not None and tail.kind == "code" and tail.source == "y = "
    stream.finish()
    assert [block.kind for block in stream.blocks] == ["fence"]
    assert stream.blocks[0].source == "x = 1\ny = "


@pytest.mark.parametrize("piece", [1, 5, 100])
def test_literal_backticks_inside_a_fence_do_not_end_it(piece: int) -> None:
    text = "````\n```\ninner\n```\n````\nafter\n\nx"
    stream = StreamBlocks()
    for at in range(0, len(text), piece):
        stream.take(text[at : at + piece])
    stream.finish()
    assert drawn(stream) == ["▏ ```", "▏ inner", "▏ ```", "", "after", "", "x"]


def test_a_growing_table_shows_its_rows_and_is_laid_out_whole_in_the_end() -> None:
    stream = StreamBlocks()
    stream.take(TABLE + "| a | 1 |\n| a longer name | 2 |\n| c |")
    assert [block.kind for block in stream.blocks] == ["head", "row", "row"]
    assert drawn(stream) == ["name          │ size", "──────────────┼─────", "a             │ 1", "a longer name │ 2"]
    tail = stream.tail_block()
    assert tail is not None and plain(block_lines(tail, 60)[0]).startswith("c ")
    stream.take(" 3 |\n\nAfter")
    stream.finish()
    assert [block.kind for block in stream.blocks] == ["markdown", "markdown"]
    assert drawn(stream)[-3:] == ["c             │ 3", "", "After"]
