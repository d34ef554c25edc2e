"""What the errands about trials do with the workbench, off the screen's thread."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from tui.errors import HeftError

if TYPE_CHECKING:
    from tui.chat.conversation import Parameters
    from tui.compare.trial import Order
    from tui.ui.screens.new_trial_screen import Wish
    from tui.ui.trial_news import TrialNews
    from tui.workbench import Workbench


def trial_news(workbench: Workbench, trial_id: int, after: int) -> TrialNews:
    """What changed in a trial after a revision."""
    from tui.ui.trial_news import TrialNews

    trials = workbench.trials()
    trial = trials.store.trial(trial_id)
    votes = len(trials.store.votes(trial_id))
    return TrialNews(
        trial=trial,
        attempts=trials.store.attempts(trial_id, after),
        job=trials.job_of(trial),
        circumstances=trials.store.circumstances(trial_id),
        votes=votes,
        benchmarks=trials.benchmarks(trial),
    )


def order_of(workbench: Workbench, wish: Wish) -> Order:
    """What the form asks for, with its names resolved. Raises ``HeftError``."""
    from tui.compare.trial import Order

    trials = workbench.trials()
    parameters: Parameters = wish.parameters
    return Order(
        contestants=tuple(trials.contestant(name) for name in wish.names),
        prompts=wish.asked.prompts,
        system=wish.asked.system,
        parameters=parameters,
        repeat=wish.repeat,
        max_cost=wish.max_cost,
        judge=trials.contestant(wish.judge) if wish.judge else None,
        embeddings=workbench.settings.compare.embeddings,
    )


def write_exports(workbench: Workbench, trial_id: int) -> list[Path]:
    """Write a trial in every format into the data folder; returns the files."""
    from tui.compare.report import FORMATS, export_csv, export_json, export_markdown, trial_facts

    trials = workbench.trials()
    trial, attempts, lines = trials.results(trial_id)
    circumstances = trials.store.circumstances(trial_id)
    votes = trials.store.votes(trial_id)
    texts = {
        "md": export_markdown(trial, attempts, lines, circumstances),
        "json": export_json(trial_facts(trial, attempts, lines, circumstances, votes)),
        "csv": export_csv(trial, attempts, circumstances),
    }
    folder = workbench.paths.data / "exports"
    written = []
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for kind in FORMATS:
            path = folder / f"trial-{trial_id}.{kind}"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(texts[kind])
            written.append(path)
    except OSError as error:
        raise HeftError(
            f"{folder} cannot be written: {error.strerror or error}", "check its owner and free space"
        ) from error
    return written


def against_earlier(workbench: Workbench, trial_id: int) -> list[str]:
    """What differs from the trial that this one repeats, else from the newest older one with a prompt in common."""
    from tui.compare.difference import difference, words_of

    trials = workbench.trials()
    trial = trials.store.trial(trial_id)
    asked = {prompt.turns for prompt in trial.order.prompts}
    older = [item for item in trials.store.trials() if item.id < trial_id]
    earlier = trial.replay_of or next(
        (item.id for item in older if asked & {prompt.turns for prompt in item.order.prompts}), 0
    )
    if not earlier:
        raise HeftError("no earlier trial asked any of these prompts", "R asks everything again")
    sides = [(*trials.results(number), trials.store.circumstances(number)) for number in (earlier, trial_id)]
    return words_of(difference(sides[0], sides[1]))
