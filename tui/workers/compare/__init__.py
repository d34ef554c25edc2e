"""Compare: put the prompts of a trial to its contestants, and keep every answer with what it took.

A client of endpoints: it loads no model itself but asks for serve jobs, wave by wave, and cancels those that it asked
for. Killed in the middle, the next attempt asks only what has no answer yet.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tui.chat.price import nano
from tui.compare.keys import forget_keys
from tui.compare.plan import cost_text
from tui.compare.trial import AttemptState, Trial, newest
from tui.compare.trial_store import TrialStore
from tui.errors import HeftError
from tui.workers.compare.judging import Judging
from tui.workers.compare.panel import Panel
from tui.workers.compare.worth import judge_worth
from tui.workers.reporter import Reporter


class TrialIncompleteError(HeftError):
    """Some answers are missing; what is there is kept."""


def run(reporter: Reporter) -> dict[str, Any]:
    """Work on the trial of this job; returns its totals. Raises ``TrialIncompleteError`` when answers are missing."""
    reporter.grace = 6.0
    store = TrialStore(reporter.paths.trials)
    try:
        trial_id = int(reporter.job.spec["trial"])
        trial = store.trial(trial_id)
        lost = store.lose(trial_id)
        store.forget_held(trial_id)
        if lost:
            reporter.say(f"{lost} answers were cut off when the last attempt was killed; they are asked again")
        panel = Panel(reporter, store, trial)
        panel.ask_all()
        judge_worth(panel)
        if trial.order.judge is not None:
            Judging(panel).judge_all()
        return _ending(reporter, store, store.trial(trial_id))
    finally:
        store.close()


def _ending(reporter: Reporter, store: TrialStore, trial: Trial) -> dict[str, Any]:
    attempts = store.attempts(trial.id)
    missing = trial.wanted - sum(attempt.is_answer for attempt in newest(attempts).values())
    spent = store.spent(trial.id)
    if missing:
        raise _incomplete(store, trial, missing, spent)
    forget_keys(reporter.folder)
    return {
        "trial": trial.id,
        "answers": trial.wanted,
        "requests": len(attempts),
        "prompt_tokens": sum(attempt.prompt_tokens or 0 for attempt in attempts),
        "completion_tokens": sum(attempt.completion_tokens or 0 for attempt in attempts),
        "cost": spent / 1e9,
    }


def _incomplete(store: TrialStore, trial: Trial, missing: int, spent: int) -> TrialIncompleteError:
    last = newest(store.attempts(trial.id)).values()
    if any(attempt.state is AttemptState.HELD for attempt in last):
        cap = nano(Decimal(str(trial.order.max_cost)))
        return TrialIncompleteError(
            f"stopped at the spend cap: {cost_text(spent)} of at most {cost_text(cap)} is spent,"
            f" {missing} of {trial.wanted} answers are missing",
            f"heft trials retry {trial.id} --max-cost USD goes on",
        )
    problems = {
        trial.order.contestants[number].name: standing.problem
        for number, standing in enumerate(trial.standings)
        if standing.problem
    }
    for attempt in last:
        if not attempt.is_answer:
            problems.setdefault(trial.order.contestants[attempt.place.contestant].name, attempt.problem)
    who = "; ".join(f"{name}: {why}" for name, why in problems.items())
    return TrialIncompleteError(
        f"{missing} of {trial.wanted} answers are missing: {who}"[:500],
        f"the others are kept; heft trials retry {trial.id} asks only these again",
    )
