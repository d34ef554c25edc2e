"""Prompt sets: one prompt a line, JSONL, TOML; every mistake names its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.compare.prompt_set import read_prompt_set
from tui.errors import NotFoundError, UsageError


def read(tmp_path: Path, name: str, text: str):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read_prompt_set(path)


def test_text_is_one_prompt_a_line_or_blocks_between_rules(tmp_path: Path) -> None:
    assert [item.turns for item in read(tmp_path, "a.txt", "one\n\n two \n").prompts] == [("one",), ("two",)]
    blocks = read(tmp_path, "b.txt", "first\nline two\n---\nsecond\n").prompts
    assert [item.turns[0] for item in blocks] == ["first\nline two", "second"]


def test_jsonl_carries_expected_answers_turns_and_checks(tmp_path: Path) -> None:
    found = read(
        tmp_path,
        "set.jsonl",
        '{"prompt": "2+2?", "expected": 4, "id": "sum"}\n\n'
        '{"turns": ["hi", "and now?"], "contains": ["a", "b"], "regex": "^x"}\n'
        '{"messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "q"}], "json": true}\n',
    ).prompts
    assert found[0].expected == ("4",) and found[0].id == "sum"
    assert found[1].turns == ("hi", "and now?") and found[1].contains == ("a", "b")
    assert found[2].system == "be brief" and found[2].schema == {}


def test_toml_has_a_system_prompt_for_all(tmp_path: Path) -> None:
    found = read(tmp_path, "s.toml", 'system = "s"\n[[prompts]]\nprompt = "q"\njson = {type = "object"}\n')
    assert found.system == "s" and found.prompts[0].schema == {"type": "object"}


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.jsonl", '{"prompt": "x"}\n{"prompt": ', "line 2"),
        ("a.jsonl", '{"prompt": "x", "expcted": "y"}', "expcted"),
        ("a.jsonl", '{"expected": "y"}', "no prompt"),
        ("a.jsonl", '{"prompt": "x", "regex": "("}', "regex"),
        ("a.toml", "[[prompts]]\nprompt = 'x'\nregex = 3.5\njson = 2", "json"),
        ("a.toml", "x = 1", "prompts"),
        ("a.txt", " \n", "no prompt"),
    ],
)
def test_a_mistake_names_its_place(tmp_path: Path, name: str, text: str, words: str) -> None:
    with pytest.raises(UsageError) as raised:
        read(tmp_path, name, text)
    assert words in raised.value.summary


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_prompt_set(tmp_path / "none.txt")
