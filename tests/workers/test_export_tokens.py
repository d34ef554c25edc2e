"""The vocabulary in a GGUF file: llama.cpp reads the tokens that the model's own tokenizer reads, or it is refused.

The tokenizers are trained here on the starter's own text, with the cutting rules of real families.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.workers.gguf_files import exported
from tests.workers.gguf_models import OWN, SHAPE, model_of, plain_folder
from tui.errors import RecipeError
from tui.starter import starter_folder
from tui.workers.export import vocabulary
from tui.workers.export.vocabulary import read_vocabulary

pytestmark = pytest.mark.slow
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
TEKKEN = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MARKS = ["<|pad|>", "<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"]


def texts() -> list[str]:
    words = [path.read_text(encoding="utf-8") for path in sorted((starter_folder().parent / "text").glob("*.toml"))]
    return [
        *words,
        "naïve café Straße 日本語 Привет мир 12345 3.14 x1y2 DON'T can't",
        "\n\n\t  \n def f(x):\n    return",
    ]


def byte_level(pattern: str, *, ignore_merges: bool = False, normalizer: Any = None, digits: bool = False) -> Any:
    """A byte-level BPE tokenizer with one family's cutting rule."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    byte = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=not pattern)
    first = [pre_tokenizers.Split(Regex(pattern), "isolated")] if pattern else []
    if digits:
        first = [pre_tokenizers.Digits(individual_digits=True)]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([*first, byte]) if first else byte
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1500, special_tokens=MARKS, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    tokenizer.train_from_iterator(texts(), trainer)
    return tokenizer


def sentencepiece(folder: Path, *, prefix: bool) -> Any:
    """A tokenizer.json as transformers makes it of a SentencePiece BPE model, with the merges that the pieces imply."""
    import sentencepiece as spm
    from tokenizers import Tokenizer, decoders, models, normalizers, processors

    text = folder / "text.txt"
    text.write_text("\n".join(texts()))
    spm.SentencePieceTrainer.train(
        input=str(text),
        model_prefix=str(folder / "sp"),
        vocab_size=1500,
        model_type="bpe",
        byte_fallback=True,
        character_coverage=0.995,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=prefix,
        split_digits=True,
        minloglevel=2,
    )
    model = spm.SentencePieceProcessor(model_file=str(folder / "sp.model"))
    pieces = [model.id_to_piece(index) for index in range(model.get_piece_size())]
    ids = {piece: index for index, piece in enumerate(pieces)}
    scores = {piece: model.get_score(index) for piece, index in ids.items()}
    merges = []
    for piece in pieces:
        for cut in range(1, len(piece)):
            if piece[:cut] in ids and piece[cut:] in ids and not piece.startswith("<0x"):
                merges.append((-scores[piece], ids[piece[:cut]], ids[piece[cut:]], (piece[:cut], piece[cut:])))
    merges.sort()
    tokenizer = Tokenizer(
        models.BPE(ids, [merge[3] for merge in merges], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    spaces = [normalizers.Replace(" ", "▁")]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), *spaces] if prefix else spaces)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(" ", 1, 0)] if prefix else [])
    )
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return tokenizer


def folder_with(folder: Path, tokenizer: Any, model_type: str = "llama", **said: Any) -> Path:
    """A tiny model with that tokenizer."""
    plain_folder(folder, model_of(model_type))
    tokenizer.save(str(folder / "tokenizer.json"))
    table = {"bos_token": "<|begin|>", "eos_token": "<|end|>", "pad_token": "<|pad|>", **said}
    (folder / "tokenizer_config.json").write_text(json.dumps(table))
    return folder


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("gpt-2", {"pattern": ""}),
        ("smollm", {"pattern": "", "digits": True}),
        ("llama-bpe", {"pattern": LLAMA3, "ignore_merges": True}),
        ("smaug-bpe", {"pattern": LLAMA3}),
        ("qwen2", {"pattern": QWEN2}),
        ("tekken", {"pattern": TEKKEN, "ignore_merges": True}),
    ],
)
def test_byte_level_tokenizers_read_alike(name: str, how: dict[str, Any], tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", byte_level(**how))
    assert read_vocabulary(folder, {}, SHAPE["vocab_size"]).pre == name
    _, report = exported(folder, tmp_path / "out.gguf", "f16", tokens=True)
    assert report.tokens > 1000 and report.notes == []


def test_qwens_normalizer_is_remembered_for_the_host(tmp_path: Path) -> None:
    from tokenizers import normalizers

    folder = folder_with(tmp_path / "model", byte_level(QWEN2, normalizer=normalizers.NFC()), "qwen2")
    assert read_vocabulary(folder, {}, SHAPE["vocab_size"]).normalizes == "NFC"
    _, report = exported(folder, tmp_path / "out.gguf", "f16", tokens=True)
    assert report.tokens > 1000


@pytest.mark.parametrize(("prefix", "model_type"), [(True, "llama"), (False, "gemma")])
def test_sentencepiece_tokenizers_read_alike(prefix: bool, model_type: str, tmp_path: Path) -> None:
    pytest.importorskip("sentencepiece")
    said = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
    folder = folder_with(tmp_path / "model", sentencepiece(tmp_path, prefix=prefix), model_type, **said)
    found = read_vocabulary(folder, {}, SHAPE["vocab_size"])
    assert (found.model, found.space_prefix, found.add_bos, found.bos) == ("llama", prefix, True, 1)
    _, report = exported(folder, tmp_path / "out.gguf", "f16", tokens=True)
    assert report.tokens > 1000


def test_a_rule_that_llama_cpp_does_not_have_is_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", byte_level(r"\p{L}{1,4}|[^\p{L}]"))
    with pytest.raises(RecipeError, match=r"no name for the rule .*\\p\{L\}\{1,4\}"):
        read_vocabulary(folder, {}, SHAPE["vocab_size"])
    table = json.loads((folder / "tokenizer.json").read_text())
    table["pre_tokenizer"] = {"type": "Whitespace"}
    (folder / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(RecipeError, match="Whitespace"):
        read_vocabulary(folder, {}, SHAPE["vocab_size"])
    table["model"]["type"] = "Unigram"
    (folder / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(RecipeError, match="Unigram"):
        read_vocabulary(folder, {}, SHAPE["vocab_size"])


def test_a_wrong_name_shows_when_tokens_are_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path / "model", byte_level(LLAMA3, ignore_merges=True))
    monkeypatch.setattr(vocabulary, "_cutting", lambda table: "gpt-2")
    with pytest.raises(RecipeError, match=r"llama\.cpp reads"):
        exported(folder, tmp_path / "out.gguf", "f16", tokens=True)


def test_rows_of_the_embedding_without_a_token_are_filled(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "model", byte_level(""))
    found = read_vocabulary(folder, {"eos_token_id": [2, 4]}, SHAPE["vocab_size"])
    assert len(found.tokens) == len(found.types) == SHAPE["vocab_size"] and found.tokens[-1] == "[PAD2047]"
    assert found.ends == [2] and OWN, "generation_config.json names the end"
    (folder / "generation_config.json").unlink()
    assert read_vocabulary(folder, {"eos_token_id": [2, 4]}, SHAPE["vocab_size"]).ends == [2, 4]
    shutil.rmtree(folder)
