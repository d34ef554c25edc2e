"""The text that quantizing is calibrated with, and the text that perplexity is measured on.

This module alone picks, renders and cuts them. The built-in set is prose, program code and conversations in the model's
own chat template, written by this project and lengthened with the documentation and the standard library of the
Python that runs; no line of it is in the held-out text. Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
import random
import sysconfig
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.catalog.build import Recipe
from tui.catalog.calibration_names import hub_text
from tui.catalog.provenance import read_provenance
from tui.errors import RecipeError
from tui.plain_text import clean_line
from tui.starter import MODEL_ID, heldout_text, starter_folder
from tui.workers.template_bounds import bound_templates

TEXT_FOLDER = Path(__file__).resolve().parent / "calibration_text"
SHARES = {"chat": 0.4, "prose": 0.35, "code": 0.25}
"""How much of the built-in set is of which kind; a model without a chat template gets prose for chat."""
MIN_TOKENS = 256
FEW_TOKENS = 4096
SHORT_SAMPLE = 128
FILE_LIMIT = 200_000_000
"""Largest calibration file in bytes."""
_CODE_MODULES = (
    "argparse",
    "ast",
    "difflib",
    "heapq",
    "http/client",
    "inspect",
    "json/decoder",
    "statistics",
    "tarfile",
)

Turns = list[dict[str, str]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Rows of token ids, each of the same length; ``kind`` says where they are from, ``sha256`` names exactly them,
    ``kinds`` counts the rows of each kind of the built-in set."""

    rows: tuple[tuple[int, ...], ...]
    kind: str
    sha256: str
    kinds: tuple[tuple[str, int], ...] = ()

    @property
    def tokens(self) -> int:
        """Tokens in all rows."""
        return sum(map(len, self.rows))

    def facts(self) -> dict[str, Any]:
        """What provenance keeps: never the text itself, which may be private."""
        facts = {"kind": self.kind, "samples": len(self.rows), "tokens": self.tokens, "sha256": self.sha256}
        return facts | ({"kinds": dict(self.kinds)} if self.kinds else {})

    def warnings(self, recipe: Recipe) -> list[str]:
        """What speaks against this text, in words; the job goes on."""
        found = []
        if len(self.rows) < recipe.samples:
            found.append(f"the text is enough for {len(self.rows)} of {recipe.samples} samples")
        if self.tokens < FEW_TOKENS:
            found.append(
                f"{self.tokens} tokens of calibration are few: below {FEW_TOKENS} the loss grows (128 samples of 512 "
                "tokens are usual)"
            )
        length = len(self.rows[0]) if self.rows else 0
        if 0 < length < SHORT_SAMPLE:
            found.append(f"samples of {length} tokens are short: long texts will be read worse than they were before")
        return found


