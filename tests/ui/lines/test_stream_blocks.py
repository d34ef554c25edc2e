from __future__ import annotations

import random

import pytest

from tests.ui.lines.random_markdown import random_markdown
from tui.ui.lines import growing_leaf, stream_blocks
from tui.ui.lines.markdown_lines import markdown_lines
from tui.ui.lines.span import Line, plain
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


def lines_of(stream: StreamBlocks, width: int = 60) -> list[Line]:
    rows: list[Line] = []
    for number, block in enumerate(stream.blocks):
        rows.extend(with_gap(block, block_lines(block, width), number == 0))
    return rows


def drawn(stream: StreamBlocks, width: int = 60) -> list[str]:
    return [plain(row).rstrip() for row in lines_of(stream, width)]


def streamed(text: str, chance: random.Random) -> StreamBlocks:
    """``text`` taken in pieces by chance and drawn after each, as the screen does; what it says has not changed has
    not."""
    stream, seen, at = StreamBlocks(), list[object](), 0
    while at < len(text):
        size = chance.choice((1, 1, 2, 3, 7, 40, 400))
        first = stream.take(text[at : at + size])
        assert stream.blocks[:first] == seen[:first]
        seen, at = list(stream.blocks), at + size
        tail = stream.tail_block()
        assert tail is None or block_lines(tail, 60) or not tail.source.strip(" >\n")
    assert stream.blocks[: (first := stream.finish())] == seen[:first]
    return stream


@pytest.mark.parametrize("seed", range(25))
def test_text_in_any_pieces_is_drawn_like_the_whole_text(seed: int) -> None:
    assert lines_of(streamed(TEXT, random.Random(seed))) == markdown_lines(TEXT, 60)


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.parametrize("long", [40, LONG_PARAGRAPH])
def test_any_markdown_cut_anywhere_is_drawn_like_the_whole(
    long: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (growing_leaf, stream_blocks):
        monkeypatch.setattr(module, "LONG_PARAGRAPH", long)
    chance = random.Random(seed)
    text = random_markdown(chance, blocks=2)
    assert lines_of(streamed(text, chance)) == markdown_lines(text, 60)


FOUND = (
    ">> e | f\n>> -|-\n>> a\n>     > b",
    "    code\n\n. no code, but a paragraph that is long enough to be cut\nand goes on",
    "    tabs\n\tare code",
    "~~~\n ",
    "- ```\n     \nafter",
    "1. one\n1. two\n1. three\n   - a\n   - b\n\n   text\n1. four",
    "> [a] and [b]\n>\n> - x\n\n[a]: http://a\n\n- see [a]\n\n[b]: http://b",
    "- a\n- ```python\n  x\n  ```\n- | a | b |\n  |---|---|\n  | 1 | 2 |\n  no pipe\n- end",
    "text\n-",
    "- - - a\n    - b\n  - c\n- d",
    "| ||\n d] [link](http://x) squeezed |\n   | - t",
    "| are | ~~gone~~ and other words that go on | more |\n|---|---|-\n    ~\n\n    >\n",
)


@pytest.mark.parametrize("text", FOUND)
def test_what_once_was_drawn_wrongly(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (growing_leaf, stream_blocks):
        monkeypatch.setattr(module, "LONG_PARAGRAPH", 40)
    for seed in range(8):
        assert lines_of(streamed(text, random.Random(seed))) == markdown_lines(text, 60)


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
        "- a\n  1. b\n" + "     - nested with words\n" * 400,
        "- a\n  1. b\n" + "     - nested\n\n       - and deeper\n" * 200,
        "> a quote that goes on\n" * 400,
        "> a quote\n>\n> > - of parts\n" * 200,
        "- " + "word " * 4000,
        "> - ```\n" + ">   row of code\n" * 500,
        "1. " + TABLE.replace("\n", "\n   ") + "| a | b |\n   " * 500,
        "```\n" + "x" * 20_000,
        "漢字" * 5000,
        "*word " * 4000,
        "    indented code\n" * 400,
    ):
        stream = StreamBlocks()
        longest = 0
        for at in range(0, len(text), 61):
            stream.take(text[at : at + 17])
            longest = max(longest, len(stream.tail))
        assert longest <= 2 * LONG_PARAGRAPH + 40, text[:20]


def test_a_long_paragraph_is_never_cut_inside_emphasis_or_code() -> None:
    stream = StreamBlocks()
    for _ in range(300):
        stream.take("**bold words here** and `some code` then ")
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
