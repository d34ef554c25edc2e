"""Scores of benchmark tasks, measured here by lm-evaluation-harness, for the table of a trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tui.plain_text import clean_line


@dataclass(frozen=True, slots=True)
class Score:
    """One metric of one task over ``samples``: its ``value`` and standard ``error`` (None where there is none)."""

    task: str
    metric: str
    value: float
    error: float | None = None
    samples: int | None = None

    @property
    def label(self) -> str:
        """A column's head: "mmlu_local acc"."""
        return f"{self.task} {self.metric}"


def scores_of(results: Mapping[str, Any]) -> list[Score]:
    """What the harness returned, metric by metric; names like ``acc,none`` lose their filter when it is "none"."""
    found = []
    for task, table in (results.get("results") or {}).items():
        samples = table.get("sample_len")
        for name, value in table.items():
            metric, _, chosen = str(name).partition(",")
            if not chosen or metric.endswith("_stderr") or not isinstance(value, int | float):
                continue
            error = table.get(f"{metric}_stderr,{chosen}")
            label = metric if chosen == "none" else f"{metric} ({chosen})"
            found.append(
                Score(
                    clean_line(str(task), 60),
                    clean_line(label, 40),
                    float(value),
                    float(error) if isinstance(error, int | float) else None,
                    samples if isinstance(samples, int) else None,
                )
            )
    return found


def labelled(scores: Sequence[Score]) -> dict[str, float]:
    """Scores by their label."""
    return {score.label: score.value for score in scores}
