"""A tokenizer.json in the words of a GGUF file: byte-level BPE, or BPE that came from SentencePiece.

llama.cpp knows how a text is cut before BPE by a name (``tokenizer.ggml.pre``), and with the wrong name it reads other
tokens without an error. The name is found by what the tokenizer does, its cutting rule, and a rule that llama.cpp does
not have is refused. Whether both read hard texts alike is tried on the finished file (``checking.py``).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.errors import BuildBrokenError, RecipeError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
_SPACE = "▁"

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+"
_CASED = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
    "{0}|"
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
    "{0}|"
)
_CASED_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_PATTERNS = {
    rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}{{1,3}}|{_REST}": ("llama-bpe", "smaug-bpe"),
    rf"{_CONTRACTIONS}|{_WORDS}|\p{{N}}|{_REST}": ("", "qwen2"),
    _CASED.replace("{0}", "") + r"\p{N}" + _CASED_REST: ("tekken", ""),
    _CASED.replace("{0}", f"{_CONTRACTIONS}?") + r"\p{N}{1,3}" + _CASED_REST: ("", "gpt-4o"),
}
"""Cutting rules as tokenizer.json files have them, and llama.cpp's names for them: where whole words of the vocabulary
are taken without merging (``ignore_merges``), and where not."""


@dataclass(slots=True)
class Vocabulary:
    """What the file says of tokens. ``ends`` are the tokens that end an answer; ``normalizes`` names what llama.cpp
    does not do to a text before cutting it and the model's own tokenizer does ("NFC", or empty)."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    add_bos: bool = False
    add_eos: bool = False
    space_prefix: bool = False
    bos: int | None = None
    ends: list[int] = field(default_factory=list)
    unknown: int | None = None
    pad: int | None = None
    template: str = ""
    normalizes: str = ""

    def write(self, writer: Any) -> None:
        """Write all of it."""
        writer.add_tokenizer_model(self.model)
        writer.add_tokenizer_pre(self.pre)
        writer.add_token_list(self.tokens)
        writer.add_token_types(self.types)
        if self.scores:
            writer.add_token_scores(self.scores)
            writer.add_add_space_prefix(self.space_prefix)
        if self.merges:
            writer.add_token_merges(self.merges)
        writer.add_add_bos_token(self.add_bos)
        writer.add_add_eos_token(self.add_eos)
        for add, value in zip(
            (writer.add_eos_token_id, writer.add_eot_token_id, writer.add_eom_token_id), self.ends, strict=False
        ):
            add(value)
        for add, known in (
            (writer.add_bos_token_id, self.bos),
            (writer.add_unk_token_id, self.unknown),
            (writer.add_pad_token_id, self.pad),
        ):
            if known is not None:
                add(known)
        if self.template:
            writer.add_chat_template(self.template)


def read_vocabulary(folder: Path, config: Mapping[str, Any], rows: int) -> Vocabulary:
    """Read the tokenizer of ``folder``; ``rows`` is how many tokens the embedding has. Raises ``RecipeError`` for a
    tokenizer that llama.cpp cannot be told of."""
    table = _json(folder / "tokenizer.json")
    model = table.get("model") or {}
    if model.get("type") != "BPE":
        raise RecipeError(f"its tokenizer is of type {model.get('type')}, Heft exports BPE", "choose another model")
    known = {int(index): str(token) for token, index in model["vocab"].items()}
    added = {int(item["id"]): item for item in table.get("added_tokens") or ()}
    known |= {index: str(item["content"]) for index, item in added.items()}
    tokens = [known.get(index, f"[PAD{index}]") for index in range(rows)]
    types = [_type(index, known, added) for index in range(rows)]
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in model.get("merges") or ()]
    if model.get("byte_fallback"):
        found = _sentencepiece(table, tokens, types, merges)
    else:
        found = Vocabulary("gpt2", _cutting(table), tokens, types, merges)
        found.normalizes = _normalizer(table)
    _special(found, folder, config, {token: index for index, token in known.items()})
    return found


def _type(index: int, known: Mapping[int, str], added: Mapping[int, Mapping[str, Any]]) -> int:
    if index not in known:
        return UNUSED
    if index not in added:
        return NORMAL
    return CONTROL if added[index].get("special") else USER_DEFINED


def _cutting(table: Mapping[str, Any]) -> str:
    """llama.cpp's name for the rule by which a text is cut before BPE."""
    steps = _steps(table.get("pre_tokenizer"), "pretokenizers")
    kinds = [step.get("type") for step in steps]
    last = steps[-1] if steps else {}
    plain = kinds[-1:] == ["ByteLevel"] and not last.get("add_prefix_space")
    if plain and last.get("use_regex") is not False:
        if kinds == ["ByteLevel"]:
            return "gpt-2"
        if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
            return "smollm"
    if plain and kinds == ["Split", "ByteLevel"] and last.get("use_regex") is False:
        pattern = (steps[0].get("pattern") or {}).get("Regex")
        cuts = steps[0].get("behavior") == "Isolated" or steps[0].get("behavior") == "Removed"
        names = _PATTERNS.get(str(pattern)) if cuts else None
        name = names[0 if (table.get("model") or {}).get("ignore_merges") else 1] if names else ""
        if name:
            return name
        raise RecipeError(
            f"llama.cpp has no name for the rule by which its tokenizer cuts a text: {pattern}", "choose another model"
        )
    raise RecipeError(
        f"llama.cpp has no name for how its tokenizer cuts a text ({', '.join(map(str, kinds)) or 'not at all'})",
        "choose another model",
    )


