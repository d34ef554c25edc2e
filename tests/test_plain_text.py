"""Foreign text made harmless."""

from __future__ import annotations

import random

import pytest

from tui.plain_text import clean, clean_line, without_secrets

FORBIDDEN = {
    *map(chr, range(32)),
    *map(chr, range(0x7F, 0xA0)),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f",
}
FORBIDDEN -= {"\n", "\t"}


@pytest.mark.parametrize(
    "text",
    [
        "\x1b[31mred\x1b[0m",
        "\x1b]52;c;aGk=\x07",
        "\x9b31m",
        "abc\u202edcba",
        "a\x00b",
        "back\x08space",
        "lone \ud800 surrogate",
        "form\x0cfeed \x85 \u2028",
    ],
)
def test_no_control_character_comes_through(text: str) -> None:
    result = clean(text)
    assert not set(result) & FORBIDDEN
    result.encode("utf-8")


def test_what_is_harmless_stays_as_it_is() -> None:
    text = "naïve 日本語 🙂 [bold] \ttab\nline — “quotes”"
    assert clean(text) == text
    assert clean("a\r\nb\rc") == "a\nb\nc"


def test_random_text_is_always_harmless_and_cleaning_twice_changes_nothing() -> None:
    random.seed(5)
    for _ in range(500):
        text = "".join(chr(random.choice([*range(0x250), *range(0x2000, 0x2070), 0xFEFF])) for _ in range(40))
        once = clean(text)
        assert not set(once) & FORBIDDEN
        assert clean(once) == once


def test_a_line_is_one_line_and_no_longer_than_asked() -> None:
    assert clean_line(" a\n\n b\t c ") == "a b c"
    assert len(clean_line("x" * 1000, 80)) == 80


@pytest.mark.parametrize(
    "text",
    [
        "GET https://x?token=SEKRETSEKRET&a=1",
        "https://maria:SEKRETSEKRET@hub.example/api",
        "HF_TOKEN=hf_SEKRETSEKRET",
        "{'Authorization': 'Bearer SEKRETSEKRET'}",
        'api_key = "SEKRETSEKRET"',
        "password: SEKRETSEKRET",
        "ghp_SEKRETSEKRET and AIzaSEKRETSEKRET",
    ],
)
def test_secrets_are_hidden_by_their_form(text: str) -> None:
    hidden = without_secrets(text, {})
    assert "SEKRET" not in hidden and "[hidden]" in hidden


def test_secrets_are_hidden_by_their_value() -> None:
    environment = {"LAB_KEY": "correct horse battery", "LANG": "C.UTF-8", "SHORT_KEY": "abc"}
    text = "sent correct horse battery to abc in C.UTF-8"
    assert without_secrets(text, environment) == "sent [hidden] to abc in C.UTF-8"


@pytest.mark.parametrize(
    "text", ["keyboard", "the token is missing", "hf_hub_download(", "tokens per second: 12345678"]
)
def test_words_are_no_secrets(text: str) -> None:
    assert without_secrets(text, {}) == text
