"""Trials: the same prompts put to several models."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from tui.jobs.job import Job, Kind
from tui.workbench.chats import ChatRequests

if TYPE_CHECKING:
    from tui.compare.trial import Order, Trial
    from tui.compare.trials import Trials


class TrialRequests(ChatRequests):
    """Requests about trials."""

    @cached_property
    def _trials(self) -> Trials:
        from tui.compare.trials import Trials  # a fifth of all that would be read before the first list of models

        return Trials(self.paths, self.store, self.settings, self._catalog.find, self.build, self.snapshot)

    def trials(self) -> Trials:
        """The trials of this user: plans, records, votes."""
        return self._trials

    def compare(self, order: Order) -> tuple[Trial, Job]:
        """Put the prompts of ``order`` to its contestants, as a job."""
        return self._of_trial(self._trials.start(order))

    def go_on_with_trial(self, trial_id: int, max_cost: float | None = None) -> tuple[Trial, Job]:
        """Ask again only what is missing or failed in a trial."""
        return self._of_trial(self._trials.go_on(trial_id, max_cost))

    def replay(self, trial_id: int) -> tuple[Trial, Job]:
        """Ask everything of a trial again, as a new one."""
        return self._of_trial(self._trials.replay(trial_id))

    def cancel(self, job_id: int) -> Job:
        """Stop a job for good; raises ``MoveRefusedError`` when it is over. The hosts of a trial go with it."""
        job = super().cancel(job_id)
        if job.kind is Kind.COMPARE:
            self._trials.unload(job)
        return job

    def _of_trial(self, started: tuple[Trial, Job]) -> tuple[Trial, Job]:
        self._asked(started[1])
        return started
