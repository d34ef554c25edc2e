"""Which models a person sees: text, chips and order over any number of rows, fast enough for every keystroke.

The haystacks are lowered once; a longer text is looked for only among what the shorter one found.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, overload

from tui.fit.verdict import Fit, Verdict
from tui.ui.filter_words import holds, read_text

if TYPE_CHECKING:
    from tui.catalog.model import Model

KEPT = 24
"""Texts whose rows are remembered."""
REACH = ("", "open", "api")
SIZES: dict[str, tuple[int, int]] = {
    "up to 1B": (0, 1_000_000_000),
    "1 to 4B": (1_000_000_000, 4_200_000_000),
    "4 to 9B": (4_200_000_000, 9_500_000_000),
    "9 to 16B": (9_500_000_000, 16_500_000_000),
    "16 to 45B": (16_500_000_000, 45_000_000_000),
    "over 45B": (45_000_000_000, 10**16),
}
"""Classes of size by name: least and most parameters. A model that calls itself 4B may have a little more."""
RANKED = 1000
"""So many matches are ordered by how well they match; of more, nobody reads the order."""
SORTS = ("catalog", "name", "smallest", "largest", "longest context", "newest", "most downloaded", "best fit")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the catalog shows. ``reach`` is "", "open" or "api"; ``task`` a kind of model, ``license`` and ``family`` a
    part of their names, ``size`` a key of ``SIZES``; empty for all. ``text`` may hold such words too: ``<8b``,
    ``license:mit``, ``family:qwen``, ``task:code``, ``by:google``."""

    text: str = ""
    task: str = ""
    reach: str = ""
    commercial: bool = False
    fits: bool = False
    installed: bool = False
    sort: str = "catalog"
    license: str = ""
    family: str = ""
    size: str = ""
    ungated: bool = False

    @property
    def is_plain(self) -> bool:
        """Nothing is filtered out."""
        return replace(self, sort="catalog") == Wanted()


def _following(values: Sequence[str], value: str) -> str:
    return values[(values.index(value) + 1) % len(values)] if value in values else values[0]


def next_reach(wanted: Wanted) -> Wanted:
    """All, then open weights only, then APIs only."""
    return replace(wanted, reach=_following(REACH, wanted.reach))


def turned(wanted: Wanted, name: str) -> Wanted:
    """The filter "fits", "installed" or "commercial" turned on or off."""
    if name == "fits":
        return replace(wanted, fits=not wanted.fits)
    if name == "installed":
        return replace(wanted, installed=not wanted.installed)
    return replace(wanted, commercial=not wanted.commercial)


def next_sort(wanted: Wanted) -> Wanted:
    """The next order."""
    return replace(wanted, sort=_following(SORTS, wanted.sort))


def next_task(wanted: Wanted, tasks: Sequence[str]) -> Wanted:
    """All tasks, then one after the other."""
    return replace(wanted, task=_following(("", *tasks), wanted.task))


def haystack(model: Model) -> str:
    """What the filter text is looked for in."""
    parts = (model.name, model.id, model.repo, model.vendor, model.family, model.kind, model.license, model.source)
    return "\n".join(parts).lower()


class Rows(Sequence["Model"]):
    """Some of the models by their places: only those that are seen are ever looked up."""

    def __init__(self, models: Sequence[Model], places: Sequence[int]) -> None:
        self._models, self._places = models, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Model: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Model]: ...
    def __getitem__(self, place: int | slice) -> Model | Sequence[Model]:
        if isinstance(place, slice):
            return Rows(self._models, self._places[place])
        return self._models[self._places[place]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]


def commonest(names: Iterable[str], most: int) -> list[str]:
    """The ``most`` names that occur most often, empty ones left out."""
    return [name for name, _ in Counter(name for name in names if name).most_common(most)]


