"""Checks what the answers are worth, once they are there: rules, references, meaning, and where a smaller build parts
ways with the larger one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tui.chat.resolve import configured_endpoint
from tui.compare.checks import check
from tui.compare.divergence import diverges, ladder, tokenizer_cut
from tui.compare.similarity import embed, similarity
from tui.compare.trial import Attempt, Place, newest
from tui.errors import HeftError
from tui.workers.compare.panel import Panel

_Cut = Callable[[str], list[tuple[int, int]]]


def judge_worth(panel: Panel) -> None:
    """Write the quality of every answer that has none yet."""
    store, trial = panel.store, panel.trial
    answers = {place: attempt for place, attempt in newest(store.attempts(trial.id)).items() if attempt.is_answer}
    against = ladder(trial.order.contestants)
    cuts: dict[int, _Cut | None] = {}
    fresh: dict[Place, dict[str, Any]] = {}
    for place, attempt in answers.items():
        panel.reporter.check()
        best = against.get(place.contestant)
        other = answers.get(replace(place, contestant=best)) if best is not None else None
        if attempt.quality and (other is None or "divergence" in attempt.quality):
            continue
        prompt = trial.order.prompts[place.prompt]
        found = check(prompt, attempt.text) if place.turn == len(prompt.turns) - 1 else {}
        if best is not None and other is not None:
            if best not in cuts:
                cuts[best] = tokenizer_cut(Path(trial.order.contestants[best].path))
            parted = diverges(attempt.text, other.text, cuts[best])
            found["divergence"] = asdict(parted) | {"against": trial.order.contestants[best].name}
        if found:
            fresh[place] = found
    if fresh and trial.order.embeddings:
        try:
            _add_meaning(panel, answers, fresh)
        except HeftError as error:
            panel.reporter.say(f"meaning was not compared: {error.summary}")
    for place, found in fresh.items():
        store.finish(answers[place].id, quality=found)


def _add_meaning(panel: Panel, answers: dict[Place, Attempt], fresh: dict[Place, dict[str, Any]]) -> None:
    """``similarity`` of each answer to the expected one, for the prompts that have one."""
    name = panel.order.embeddings
    settings = next((item for item in panel.settings.endpoints if item.name == name), None)
    if settings is None:
        raise HeftError(f"there is no endpoint called {name}", "[compare] embeddings names one of [endpoints]")
    endpoint = configured_endpoint(settings, panel.keys)
    places = [place for place in fresh if panel.order.prompts[place.prompt].expected]
    for place in places:
        expected = panel.order.prompts[place.prompt].expected
        vectors = embed(endpoint, [answers[place].text or " ", *expected])
        fresh[place]["similarity"] = round(max(similarity(vectors[0], other) for other in vectors[1:]), 4)