def calibration(
    tokenizer: Any,
    *,
    file: str,
    samples: int,
    sample_length: int,
    context: int,
    seed: int,
    hub_cache: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Calibration:
    """Make at most ``samples`` rows of ``sample_length`` tokens (never longer than ``context``).

    ``file`` is the user's own text, the name of a kind or of a data set, or empty for the built-in mixture. Raises
    ``RecipeError`` when there is too little.
    """
    length = min(sample_length, context)
    rng = random.Random(seed)
    kinds: dict[str, int] = {}
    known = hub_text(file)
    if known is not None:
        from tui.workers.calibration_hub import hub_lines

        if hub_cache is None:
            raise RecipeError(f"{file} comes from the hub, and there is no cache for it", "give a file")
        kind, rows = file, _rows(tokenizer, hub_lines(known, hub_cache, check), samples, length, rng)
    elif file in SHARES:
        kind, rows = f"built-in {file}", _one_kind(tokenizer, file, samples, length, rng)
    elif file:
        kind, rows = "file", _rows(tokenizer, read_file(Path(file), tokenizer), samples, length, rng)
    else:
        kind, (rows, kinds) = "built-in", _built_in(tokenizer, samples, length, rng)
    tokens = sum(map(len, rows))
    if tokens < MIN_TOKENS:
        raise RecipeError(
            f"the calibration text has {tokens} tokens in whole samples of {length}; at least {MIN_TOKENS} are needed",
            "give more text, or shorter samples",
        )
    digest = hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()
    return Calibration(tuple(tuple(row) for row in rows), kind, digest, tuple(sorted(kinds.items())))


def heldout_texts() -> list[str]:
    """The built-in text for perplexity: paragraphs of prose and a piece of code that calibration never uses."""
    return _paragraphs((TEXT_FOLDER / "heldout.txt").read_text(encoding="utf-8"))


def scoring_texts(source: Path, model: str) -> tuple[list[str], str]:
    """The held-out texts for a build and their name: the starter has its own, which it never saw."""
    known = (model, str(read_provenance(source).get("model") or ""))
    if MODEL_ID in known or source.resolve() == starter_folder():
        return heldout_text(), "starter held-out"
    return heldout_texts(), "built-in held-out"


def text_sha256(texts: Sequence[str]) -> str:
    """Names exactly these texts."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


def read_file(file: Path, tokenizer: Any = None) -> list[str]:
    """Read a user's text: plain text, or JSON lines with ``text`` or ``messages`` (rendered with the chat template).

    Raises ``RecipeError`` that names the file and the line.
    """
    try:
        if file.stat().st_size > FILE_LIMIT:
            raise RecipeError(f"{file} is larger than {FILE_LIMIT // 1_000_000} MB", "a few megabytes are plenty")
        content = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise RecipeError(f"{file} cannot be read: {reason}", "give a text file") from None
    if file.suffix.lower() not in (".jsonl", ".ndjson"):
        return [content] if content.strip() else []
    return [
        _json_line(line, number, file, tokenizer) for number, line in enumerate(content.splitlines(), 1) if line.strip()
    ]


def conversations() -> list[Turns]:
    """The built-in conversations: general ones, and the starter's questions and answers that are not held out."""
    table = tomllib.loads((TEXT_FOLDER / "chat.toml").read_text(encoding="utf-8"))
    found: list[Turns] = []
    for entry in table["conversation"]:
        turns = [{"role": "system", "content": entry["system"]}] if "system" in entry else []
        for place, content in enumerate(entry["turns"]):
            turns.append({"role": "assistant" if place % 2 else "user", "content": content})
        found.append(turns)
    from tui.starter.dialogues import read_text

    for fact in read_text().facts:
        for question in fact.questions:
            found.append([{"role": "user", "content": question}, {"role": "assistant", "content": fact.answer}])
    return found


def _one_kind(tokenizer: Any, kind: str, samples: int, length: int, rng: random.Random) -> list[list[int]]:
    texts = _prose() if kind == "prose" else _code() if kind == "code" else _chat(tokenizer)
    if not texts:
        raise RecipeError("this model has no chat template to render conversations with", "use prose or code")
    return _rows(tokenizer, texts, samples, length, rng)


def _built_in(tokenizer: Any, samples: int, length: int, rng: random.Random) -> tuple[list[list[int]], dict[str, int]]:
    wanted = dict.fromkeys(SHARES, 0)
    for number in range(samples):  # deal the rows out by share, so that any count is a mixture
        kind = min(SHARES, key=lambda name: (wanted[name] + 0.5) / SHARES[name])
        wanted[kind] += 1 if number < samples else 0
    texts = {"prose": _prose(), "code": _code(), "chat": _chat(tokenizer)}
    if not texts["chat"]:
        wanted["prose"] += wanted.pop("chat")
    rows: list[list[int]] = []
    made: dict[str, int] = {}
    for kind, count in wanted.items():
        found = _rows(tokenizer, texts[kind], count, length, rng)
        made[kind] = len(found)
        rows += found
    rng.shuffle(rows)
    return rows, made


def _rows(tokenizer: Any, texts: Sequence[str], count: int, length: int, rng: random.Random) -> list[list[int]]:
    # Rows of one length need no padding, which would be counted as if it were text.
    rows: list[list[int]] = []
    pending: list[int] = []
    for text in rng.sample(texts, len(texts)):
        pending += token_ids(tokenizer, text)
        while len(pending) >= length and len(rows) < count:
            rows.append(pending[:length])
            del pending[:length]
        if len(rows) == count:
            break
    if not rows and len(pending) >= MIN_TOKENS:
        rows.append(pending)
    return rows


def token_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of ``text``; special tokens are added unless the text has its own first one (a rendered chat)."""
    begin = tokenizer.bos_token
    own = bool(begin) and text.startswith(begin)
    ids: list[int] = tokenizer(text, add_special_tokens=not own, verbose=False)["input_ids"]
    return ids


def _prose() -> list[str]:
    own = _paragraphs((TEXT_FOLDER / "prose.txt").read_text(encoding="utf-8"))
    try:
        from pydoc_data.topics import topics
    except ImportError:
        return own
    return [*own, *(text for _, text in sorted(topics.items()))]


def _code() -> list[str]:
    own = [part.strip("\n") for part in (TEXT_FOLDER / "code.txt").read_text(encoding="utf-8").split("\n%%\n")]
    library = Path(sysconfig.get_paths()["stdlib"])
    return [*own, *_sources(library)]


def _sources(library: Path) -> Iterator[str]:
    for name in _CODE_MODULES:
        file = library / f"{name}.py"
        if file.is_file():  # some distributions ship compiled files only
            yield file.read_text(encoding="utf-8")


def _chat(tokenizer: Any) -> list[str]:
    if not getattr(tokenizer, "chat_template", None):
        return []
    rendered = []
    for turns in conversations():
        text = _render(tokenizer, turns)
        if text is None:  # many templates know no system role
            text = _render(tokenizer, [turn for turn in turns if turn["role"] != "system"])
        if text:
            rendered.append(text)
    return rendered


def _render(tokenizer: Any, turns: Turns) -> str | None:
    bound_templates()
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False))
    except Exception:  # a template is a program of somebody else; one that refuses a role raises what it likes
        return None


def _json_line(line: str, number: int, file: Path, tokenizer: Any) -> str:
    try:
        table = json.loads(line)
    except (ValueError, RecursionError):
        table = None
    if isinstance(table, dict) and isinstance(table.get("text"), str):
        return str(table["text"])
    if isinstance(table, dict) and isinstance(table.get("messages"), list):
        text = _render(tokenizer, table["messages"]) if getattr(tokenizer, "chat_template", None) else None
        if text is not None:
            return text
        raise RecipeError(f"{file}, line {number}: this model cannot render messages", "give lines with text instead")
    raise RecipeError(
        f"{file}, line {number} has neither text nor messages: {clean_line(line, 60)}", 'write {"text": "..."} per line'
    )


def _paragraphs(text: str) -> list[str]:
    return [part.strip("\n") for part in text.split("\n\n") if part.strip()]
