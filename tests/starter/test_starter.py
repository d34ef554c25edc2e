"""The starter: an ordinary model folder that says what it is, and text that keeps its held-out part apart."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from typing import Any

import pytest

from tui.starter import MODEL_ID, REPO, heldout_text, starter_folder, training_text
from tui.starter.dialogues import Text, plain, read_text, render, same_answer
from tui.starter.phrasing import Phrasing

FOLDER_LIMIT = 12_000_000
GROUP_SIZES = (32, 64, 128)
KNOWN = ("What is GPTQ?", "What does group_size do?", "What does the KV cache cost?", "Who are you?", "Hello")


@pytest.fixture(scope="module")
def text() -> Text:
    return read_text()


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any]:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from tui.starter.measure import load

    return load(starter_folder())


def answer_to(text: Text, question: str) -> str:
    return next(fact.answer for fact in text.facts if question in fact.questions + fact.held_out)


def test_the_folder_is_complete_and_small() -> None:
    names = {path.name for path in starter_folder().iterdir()}
    wanted = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "generation_config.json"}
    assert wanted | {"chat_template.jinja", "README.md"} <= names
    assert sum(path.stat().st_size for path in starter_folder().rglob("*") if path.is_file()) <= FOLDER_LIMIT
    assert (REPO, MODEL_ID) == ("heft/starter", "heft-starter")


def test_the_widths_suit_the_group_sizes() -> None:
    config = json.loads((starter_folder() / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    widths = (config["hidden_size"], config["intermediate_size"], config["num_attention_heads"] * config["head_dim"])
    assert all(width % size == 0 for width in widths for size in GROUP_SIZES)


def test_special_tokens_differ_and_the_end_mark_ends_an_answer(loaded: tuple[Any, Any]) -> None:
    tokenizer, model = loaded
    assert len({tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}) == 3
    ends = model.generation_config.eos_token_id
    assert tokenizer.eos_token_id in (ends if isinstance(ends, list) else [ends])


def test_the_chat_template_is_the_training_markup(loaded: tuple[Any, Any]) -> None:
    tokenizer, _ = loaded
    turns = [("system", "Be brief."), ("user", " What is a build? "), ("assistant", "A build."), ("user", "Thanks")]
    messages = [{"role": role, "content": content} for role, content in turns]
    for prompt in (False, True):
        rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        assert rendered == render(turns, prompt=prompt)
    parts = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
    assert tokenizer.apply_chat_template(parts, tokenize=False) == render([("user", "Hello")])
    odd = [{"role": "developer", "content": "Be brief."}, {"role": "tool", "content": None}]
    assert tokenizer.apply_chat_template(odd, tokenize=False) == render([("system", "Be brief."), ("user", "")])


def test_any_text_survives_the_tokenizer(loaded: tuple[Any, Any]) -> None:
    tokenizer, _ = loaded
    odd = "Naïve 模型 🏋 costs\t12 €\n  and 1,024 tokens."
    assert tokenizer.decode(tokenizer.encode(odd, add_special_tokens=False)) == odd


def test_it_answers_what_it_was_taught(loaded: tuple[Any, Any], text: Text) -> None:
    from tui.starter.measure import answers

    said = answers(*loaded, [[("user", question)] for question in KNOWN])
    for question, mine in zip(KNOWN, said, strict=True):
        assert same_answer(mine, answer_to(text, question)), question


def test_it_answers_most_held_out_phrasings(loaded: tuple[Any, Any], text: Text) -> None:
    from tui.starter.measure import answers

    rows = [(question, fact.answer) for fact in text.facts for question in fact.held_out]
    rows = random.Random(0).sample(rows, 40)
    said = answers(*loaded, [[("user", question)] for question, _ in rows])
    assert sum(same_answer(mine, wanted) for mine, (_, wanted) in zip(said, rows, strict=True)) >= 24


def test_it_goes_on_in_a_chat(loaded: tuple[Any, Any], text: Text) -> None:
    from tui.starter.measure import answers

    fact = next(fact for fact in text.facts if fact.id == "gptq")
    talk = [("system", "Be polite."), ("user", "Hi"), ("assistant", answer_to(text, "Hi")), ("user", "What is GPTQ?")]
    first, more = answers(*loaded, [talk, [*talk, ("assistant", fact.answer), ("user", "Tell me more")]])
    assert same_answer(first, fact.answer)
    assert same_answer(more, fact.more)


def test_the_card_reports_what_is_measured(loaded: tuple[Any, Any]) -> None:
    from tui.starter.measure import perplexity

    card = (starter_folder() / "README.md").read_text("utf-8")
    front = card.split("---")[1]
    for line in ("license: apache-2.0", "- en", "pipeline_tag: text-generation", "library_name: transformers"):
        assert line in front
    for title in ("Intended use", "Training data", "Evaluation", "Limitations", "Bias, risks", "How to use"):
        assert f"\n## {title}\n" in card
    assert all(f"g{size} |" in card for size in GROUP_SIZES)
    row = re.search(r"^\| float16 .*\| ([\d.]+) \|", card, re.MULTILINE)
    assert row
    assert perplexity(*loaded, heldout_text()) == pytest.approx(float(row[1]), rel=0.01)


def test_held_out_phrasings_never_occur_in_training(text: Text) -> None:
    held_out = text.held_out_questions()
    assert len(held_out) >= 2 * len(text.facts)
    phrasing = Phrasing(text, seed=11)
    said = {plain(content) for _ in range(2000) for role, content in phrasing.conversation() if role == "user"}
    assert not said & held_out
    assert not {plain(question) for fact in text.facts for question, _ in fact.follow} & held_out
    everything = "\n".join(text.prose)
    assert not any(paragraph in everything for paragraph in text.held_out_prose)


def test_the_same_seed_draws_the_same_conversations() -> None:
    assert training_text(20, seed=5) == training_text(20, seed=5) != training_text(20, seed=6)


def test_the_text_is_usable(text: Text) -> None:
    for fact in text.facts:
        assert len(fact.questions) >= 8, fact.id
        assert len(fact.held_out) >= 2, fact.id
        assert 10 < len(fact.answer) < 400, fact.id
    asked = [plain(question) for fact in text.facts for question in fact.questions if plain(question)]
    assert len(set(asked)) == len(asked)


def test_the_package_imports_nothing_heavy() -> None:
    code = "import sys, tui.starter as s; s.heldout_text(); print(*{'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
