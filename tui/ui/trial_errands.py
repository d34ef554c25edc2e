"""What the screens of trials ask for: plans, news, votes, exports, and trying again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from tui.errors import HeftError
from tui.ui.messages import ModelRequested, NewTrialRequested, TrialRequested, TrialsRequested
from tui.ui.queue_errands import QueueErrands
from tui.ui.trial_work import against_earlier, order_of, trial_news, write_exports

if TYPE_CHECKING:
    from tui.compare.ballot import Pair
    from tui.compare.plan import Plan
    from tui.compare.published import Published
    from tui.compare.trial import Trial
    from tui.jobs.job import Job
    from tui.ui.screens.board_screen import BoardAsked
    from tui.ui.screens.new_trial_screen import TrialPlanAsked
    from tui.ui.screens.trials_screen import TrialsAsked
    from tui.ui.screens.vote_screen import VoteCast
    from tui.ui.trial_news import (
        ContestantAsked,
        HubResultsAsked,
        PublishedAsked,
        TrialAsked,
        TrialNewsAsked,
    )
    from tui.workbench import Workbench


class TrialErrands(QueueErrands):
    """Answers the requests about trials."""

    def when_open(self, call: Callable[[], object]) -> None:
        """Call now, or as soon as the workbench is open: a screen that is asked for early must not wait for ever."""
        if self.unopened is not None:
            self.tell_error(self.unopened)
        elif self.workbench is None:
            self.set_timer(0.2, lambda: self.when_open(call))
        else:
            call()

    def action_trials(self) -> None:
        """Earlier trials."""
        self.post_message(TrialsRequested())

    def on_trials_requested(self, event: TrialsRequested) -> None:
        """Choose one."""
        from tui.ui.screens.trials_screen import TrialsScreen

        self.push_screen(TrialsScreen(), lambda trial_id: self.open_trial(trial_id) if trial_id else None)

    def on_trials_asked(self, event: TrialsAsked) -> None:
        """List, after a removal where one is asked for."""

        def work(workbench: Workbench) -> tuple[list[Trial], frozenset[int]]:
            trials = workbench.trials()
            if event.remove:
                trials.remove(event.remove)
            found = trials.store.trials(event.text)
            return found, frozenset(trial.id for trial in found if trials.is_working(trial))

        self.when_open(lambda: self.errand(work, lambda both: event.screen.show_trials(*both), group="trials"))

    def on_trial_requested(self, event: TrialRequested) -> None:
        """Show one."""
        self.open_trial(event.trial_id)

    def open_trial(self, trial_id: int) -> None:
        """Show a trial."""
        from tui.ui.screens.trial_screen import TrialScreen

        self.push_screen(TrialScreen(trial_id))

    def on_trial_news_asked(self, event: TrialNewsAsked) -> None:
        """What changed in a trial."""
        screen = event.screen

        def failed(error: HeftError) -> None:
            if screen.is_open:
                self.tell_error(error)
                screen.dismiss(None)

        self.errand(
            lambda workbench: trial_news(workbench, event.trial_id, event.after),
            screen.show_news,
            failed=failed,
            group=f"trial {event.trial_id}",
        )

    def on_published_asked(self, event: PublishedAsked) -> None:
        """The results in the cards that are here; the hub is not asked for them."""

        def work(workbench: Workbench) -> dict[str, list[Published]]:
            return {one.name: workbench.trials().published(one) for one in event.contestants}

        self.errand(work, event.screen.show_published, group="published")

    def on_hub_results_asked(self, event: HubResultsAsked) -> None:
        """The results at the hub, when somebody looks at them."""
        name = event.contestant.name
        self.errand(
            lambda workbench: workbench.trials().published_at(workbench.hub, event.contestant),
            lambda found: event.screen.show_hub_results(name, found),
            group=f"hub results of {name}",
        )

    def on_contestant_asked(self, event: ContestantAsked) -> None:
        """Its card, licence and fit."""
        self.errand(
            lambda workbench: workbench.model(event.ref), lambda model: self.post_message(ModelRequested(model))
        )

    # --- a new one

    def on_new_trial_requested(self, event: NewTrialRequested) -> None:
        """Choose contestants and write a prompt."""
        from tui.ui.answerers import find_answerers
        from tui.ui.screens.new_trial_screen import NewTrialScreen

        screen = NewTrialScreen(event.names)
        self.push_screen(screen)

        def failed(error: HeftError) -> None:
            screen.show_problem(error.summary)

        def look() -> None:
            self.errand(
                lambda workbench: find_answerers(workbench, workbench.hosts()),
                screen.show_answerers,
                failed=failed,
                group="contestants",
            )

        self.when_open(look)

    def on_trial_plan_asked(self, event: TrialPlanAsked) -> None:
        """Say what it would take, or begin."""
        screen, wish = event.screen, event.wish
        if not event.start:

            def plan(workbench: Workbench) -> Plan:
                return workbench.trials().plan(order_of(workbench, wish))

            def failed(error: HeftError) -> None:
                screen.show_problem(error.summary)

            self.errand(plan, screen.show_plan, failed=failed, group="trial plan")
            return

        def started(answer: tuple[Trial, Job]) -> None:
            self.wake_feed()
            if screen.is_open:
                screen.dismiss(None)
            self.open_trial(answer[0].id)

        self.errand(lambda workbench: workbench.compare(order_of(workbench, wish)), started, group="trial start")

    # --- with one that is there

    def on_trial_asked(self, event: TrialAsked) -> None:
        """Retry, replay, stop, vote, export, hold against an earlier one, or show the board."""
        getattr(self, f"_trial_{event.wish}")(event)

    def _trial_retry(self, event: TrialAsked) -> None:
        self.errand(
            lambda workbench: workbench.go_on_with_trial(event.trial_id, event.max_cost),
            lambda answer: self._again(event, answer),
        )

    def _trial_replay(self, event: TrialAsked) -> None:
        def started(answer: tuple[Trial, Job]) -> None:
            self.wake_feed()
            event.screen.dismiss(None)
            self.open_trial(answer[0].id)

        self.errand(lambda workbench: workbench.replay(event.trial_id), started)

    def _trial_cancel(self, event: TrialAsked) -> None:
        def work(workbench: Workbench) -> tuple[Trial, Job]:
            trial = workbench.trials().store.trial(event.trial_id)
            job = workbench.trials().job_of(trial)
            if job is None:
                raise HeftError("its job is not on this machine")
            return trial, workbench.cancel(job.id)

        self.errand(work, lambda answer: self._again(event, answer))

    def _again(self, event: TrialAsked, answer: tuple[Trial, Job]) -> None:
        from tui.ui.screens.trial_screen import TrialScreen

        self.wake_feed()
        if isinstance(event.screen, TrialScreen):
            event.screen.look_again()

    def _trial_vote(self, event: TrialAsked) -> None:
        def work(workbench: Workbench) -> VoteScreenArguments:
            trials = workbench.trials()
            return trials.store.trial(event.trial_id), trials.ballot(event.trial_id)

        def then(answer: VoteScreenArguments) -> None:
            from tui.ui.screens.trial_screen import TrialScreen
            from tui.ui.screens.vote_screen import VoteScreen

            trial, pairs = answer
            if not pairs:
                self.tell("there is no pair left to vote on", severity="warning")
                return
            screen = event.screen
            self.push_screen(
                VoteScreen(trial, pairs), lambda _: screen.look() if isinstance(screen, TrialScreen) else None
            )

        self.errand(work, then)

    def on_vote_cast(self, event: VoteCast) -> None:
        """Keep it."""
        self.errand(lambda workbench: workbench.trials().vote(event.vote))

    def _trial_board(self, event: TrialAsked) -> None:
        from tui.ui.screens.board_screen import BoardScreen

        self.push_screen(BoardScreen())

    def on_board_asked(self, event: BoardAsked) -> None:
        """The votes and the imported boards."""

        def count() -> None:
            self.errand(
                lambda workbench: (workbench.trials().store.votes(), workbench.trials().store.boards()),
                lambda answer: event.screen.show_board(*answer),
                group="board",
            )

        self.when_open(count)

    def _trial_export(self, event: TrialAsked) -> None:
        self.errand(
            lambda workbench: write_exports(workbench, event.trial_id),
            lambda paths: self.tell("written: " + ", ".join(map(str, paths)), timeout=10),
        )

    def _trial_diff(self, event: TrialAsked) -> None:
        def then(rows: list[str]) -> None:
            from tui.ui.screens.text_screen import TextScreen

            self.push_screen(TextScreen(f"Trial {event.trial_id} against an earlier one", rows))

        self.errand(lambda workbench: against_earlier(workbench, event.trial_id), then)


VoteScreenArguments: TypeAlias = "tuple[Trial, list[Pair]]"
