"""Where two answers part: the quant ladder holds each smaller build against the 16-bit one, token by token."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tui.compare.trial import Contestant

_PIECE = re.compile(r"\s*\w+|\s*[^\w\s]|\s+")
_BITS = re.compile(r"(\d+)bit|q(\d)(?:_|$)|int(\d+)|nf(\d)|fp(\d+)")


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first token that differs: its ``token`` number and ``character`` offset in the answer; both None when the
    answers are the same. ``unit`` is "token" (of the model's own tokenizer) or "word"."""

    token: int | None
    character: int | None
    unit: str
    tokens: int


def bits_of(contestant: Contestant) -> int:
    """Bits per weight that a precision names; 0 where it says nothing."""
    if contestant.recipe:
        return int(contestant.recipe.get("bits") or 0)
    precision = contestant.precision.casefold()
    if precision in ("float16", "bfloat16", "float32"):
        return 32 if precision == "float32" else 16
    found = _BITS.search(precision)
    return int(next(number for number in found.groups() if number)) if found else 0


def ladder(contestants: Sequence[Contestant]) -> dict[int, int]:
    """For each quantized build the number of the contestant with the most bits of the same model, which it is held
    against; empty where there is no such pair."""
    found: dict[int, int] = {}
    for number, contestant in enumerate(contestants):
        same = [
            other
            for other, candidate in enumerate(contestants)
            if candidate.is_local and candidate.model == contestant.model and bits_of(candidate) > bits_of(contestant)
        ]
        if contestant.is_local and same:
            found[number] = max(same, key=lambda other: bits_of(contestants[other]))
    return found


def diverges(text: str, reference: str, cut: Callable[[str], list[tuple[int, int]]] | None = None) -> Divergence:
    """Hold ``text`` against ``reference``. ``cut`` gives the (start, end) offsets of a text's tokens; without it words
    are compared."""
    unit = "token" if cut is not None else "word"
    cutter = cut or _cut_words
    said, right = cutter(text), cutter(reference)
    for number, ((start, end), (first, last)) in enumerate(zip(said, right, strict=False)):
        if text[start:end] != reference[first:last]:
            return Divergence(number, start, unit, len(said))
    if len(said) != len(right):
        shorter = min(len(said), len(right))
        return Divergence(shorter, said[shorter][0] if shorter < len(said) else len(text), unit, len(said))
    return Divergence(None, None, unit, len(said))


def tokenizer_cut(folder: Path) -> Callable[[str], list[tuple[int, int]]] | None:
    """Cuts a text as the build's own tokenizer does; None when it has no ``tokenizer.json`` that can be read."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(path))
    except Exception:  # the library raises a bare Exception for a file it does not understand
        return None

    def cut(text: str) -> list[tuple[int, int]]:
        return [span for span in tokenizer.encode(text, add_special_tokens=False).offsets if span[0] < span[1]]

    return cut


def _cut_words(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in _PIECE.finditer(text)]
