"""What quantizing is calibrated with, and that perplexity is measured on something else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tui.errors import RecipeError
from tui.starter import heldout_text, starter_folder
from tui.workers import calibration as module
from tui.workers.calibration import (
    calibration,
    conversations,
    heldout_texts,
    read_file,
    scoring_texts,
    text_sha256,
    token_ids,
)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(starter_folder())


def make(tokenizer: Any, **changes: Any) -> module.Calibration:
    options = {"file": "", "samples": 20, "sample_length": 64, "context": 1024, "seed": 0}
    return calibration(tokenizer, **(options | changes))


def test_rows_are_of_one_length_and_as_many_as_asked_for(tokenizer: Any) -> None:
    made = make(tokenizer)
    assert [len(row) for row in made.rows] == [64] * 20
    facts = {"kind": "built-in", "samples": 20, "tokens": 1280, "sha256": made.sha256}
    assert made.facts() == facts | {"kinds": {"chat": 8, "code": 5, "prose": 7}}
    assert all(0 <= token < len(tokenizer) for row in made.rows for token in row)


def test_a_recipe_of_usual_size_is_filled(tokenizer: Any) -> None:
    made = make(tokenizer, samples=128, sample_length=512)
    assert made.tokens == 128 * 512


def test_rows_never_exceed_the_context(tokenizer: Any) -> None:
    assert {len(row) for row in make(tokenizer, context=48).rows} == {48}


def test_the_same_seed_gives_the_same_rows_and_another_one_others(tokenizer: Any) -> None:
    assert make(tokenizer) == make(tokenizer)
    assert make(tokenizer).sha256 != make(tokenizer, seed=1).sha256


def test_all_kinds_are_in_it_and_chat_is_in_the_models_own_template(tokenizer: Any) -> None:
    text = "\n".join(tokenizer.decode(list(row)) for row in make(tokenizer, samples=60).rows)
    assert "<|user|>" in text and "<|assistant|>" in text
    assert "def " in text
    assert " the " in text


def test_a_model_without_a_template_gets_no_chat(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenizer, "chat_template", None)
    made = make(tokenizer)
    assert len(made.rows) == 20
    assert "<|user|>" not in "".join(tokenizer.decode(list(row)) for row in made.rows)


def test_a_template_that_knows_no_system_role_still_gives_its_conversations(
    tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    strict = "{% if messages[0].role == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    monkeypatch.setattr(tokenizer, "chat_template", strict + tokenizer.chat_template)
    assert len(module._chat(tokenizer)) == len(conversations())


def test_a_rendered_chat_does_not_begin_twice(tokenizer: Any) -> None:
    rendered = module._chat(tokenizer)[0]
    assert token_ids(tokenizer, rendered).count(tokenizer.bos_token_id) == 1


def test_held_out_text_is_not_calibrated_with(tokenizer: Any) -> None:
    used = "\n".join([*module._prose(), *module._code(), *(t["content"] for turns in conversations() for t in turns)])
    words = set(zip(*(used.split()[n:] for n in range(6)), strict=False))
    for text in heldout_texts():
        parts = text.split()
        assert not words & set(zip(*(parts[n:] for n in range(6)), strict=False)), text[:60]


def test_the_starters_held_out_questions_are_not_calibrated_with() -> None:
    asked = {turn["content"] for turns in conversations() for turn in turns if turn["role"] == "user"}
    held_out = [text.split("<|user|>")[1].split("<|end|>")[0] for text in heldout_text()]
    assert len(held_out) > 50
    assert not asked & set(held_out)


def test_the_starter_is_scored_on_its_own_text(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert scoring_texts(tmp_path, "other/model")[1] == "built-in held-out"
    assert scoring_texts(tmp_path, "heft-starter") == (heldout_text(), "starter held-out")
    (tmp_path / "heft.json").write_text(json.dumps({"model": "heft-starter"}))
    assert scoring_texts(tmp_path, "lab")[1] == "starter held-out"


def test_a_plain_file_is_used(tokenizer: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("A sentence about boats and harbours. " * 400)
    made = make(tokenizer, file=str(file))
    assert made.kind == "file"
    assert "boats" in tokenizer.decode(list(made.rows[0]))
    assert "boats" not in json.dumps(made.facts())


def test_json_lines_give_texts_and_rendered_messages(tokenizer: Any, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    lines = [{"text": "plain"}, {"messages": [{"role": "user", "content": "hello"}]}]
    file.write_text("\n".join(map(json.dumps, lines)))
    assert read_file(file, tokenizer)[0] == "plain"
    assert "<|user|>hello" in read_file(file, tokenizer)[1]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("short.txt", b"too short", "tokens in whole samples"),
        ("empty.txt", b"  \n", "0 tokens"),
        ("binary.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("bad.jsonl", b'{"text": "a"}\n{"words": 1}\n', "line 2 has neither text nor messages"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    tokenizer: Any, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=words):
        make(tokenizer, file=str(tmp_path / name))


def test_a_file_that_is_not_there_is_named(tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gone\.txt cannot be read"):
        make(tokenizer, file=str(tmp_path / "gone.txt"))


def test_texts_are_named_by_their_content() -> None:
    assert text_sha256(["ab", "c"]) != text_sha256(["a", "bc"])
