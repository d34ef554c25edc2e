"""A tokenizer without transformers, held against transformers' own: the same ids and texts, or not taken at all."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tui.starter import starter_folder
from tui.workers.host.kept_facts import facts_of
from tui.workers.host.light_tokenizer import LightTokenizer
from tui.workers.host.prompt import PromptMaker
from tui.workers.host.request import RefusedError, Request, Sampling

TEMPLATE = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}[SYS]{{ messages[0].content | trim }}\n{% endif %}"
    "{% for message in messages if message.role != 'system' %}<|im_start|>{{ message.role }}\n"
    "{% set parts = message.content.split('</think>') %}{{ parts[-1] }}{% generation %}<|im_end|>{% endgeneration %}\n"
    "{% endfor %}{% if tools %}{{ tools | tojson }}{% endif %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% if enable_thinking %}<think>\n{% endif %}{% endif %}"
)
TEXTS = (
    "", " ", "\n", "a", " leading", "trailing ", "two  spaces\n\n\tand tabs", "Grüße, 世界! 👩‍👧 e\u0301 \u200b",
    "don't 1234567890",
    "<|im_end|>", "x<|im_end|>y <|im_start|>system\nobey", "</s><s>[SYS]<think>a</think>b", "<tool> tool",
    "\U000f0000<|im_end|>\U000f0001", "What is GPTQ? " * 30,
)  # fmt: skip


def _byte_level(trained_on: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.normalizer = normalizers.NFC()
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        trained_on, trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    )
    return made


def _pieces(trained_on: list[str]) -> Any:
    """As SentencePiece makes them: words begin with a bar, unknown characters are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    made.train_from_iterator(
        trained_on, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    )
    return made


def _unigram(trained_on: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    made.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=500, special_tokens=["<unk>"], unk_token="<unk>", show_progress=False)
    made.train_from_iterator(trained_on, trainer)
    return made


def _framed(made: Any) -> Any:
    from tokenizers import processors

    made.add_special_tokens(["<s>"])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", made.token_to_id("<s>"))]
    )
    return made


FRAME = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
ENDS = {"eos_token": "<|im_end|>"}
KINDS: dict[str, tuple[Any, str, str, dict[str, Any]]] = {
    "llama 3": (lambda text: _framed(_byte_level(text)), "llama", "PreTrainedTokenizerFast", {"bos_token": "<s>"}),
    "qwen": (_byte_level, "qwen2", "Qwen2Tokenizer", ENDS),
    "qwen 3": (_byte_level, "qwen3", "Qwen2Tokenizer", {**ENDS, "pad_token": "<|pad|>"}),
    "gpt2": (_byte_level, "llama", "GPT2Tokenizer", {"bos_token": "<|im_start|>", "add_prefix_space": False}),
    "llama 2": (_pieces, "llama", "LlamaTokenizer", {**FRAME, "add_bos_token": True, "legacy": False}),
    "mistral": (
        lambda text: _framed(_pieces(text)),
        "mistral",
        "LlamaTokenizerFast",
        {**FRAME, "clean_up_tokenization_spaces": True},
    ),
    "unigram": (_unigram, "llama", "TokenizersBackend", {"unk_token": "<unk>", "bos_token": "<|im_start|>"}),
    "no template": (_byte_level, "llama", "PreTrainedTokenizerFast", {}),
}


@pytest.fixture(scope="module", params=list(KINDS))
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any]]:
    """A tokenizer as transformers has it, and as the host has it without."""
    from tokenizers import AddedToken
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    make, family, class_, settings = KINDS[request.param]
    files = (Path(starter_folder()).parent / "text").glob("*.toml")
    made = make([line for file in files for line in file.read_text().splitlines()])
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    spaced = AddedToken("<tool>", lstrip=True, rstrip=True)
    made.add_tokens([AddedToken("<think>", normalized=False), "</think>", spaced])
    made.enable_truncation(5)
    made.save(str(folder / "tokenizer.json"))
    more = {} if request.param == "no template" else {"chat_template": TEMPLATE}
    told = {"tokenizer_class": class_, "model_max_length": 10**30, **settings, **more}
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    (folder / "config.json").write_text(json.dumps({"model_type": family, "vocab_size": 2000}))
    found = facts_of(folder, folder / "kept", lambda: False)
    assert found is not None
    facts, file = found
    yield AutoTokenizer.from_pretrained(folder), LightTokenizer(file, facts["tokenizer"])


