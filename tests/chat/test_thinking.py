from __future__ import annotations

import random

import pytest

from tui.chat.thinking import ThinkingSplitter


def split(text: str, seed: int | None) -> tuple[str, str]:
    splitter, chance = ThinkingSplitter(), random.Random(seed)
    said = thought = ""
    at = 0
    while at < len(text):
        size = len(text) if seed is None else chance.randint(1, 4)
        more, thoughts = splitter.feed(text[at : at + size])
        said, thought, at = said + more, thought + thoughts, at + size
    more, thoughts = splitter.end()
    return said + more, thought + thoughts


@pytest.mark.parametrize("seed", [None, *range(8)])
def test_thinking_at_the_beginning_is_taken_apart_however_it_comes(seed: int | None) -> None:
    assert split("\n<think>\nso <b> and </thin king</think>\n\nThe answer.", seed) == (
        "The answer.",
        "so <b> and </thin king",
    )
    assert split("<think>never ends", seed) == ("", "never ends")


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_the_same_words_later_are_part_of_the_answer(seed: int | None) -> None:
    for text in ("Use <think> to think.</think>", "<thinking> is a tag", "<thi", "plain"):
        assert split(text, seed) == (text, "")
