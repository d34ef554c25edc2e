"""What the words of a filter text ask for: bounds like ``<8b``, qualifiers like ``license:mit``, words to look for."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.errors import UsageError
from tui.quantities import parse_count

if TYPE_CHECKING:
    from tui.catalog.model import Model


@dataclass(frozen=True, slots=True)
class Asked:
    """What a filter text says: ``words`` to look for, bounds of the parameters, and ``qualifiers`` by name."""

    words: str
    least: int | None
    most: int | None
    tests: tuple[Callable[[Model], bool], ...]


def read_text(text: str) -> Asked:
    """Take the bounds (``<8b``, ``>=1b``) and qualifiers (``license:mit``) out of a filter text."""
    words: list[str] = []
    tests: list[Callable[[Model], bool]] = []
    least: int | None = None
    most: int | None = None
    for word in text.lower().split():
        name, colon, value = word.partition(":")
        if word.startswith(("<", ">")):
            in_size = size_test(word)
            if in_size is not None:
                tests.append(lambda model, fits=in_size: model.params is not None and fits(model.params))  # type: ignore[misc]
                bound = parse_count(word.lstrip("<>="))
                least, most = (least, bound) if word.startswith("<") else (bound, most)
        elif colon and name in QUALIFIERS:
            if value:
                tests.append(lambda model, of=QUALIFIERS[name], part=value: holds(of(model), part))  # type: ignore[misc]
        else:
            words.append(word)
    return Asked(" ".join(words), least, most, tuple(tests))


QUALIFIERS: dict[str, Callable[[Model], str]] = {
    "license": lambda model: model.license,
    "licence": lambda model: model.license,
    "family": lambda model: model.family,
    "task": lambda model: model.kind,
    "kind": lambda model: model.kind,
    "by": lambda model: model.vendor,
    "status": lambda model: model.status,
}


def holds(text: str, part: str) -> bool:
    """Whether the letters and digits of ``part`` stand in ``text``, whatever is between them."""
    return _letters(part) in _letters(text)


def _letters(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.lower())


def size_test(word: str) -> Callable[[int], bool] | None:
    """What ``<8b``, ``<=8b``, ``>500m`` or ``>=1b`` ask of a number of parameters; None while there is no number."""
    if not word.startswith(("<", ">")):
        return None
    try:
        bound = parse_count(word.lstrip("<>="))
    except UsageError:
        return None
    if word.startswith("<"):
        return (lambda params: params <= bound) if "=" in word else (lambda params: params < bound)
    return (lambda params: params >= bound) if "=" in word else (lambda params: params > bound)
