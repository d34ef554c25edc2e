"""From tokens to text: whole characters, stop strings and think marks, wherever the pieces are cut."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tui.starter import starter_folder
from tui.workers.host.text_stream import CharacterStream, MarkedText

TEXTS = [
    "Hello  world",
    "漢字かな交じり",
    "👩‍👩‍👧 and 🇩🇪!",
    "naïve café\n\ttab",
    " leading",
    "a\ufffdb",
    "क्षि ไทย العربية",
]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from tokenizers import Tokenizer

    return Tokenizer.from_file(str(starter_folder() / "tokenizer.json"))


@pytest.mark.parametrize("text", TEXTS)
def test_characters_come_whole_and_nothing_is_lost(tokenizer: Any, text: str) -> None:
    stream = CharacterStream(tokenizer.decode)
    pieces = [stream.feed(token) for token in tokenizer.encode(text).ids]
    pieces.append(stream.end())
    assert "".join(pieces) == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_text_does_not_wait_for_a_space(tokenizer: Any) -> None:
    stream = CharacterStream(tokenizer.decode)
    ids = tokenizer.encode("quantization").ids
    assert all(stream.feed(token) for token in ids)


def test_broken_bytes_do_not_hold_the_text_up(tokenizer: Any) -> None:
    lead = tokenizer.encode("漢").ids[0]
    stream = CharacterStream(tokenizer.decode)
    shown = ""
    for count in range(1, 20):
        shown += stream.feed(lead)
        assert len(shown) >= count - 4
    shown += "".join(stream.feed(token) for token in tokenizer.encode("good").ids) + stream.end()
    assert shown.endswith("good") and shown.count("good") == 1
    assert shown.count("\ufffd") == 19


def test_a_character_that_never_ends_is_shown_as_broken(tokenizer: Any) -> None:
    stream = CharacterStream(tokenizer.decode)
    assert stream.feed(tokenizer.encode("漢").ids[0]) == ""
    assert stream.end() == "\ufffd"


def test_random_bytes_never_lose_or_double_what_is_whole(tokenizer: Any) -> None:
    source = random.Random(1)
    alphabet = [token for text in TEXTS for token in tokenizer.encode(text).ids]
    for _ in range(100):
        ids = [source.choice(alphabet) for _ in range(30)]
        stream = CharacterStream(tokenizer.decode)
        text = "".join(stream.feed(token) for token in ids) + stream.end()
        whole = tokenizer.decode(ids)
        assert text.replace("\ufffd", "") == whole.replace("\ufffd", "")


def cut(text: str, sizes: random.Random) -> list[str]:
    pieces = []
    while text:
        size = sizes.randint(1, 4)
        pieces.append(text[:size])
        text = text[size:]
    return pieces


def read(marked: MarkedText, pieces: list[str]) -> tuple[str, str]:
    found = [marked.feed(piece) for piece in pieces]
    found.append(marked.end())
    return "".join(piece.text for piece in found), "".join(piece.thinking for piece in found)


@pytest.mark.parametrize("seed", range(20))
def test_a_stop_string_is_found_across_any_borders_and_never_shown(seed: int) -> None:
    marked = MarkedText(["END", "\nUser:"])
    text, _ = read(marked, cut("An ENDLESS tale", random.Random(seed)))
    assert (text, marked.stopped) == ("An ", True)
    marked = MarkedText(["END", "\nUser:"])
    text, _ = read(marked, cut("E EN \nUse me\nUser: hi", random.Random(seed)))
    assert (text, marked.stopped) == ("E EN \nUse me", True)


def test_what_only_looked_like_a_stop_is_shown_at_the_end() -> None:
    marked = MarkedText(["END"])
    assert read(marked, ["the EN"]) == ("the EN", "")
    assert not marked.stopped


def test_only_what_may_be_a_stop_is_held_back() -> None:
    assert MarkedText(["END"]).feed("abc E").text == "abc "
    assert MarkedText(["END"]).feed("abc").text == "abc"


@pytest.mark.parametrize("seed", range(10))
def test_thinking_is_kept_apart(seed: int) -> None:
    marked = MarkedText([], may_think=True)
    pieces = cut("<think>\nfirst, <b>\n</think>\n\nThe answer </think>", random.Random(seed))
    assert read(marked, pieces) == ("The answer </think>", "first, <b>\n")


def test_an_answer_that_begins_inside_the_thinking() -> None:
    assert read(MarkedText([], thinks=True), ["so", "</thi", "nk>", "\n42"]) == ("42", "so")


def test_a_think_mark_inside_the_answer_is_text() -> None:
    assert read(MarkedText([], may_think=True), ["Write <think> tags"]) == ("Write <think> tags", "")


def test_a_stop_string_inside_the_thinking_stops() -> None:
    marked = MarkedText(["END"], thinks=True)
    assert read(marked, ["a END b"]) == ("", "a ")
    assert marked.stopped
