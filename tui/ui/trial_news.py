"""What the screen of a trial asks for, and the news that it gets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tui.ui.request import Request

if TYPE_CHECKING:
    from tui.compare.trial import Attempt, Contestant, Trial
    from tui.jobs.job import Job
    from tui.ui.screens.dialog import Dialog
    from tui.ui.screens.trial_screen import TrialScreen


@dataclass(frozen=True, slots=True)
class TrialNews:
    """What changed since the last look; ``job`` is None when it is not known on this machine any more."""

    trial: Trial
    attempts: Sequence[Attempt]
    job: Job | None
    circumstances: Mapping[int, Mapping[str, Any]]
    votes: int
    benchmarks: Mapping[str, Mapping[str, float]]


class TrialNewsAsked(Request):
    """What is new about this trial after that revision?"""

    screen: TrialScreen
    trial_id: int
    after: int


class TrialAsked(Request):
    """Do something with a trial: ``wish`` is "retry", "replay", "export", "vote", "board", "cancel" or "diff"."""

    screen: Dialog[None]
    trial_id: int
    wish: str
    max_cost: float | None = None


class ContestantAsked(Request):
    """Show the model that ``ref`` names."""

    ref: str


class HubResultsAsked(Request):
    """What does the hub say that this contestant's model scored?"""

    screen: TrialScreen
    contestant: Contestant


class PublishedAsked(Request):
    """What did others publish about these contestants?"""

    screen: TrialScreen
    contestants: Sequence[Contestant]