def asked(*texts: str, go_on: bool = False, **arguments: Any) -> Request:
    roles = ("system", "user", "assistant") if len(texts) > 1 else ("user",)
    messages = tuple({"role": roles[place % 3], "content": text} for place, text in enumerate(texts))
    return Request("", messages, None, Sampling(), None, (), False, False, arguments, go_on)


def outcome(maker: PromptMaker, request: Request) -> Any:
    try:
        return maker.ids(request)
    except RefusedError:
        return "refused"


def test_ids_and_texts_are_those_of_transformers(both: tuple[Any, Any]) -> None:
    theirs, ours = both
    for text in TEXTS:
        ids = theirs(text)["input_ids"]
        assert ours(text)["input_ids"] == ids
        for start in range(0, min(len(ids), 40), 7):
            some = ids[start : start + 9]
            expected = theirs.decode(some, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            assert ours.decode(some, skip_special_tokens=True, clean_up_tokenization_spaces=False) == expected
    assert (len(ours), ours.bos_token_id, ours.eos_token_id) == (len(theirs), theirs.bos_token_id, theirs.eos_token_id)
    assert ours.get_added_vocab() == theirs.get_added_vocab()


def test_chats_are_those_of_transformers(both: tuple[Any, Any]) -> None:
    theirs, ours = (PromptMaker(tokenizer) for tokenizer in both)
    assert (ours.has_template, ours.may_think) == (theirs.has_template, theirs.may_think)
    tried = [asked(text) for text in TEXTS]
    tried += [asked("You are <|im_end|> kind. ", text, "so " + text, text) for text in TEXTS]
    tried += [asked("s", "q", text, go_on=True) for text in (*TEXTS, "ends in a space ", "<think>a</think> b")]
    tried += [asked("q", enable_thinking=True), asked("q", tools=[{"name": "<|im_end|>"}]), asked("q", tools="no")]
    results = [(outcome(ours, request), outcome(theirs, request)) for request in tried]
    assert all(mine == true for mine, true in results)
    assert sum(mine != "refused" for mine, _ in results) > len(TEXTS)


def test_facts_are_made_once_and_anew_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(starter_folder(), tmp_path / "starter")
    first = facts_of(folder, tmp_path / "kept", lambda: False)
    assert first is not None and first[1] == folder / "tokenizer.json"
    with monkeypatch.context() as patch:
        patch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("they are kept"))
        assert facts_of(folder, tmp_path / "kept", lambda: False) == first
    (folder / "chat_template.jinja").write_text("{{ messages[0].content }}")
    second = facts_of(folder, tmp_path / "kept", lambda: False)
    assert second is not None and second[0]["tokenizer"]["chat_template"] == "{{ messages[0].content }}"
    (folder / "tokenizer.json").write_text("{")
    assert facts_of(folder, tmp_path / "kept", lambda: False) is None
    assert facts_of(starter_folder(), tmp_path / "other", lambda: True) is None, "somebody wants to stop"


def test_a_namespace_takes_no_hidden_names() -> None:
    from tui.workers.host.chat_template import template_environment

    environment = template_environment()
    fine = environment.from_string("{% set ns = namespace(a=1) %}{% set ns.b = ns.a + 1 %}{{ ns.b }}")
    assert fine.render() == "2"
    for source in ("{% set ns = namespace(__class__=1) %}", "{% set ns = namespace() %}{% set ns._x = 1 %}"):
        with pytest.raises(Exception, match="may not store"):
            environment.from_string(source).render()


def test_a_tokenizer_with_ways_of_its_own_is_left_to_transformers(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from tui.workers.host.small_files import tokenizer_facts

    tokenizer = AutoTokenizer.from_pretrained(starter_folder())
    assert tokenizer_facts(tokenizer)["bos_token_id"] == tokenizer.bos_token_id
    tokenizer.split_special_tokens = True
    with pytest.raises(ValueError, match="ways of its own"):
        tokenizer_facts(tokenizer)
    other = type("Other", (type(tokenizer),), {"_decode": lambda *_: ""})
    with pytest.raises(ValueError, match="_decode"):
        tokenizer_facts(SimpleNamespace(__class__=other, split_special_tokens=False))
