"""Finding models in a list: filters, text, and the order of the answer.

A person types, and each key asks again; therefore everything that does not depend on the question (lower-case texts,
task words) is worked out once per list, and a question is substring search over prepared lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any

from tui.catalog.model import Model, ModelFilter
from tui.catalog.tasks import kinds_of_task, words_of_kind
from tui.errors import UsageError
from tui.plain_text import clean_line

_SORTS: dict[str, tuple[Callable[[Model], Any], bool]] = {
    "name": (lambda model: model.name.casefold(), False),
    "id": (lambda model: model.id.casefold(), False),
    "family": (lambda model: model.family.casefold() or None, False),
    "vendor": (lambda model: model.vendor.casefold() or None, False),
    "kind": (lambda model: model.kind, False),
    "license": (lambda model: model.license.casefold() or None, False),
    "params": (lambda model: model.params, False),
    "size": (lambda model: model.weights_bytes, False),
    "context": (lambda model: model.context_length, True),
    "released": (lambda model: model.released or None, True),
    "updated": (lambda model: model.updated or None, True),
    "downloads": (lambda model: model.downloads, True),
    "likes": (lambda model: model.likes, True),
    "price": (lambda model: model.api.price_out if model.api else None, False),
}

SORT_KEYS = tuple(_SORTS)
"""What ``ModelFilter.sort`` may be, besides "" (best match first, else the order of the list). Texts, sizes and prices
go up; context, dates and popularity go down; "-" before a key turns it round. Rows without a value come last."""

_LAST_PLAIN_RANK = 5


class ModelIndex:
    """A list of models made ready for many questions. The list must not change afterwards."""

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = models
        task_words: dict[str, str] = {}
        self._names: list[str] = []
        self._lines: list[str] = []
        for model in models:
            words = task_words.get(model.kind)
            if words is None:
                words = task_words[model.kind] = words_of_kind(model.kind).casefold()
            name = f"{model.id}\n{model.name}\n{model.repo.rpartition('/')[2]}".casefold()
            rest = f"{model.repo}\n{model.family}\n{model.vendor}\n{model.license}".casefold()
            self._names.append(name)
            self._lines.append(f"{name}\n{rest}\n{' '.join(model.alt_repos).casefold()}\n{words}")

    def search(self, wanted: ModelFilter) -> list[Model]:
        """Rows for which everything in ``wanted`` holds, in its order, at most its limit. Raises ``UsageError`` for
        an unknown sort key or task."""
        order = _order_of(wanted.sort)
        text = " ".join(wanted.text.casefold().split())
        words = text.split()
        models, lines = self.models, self._lines
        if not words:
            hits: Iterable[int] = range(len(models))
        elif len(words) == 1:
            hits = [row for row, line in enumerate(lines) if text in line]
        else:
            first, *others = sorted(words, key=len, reverse=True)
            hits = [row for row, line in enumerate(lines) if first in line]
            for word in others:
                hits = [row for row in hits if word in lines[row]]
        for test in _tests(wanted):
            hits = [row for row in hits if test(models[row])]
        if order is not None:
            found = _sorted([models[row] for row in hits], *order)
        elif words:
            found = self._by_relevance(text, list(hits))
        else:
            found = [models[row] for row in hits]
        return found if wanted.limit is None else found[: max(0, wanted.limit)]

    def _by_relevance(self, text: str, hits: list[int]) -> list[Model]:
        models, names = self.models, self._names
        ranked: list[list[int]] = [[] for _ in range(2 * _LAST_PLAIN_RANK)]
        line_start = "\n" + text
        word_start = re.compile(r"[-_ ./:]" + re.escape(text)).search
        for row in hits:
            name = names[row]
            if text not in name:
                rank = 4
            elif name.startswith(text) or line_start in name:
                rank = 0 if text in name.split("\n") else 1
            else:
                rank = 2 if word_start(name) else 3
            model = models[row]
            usable = model.status == "active" and (model.api is None or not model.api.retired)
            ranked[rank if usable or rank == 0 else rank + _LAST_PLAIN_RANK].append(row)
        return [models[row] for rows in ranked for row in rows]


_indexes: list[ModelIndex] = []
_lock = Lock()


def search(models: Sequence[Model], wanted: ModelFilter) -> list[Model]:
    """Rows of ``models`` that ``wanted`` describes. The last few tuples that were searched stay prepared."""
    return _index_of(models).search(wanted)


def _index_of(models: Sequence[Model]) -> ModelIndex:
    if not isinstance(models, tuple):
        return ModelIndex(models)  # a list may have changed since it was last seen
    with _lock:
        for index in _indexes:
            if index.models is models:
                return index
        index = ModelIndex(models)
        _indexes.insert(0, index)
        del _indexes[3:]
        return index


def _order_of(sort: str) -> tuple[Callable[[Model], Any], bool] | None:
    name = sort.strip().casefold().replace("_", "-")
    if not name:
        return None
    turned = name.startswith("-")
    name = name.lstrip("-")
    name = {"context-length": "context", "parameters": "params", "licence": "license", "weights": "size"}.get(
        name, name
    )
    if name not in _SORTS:
        raise UsageError(f"{clean_line(sort, 40)!r} is not a sort key", f"sort by {', '.join(SORT_KEYS)}")
    value, descending = _SORTS[name]
    return value, descending != turned


def _sorted(found: list[Model], value: Callable[[Model], Any], descending: bool) -> list[Model]:
    keyed = [(value(model), model) for model in found]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=descending)
    return [model for _, model in known] + [model for key, model in keyed if key is None]


def _tests(wanted: ModelFilter) -> list[Callable[[Model], bool]]:
    tests: list[Callable[[Model], bool]] = []
    if wanted.task:
        tests.append(_task_test(wanted.task))
    if wanted.family:
        family = wanted.family.casefold()
        tests.append(lambda model: family in model.family.casefold())
    if wanted.license:
        tests.append(_license_test(wanted.license))
    if wanted.commercial:
        tests.append(lambda model: model.commercial_use in ("yes", "conditional"))
    least, most = wanted.min_params, wanted.max_params
    if least is not None:
        tests.append(lambda model: model.params is not None and model.params >= least)
    if most is not None:
        tests.append(lambda model: model.params is not None and model.params <= most)
    if wanted.open_only:
        tests.append(lambda model: model.open)
    if wanted.api_only:
        tests.append(lambda model: model.api is not None)
    return tests


def _task_test(task: str) -> Callable[[Model], bool]:
    kinds = kinds_of_task(task)
    if not kinds:
        raise UsageError(
            f"{clean_line(task, 40)!r} is not a task that Heft knows",
            "for example text, chat, code, translation, embedding, speech, vision, or a hub tag like text-generation",
        )
    return lambda model: model.kind in kinds


def _license_test(license_name: str) -> Callable[[Model], bool]:
    wanted = _plain(license_name)
    # "mit" must find "MIT (presumed)" but not "permitted": from the start, or from the start of a word.
    at_word = re.compile(r"(?:^|[^a-z0-9])" + re.escape(license_name.casefold().strip()))
    seen: dict[str, bool] = {}

    def test(model: Model) -> bool:
        verdict = seen.get(model.license)
        if verdict is None:
            text = model.license.casefold()
            verdict = seen[model.license] = bool(wanted) and (
                _plain(text).startswith(wanted) or at_word.search(text) is not None
            )
        return verdict

    return test


def _plain(text: str) -> str:
    return re.sub("[^a-z0-9]", "", text.casefold())