class CatalogIndex:
    """The rows of the catalog in the order of the file (the starter first, what nobody can use last)."""

    def __init__(self, models: Sequence[Model] = ()) -> None:
        def rank(model: Model) -> tuple[bool, bool]:
            return model.source != "starter", bool(model.unusable_because)

        self.models: list[Model] = sorted(models, key=rank)
        self.tasks: list[str] = sorted({model.kind for model in models if model.kind})
        self._haystacks: list[str] = [haystack(model) for model in self.models]
        self._found: dict[str, list[int]] = {"": list(range(len(self.models)))}

    def visible(self, wanted: Wanted, installed: frozenset[str], fits: Mapping[str, Fit]) -> Sequence[Model]:
        """The models that ``wanted`` asks for, in its order; without one, what matches its text best comes first."""
        asked = read_text(wanted.text)
        indexes = self._matching(asked.words)
        if asked.words and wanted.sort == "catalog" and len(indexes) <= RANKED:
            indexes = self._best_first(asked.words, indexes)
        tests = [*asked.tests, *_tests(wanted, installed, fits)]
        if not tests and wanted.sort == "catalog":
            return Rows(self.models, indexes)
        found = [self.models[index] for index in indexes]
        for test in tests:
            found = [model for model in found if test(model)]
        return sort_models(found, wanted.sort, fits)

    def _best_first(self, text: str, indexes: Sequence[int]) -> list[int]:
        """``indexes`` by how well their rows match: whole words of the name before parts of words, before other facts;
        what nobody can use stays last."""
        whole = [(word, re.compile(rf"(?<![a-z0-9.]){re.escape(word)}(?![a-z0-9.])")) for word in text.split()]
        found = []
        for index in indexes:
            model = self.models[index]
            name = f"{model.name}\n{model.id}".lower()
            misses = sum(0 if rule.search(name) else 1 if word in name else 2 for word, rule in whole)
            begins = name.startswith(text) or f"\n{text}" in name
            found.append((bool(model.unusable_because), misses, not begins, index))
        return [index for *_, index in sorted(found)]

    def _matching(self, text: str) -> list[int]:
        """Rows that hold every word of ``text``. What the last texts found is kept: a longer text is looked for among
        the rows of the longest one that it begins with, and deleting a letter costs nothing."""
        known = self._found.get(text)
        if known is not None:
            return known
        before = max((other for other in self._found if text.startswith(other)), key=len)
        indexes, haystacks = self._found[before], self._haystacks
        for word in text.split():
            indexes = [index for index in indexes if word in haystacks[index]]
        while len(self._found) >= KEPT:
            self._found.pop(next(other for other in self._found if other))
        self._found[text] = indexes
        return indexes


def only(
    models: Sequence[Model], wanted: Wanted, installed: frozenset[str], fits: Mapping[str, Fit]
) -> Sequence[Model]:
    """Those of ``models``, which somebody else has searched already, that pass the chips and qualifiers of ``wanted``,
    in its order."""
    tests = [*read_text(wanted.text).tests, *_tests(wanted, installed, fits)]
    return sort_models([model for model in models if all(test(model) for test in tests)], wanted.sort, fits)


def is_installed(model: Model, installed: frozenset[str]) -> bool:
    """Whether a build of ``model`` is on this disk."""
    return model.id in installed or (bool(model.repo) and model.repo in installed)


def _tests(wanted: Wanted, installed: frozenset[str], fits: Mapping[str, Fit]) -> list[Callable[[Model], bool]]:
    tests: list[Callable[[Model], bool]] = []
    if wanted.task:
        tests.append(lambda model: model.kind == wanted.task)
    if wanted.reach:
        tests.append(lambda model: model.is_api == (wanted.reach == "api"))
    if wanted.commercial:
        tests.append(lambda model: model.commercial_use in ("yes", "conditional"))
    if wanted.license:
        tests.append(lambda model: holds(model.license, wanted.license))
    if wanted.family:
        tests.append(lambda model: holds(model.family, wanted.family))
    if wanted.size in SIZES:
        least, most = SIZES[wanted.size]
        tests.append(lambda model: model.params is not None and least < model.params <= most)
    if wanted.ungated:
        tests.append(lambda model: not model.gated)
    if wanted.installed:
        tests.append(lambda model: is_installed(model, installed))
    if wanted.fits:
        tests.append(lambda model: model.id in fits and fits[model.id].verdict is Verdict.FITS)
    return tests


_VERDICT_ORDER = {Verdict.FITS: 0, Verdict.FITS_EMPTY: 1, Verdict.UNKNOWN: 2, Verdict.DOES_NOT_FIT: 3}


def sort_models(models: list[Model], sort: str, fits: Mapping[str, Fit]) -> list[Model]:
    """``models`` in the order named ``sort``; unknown values come last."""
    if sort == "name":
        return sorted(models, key=lambda model: model.name.lower())
    if sort == "smallest":
        return sorted(models, key=lambda model: (model.params is None, model.params or 0))
    if sort == "largest":
        return sorted(models, key=lambda model: -(model.params or 0))
    if sort == "longest context":
        return sorted(models, key=lambda model: -(model.context_length or 0))
    if sort == "most downloaded":
        return sorted(models, key=lambda model: -(model.downloads or 0))
    if sort == "newest":
        return sorted(models, key=lambda model: model.released or model.updated, reverse=True)
    if sort == "best fit":

        def by_fit(model: Model) -> tuple[int, int]:
            fit = fits.get(model.id)
            return (_VERDICT_ORDER[fit.verdict] if fit else 4, -(model.params or 0))

        return sorted(models, key=by_fit)
    return models