def _normalizer(table: Mapping[str, Any]) -> str:
    kinds = [str(step.get("type")) for step in _steps(table.get("normalizer"), "normalizers")]
    if kinds in ([], ["NFC"]):
        return "".join(kinds)
    raise RecipeError(f"its tokenizer changes texts by {', '.join(kinds)}, llama.cpp does not", "choose another model")


def _sentencepiece(table: Mapping[str, Any], tokens: list[str], types: list[int], merges: Sequence[str]) -> Vocabulary:
    """SentencePiece merges the pair whose result has the best score: the rank of the first merge that makes it."""
    ranks: dict[str, int] = {}
    for rank, merge in enumerate(merges):
        ranks.setdefault(merge.replace(" ", "", 1), rank)
    scores = [-float(ranks.get(token, len(merges))) for token in tokens]
    unknown = (table.get("model") or {}).get("unk_token")
    for index, token in enumerate(tokens):
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            types[index] = BYTE
        elif token == unknown:
            types[index] = UNKNOWN
    found = Vocabulary("llama", "default", tokens, types, scores=scores)
    found.space_prefix = _space_prefix(table)
    return found


def _space_prefix(table: Mapping[str, Any]) -> bool:
    """Whether a space is put before the text; raises for other changes than SentencePiece's own."""
    before = _steps(table.get("normalizer"), "normalizers")
    cutting = _steps(table.get("pre_tokenizer"), "pretokenizers")
    kinds = [step.get("type") for step in before]
    spaces = before[-1] if before else {}
    replaced = spaces.get("type") == "Replace" and spaces.get("content") == _SPACE
    harmless = not cutting or [step.get("type") for step in cutting] == ["Split"]
    if replaced and harmless and kinds == ["Prepend", "Replace"]:
        return True
    if replaced and harmless and kinds == ["Replace"]:
        return False
    if not before and [step.get("type") for step in cutting] == ["Metaspace"]:
        return bool(cutting[0].get("prepend_scheme", "always") != "never")
    names = [str(step.get("type")) for step in (*before, *cutting)]
    raise RecipeError(f"llama.cpp does not prepare a text as its tokenizer does ({', '.join(names)})", "choose another")


def _special(found: Vocabulary, folder: Path, config: Mapping[str, Any], ids: Mapping[str, int]) -> None:
    said = _json(folder / "tokenizer_config.json", needed=False)
    generation = _json(folder / "generation_config.json", needed=False)

    def token(name: str) -> int | None:
        value = said.get(f"{name}_token")
        text = value.get("content") if isinstance(value, dict) else value
        by_id = config.get(f"{name}_token_id")
        index = ids.get(text) if isinstance(text, str) else by_id if isinstance(by_id, int) else None
        return index if index is not None and index < len(found.tokens) else None

    found.bos, found.pad, found.unknown = token("bos"), token("pad"), token("unk")
    ends: list[int] = []
    for source in (generation.get("eos_token_id"), config.get("eos_token_id"), token("eos")):
        ends += [end for end in (source if isinstance(source, list) else [source]) if isinstance(end, int)]
        if ends:
            break
    found.ends = [end for end in dict.fromkeys(ends) if end < len(found.tokens)]
    found.template = _template(folder, said)
    found.add_bos, found.add_eos = _frame(folder, found)


def _frame(folder: Path, found: Vocabulary) -> tuple[bool, bool]:
    """Whether a text gets its beginning and its end marked, found by trying it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    bare, framed = (tokenizer.encode("a", add_special_tokens=add).ids for add in (False, True))
    before = framed[: len(framed) - len(bare)] if framed[len(framed) - len(bare) :] == bare else framed[:1]
    after = framed[len(before) + len(bare) :]
    if (before and before != [found.bos]) or len(after) > 1 or (after and after[0] not in found.ends):
        raise RecipeError("its tokenizer puts tokens around a text that llama.cpp does not", "choose another model")
    return bool(before), bool(after)


def _template(folder: Path, said: Mapping[str, Any]) -> str:
    try:
        return (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except OSError:
        pass
    value = said.get("chat_template")
    if isinstance(value, list):
        named = {str(item.get("name")): item.get("template") for item in value if isinstance(item, dict)}
        value = named.get("default")
    return value if isinstance(value, str) else ""


def _steps(table: Any, name: str) -> list[dict[str, Any]]:
    if not isinstance(table, dict):
        return []
    if table.get("type") == "Sequence":
        return [step for step in table.get(name) or () if isinstance(step, dict)]
    return [table]


def _json(file: Path, *, needed: bool = True) -> dict[str, Any]:
    try:
        table = json.loads(file.read_bytes())
    except FileNotFoundError:
        if needed:
            raise BuildBrokenError(f"{file.name} is missing", "get the model again") from None
        return {}
    except (OSError, ValueError) as error:
        raise BuildBrokenError(f"{file.name} cannot be read: {error}", "get the model again") from None
    return table if isinstance(table, dict) else {}
