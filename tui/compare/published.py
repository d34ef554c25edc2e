"""What others published about a model: the results in its card and at the hub, to stand beside our own measurements.

They were measured elsewhere, by whoever wrote them down, so they are always marked as published and never mixed into a
table of ours. A card has the ``model-index`` of the hub's card specification; the hub has the entries of the files in
``.eval_results`` (huggingface.co/docs/hub/eval-results).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.catalog.card import Card
from tui.plain_text import clean_line

LIMIT = 40


@dataclass(frozen=True, slots=True)
class Published:
    """One result: the data set, the metric or task, its value, and whose it is said to be from which day."""

    dataset: str
    metric: str
    value: str
    source: str = ""
    date: str = ""


@dataclass(frozen=True, slots=True)
class HubResults:
    """What the hub had to say, asked on the day ``asked``; ``note`` says why there is nothing."""

    results: tuple[Published, ...] = ()
    note: str = ""
    asked: str = ""


def published_results(card: Card) -> list[Published]:
    """The results in the card's front matter, in its order; none when it has none or they have another shape."""
    index = card.front_matter.get("model-index")
    found: list[Published] = []
    for model in _tables(index):
        for result in _tables(model.get("results")):
            dataset = _table(result.get("dataset"))
            source = _table(result.get("source"))
            for metric in _tables(result.get("metrics")):
                if metric.get("value") is None:
                    continue
                found.append(
                    Published(
                        dataset=_words(dataset.get("name") or dataset.get("type")),
                        metric=_words(metric.get("name") or metric.get("type")),
                        value=_number(metric["value"]),
                        source=_words(source.get("name") or source.get("url")),
                    )
                )
    return found[:LIMIT]


def hub_results(entries: Sequence[Any]) -> list[Published]:
    """The hub's evaluation results, in its order; an entry of another shape, or a file that it refused, is left out."""
    found: list[Published] = []
    for entry in _tables(entries):
        data = _table(entry.get("data", entry))
        dataset, source = _table(data.get("dataset")), _table(data.get("source"))
        if "error" in entry or not dataset.get("id") or data.get("value") is None:
            continue
        whose = source.get("name") or source.get("org") or source.get("user") or source.get("url")
        task = [_words(part) for part in (dataset.get("task_id"), data.get("notes")) if part and part != "default"]
        found.append(
            Published(
                dataset=_words(dataset["id"]),
                metric=", ".join(task),
                value=_number(data["value"]),
                source=_words(whose),
                date=_words(data.get("date"))[:10],
            )
        )
    return found[:LIMIT]


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _tables(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def _words(value: Any) -> str:
    return clean_line(str(value), 80) if value is not None else ""


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else _words(value)
