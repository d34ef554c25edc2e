"""What the queue pane asks for: moving jobs, their logs and their stories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tui.jobs.job import Job, Kind, State, WhenFree
from tui.ui.errands import ErrandApp
from tui.ui.messages import (
    ClearRequested,
    JobLogRequested,
    JobMoveRequested,
    JobRequested,
    TrialRequested,
    WhenFreeRequested,
)

if TYPE_CHECKING:
    from tui.ui.feed import Feed
    from tui.ui.screens.job_screen import JobScreen
    from tui.ui.screens.log_screen import LogWanted
    from tui.workbench import Workbench

LAST_PART = 500_000
"""Bytes of a log that are read first."""


class QueueErrands(ErrandApp):
    """Answers the requests of the queue pane."""

    feed: Feed | None = None

    def wake_feed(self) -> None:
        """The queue changed by our own hand."""
        if self.feed is not None:
            self.feed.wake()

    def told_jobs(self, jobs: Sequence[Job]) -> None:
        """Say which jobs were asked for."""
        self.wake_feed()
        self.awaited |= {job.id for job in jobs if job.kind is Kind.SERVE and job.state is not State.READY}
        if not jobs:
            self.tell("everything is here already")
            return
        if len(jobs) == 1 and jobs[0].state is State.READY:
            self.tell(f"{jobs[0].model} is loaded already: 4 chats with it")
            return
        steps = ", then ".join(job.kind.value for job in jobs)
        self.tell(f"{jobs[0].model}: {steps}. The queue (3) shows how far it is.", title="queued")

    def on_job_move_requested(self, event: JobMoveRequested) -> None:
        """Move a job; what is running is asked about first."""
        job, move = event.job, event.move
        if move == "cancel" and job.state.is_alive:
            loses = {
                Kind.DOWNLOAD: "What was downloaded stays and is used when you try again.",
                Kind.SERVE: "The model leaves memory; its weights stay on disk.",
            }.get(job.kind, "The work so far is lost.")

            def answered(yes: bool | None) -> None:
                if yes:
                    self._move(job, move)

            from tui.ui.screens.confirm_screen import ConfirmScreen

            verb = "Unload" if job.kind is Kind.SERVE else "Cancel"
            self.push_screen(
                ConfirmScreen(f"{verb} job {job.id} ({job.kind} {job.model})?", loses, verb.lower()), answered
            )
        else:
            self._move(job, move)

    def _move(self, job: Job, move: str) -> None:
        moves: dict[str, Callable[[Workbench], Job]] = {
            "cancel": lambda workbench: workbench.cancel(job.id),
            "pause": lambda workbench: workbench.pause(job.id),
            "resume": lambda workbench: workbench.resume(job.id),
            "retry": lambda workbench: workbench.retry(job.id),
            "up": lambda workbench: workbench.move(job.id, "up"),
            "down": lambda workbench: workbench.move(job.id, "down"),
        }
        self.errand(moves[move], lambda _: self.wake_feed())

    def on_when_free_requested(self, event: WhenFreeRequested) -> None:
        """Ask when a waiting job shall start."""
        from tui.ui.screens.when_free_screen import WhenFreeScreen

        def chosen(when: WhenFree | None) -> None:
            if when is not None:
                self.errand(lambda workbench: workbench.start_when_free(event.job.id, when), lambda _: self.wake_feed())

        self.push_screen(WhenFreeScreen(event.job), chosen)

    def on_clear_requested(self, event: ClearRequested) -> None:
        """Forget the jobs that are over."""

        def cleared(count: int) -> None:
            self.wake_feed()
            self.tell(f"{count} finished job{'s' if count != 1 else ''} cleared; builds stay on disk")

        self.errand(lambda workbench: workbench.clear_jobs(), cleared)

    def on_job_log_requested(self, event: JobLogRequested) -> None:
        """Follow the log of a job."""
        from tui.ui.screens.log_screen import LogScreen

        self.push_screen(LogScreen(event.job))

    def on_log_wanted(self, event: LogWanted) -> None:
        """Bring more of a log; the first time its last part."""
        screen, job_id, offset = event.screen, event.job.id, event.offset
        log = event.job.log

        def read(workbench: Workbench) -> tuple[str, int]:
            if offset >= 0:
                return workbench.log_text(job_id, offset)
            size = log.stat().st_size if log.exists() else 0
            return workbench.log_text(job_id, max(0, size - LAST_PART))

        self.errand(
            read, lambda found: screen.show_text(*found), failed=lambda error: screen.show_problem(error.summary)
        )

    def on_job_requested(self, event: JobRequested) -> None:
        """Everything about a job; a trial shows its answers."""
        if event.job.kind is Kind.COMPARE and event.job.spec.get("trial"):
            self.post_message(TrialRequested(int(event.job.spec["trial"])))
            return
        from tui.ui.screens.job_screen import JobScreen

        screen, job_id = JobScreen(event.job), event.job.id
        self._job_screen = screen
        self.push_screen(screen)
        self.errand(lambda workbench: workbench.store.history(job_id), screen.show_history)

    _job_screen: JobScreen | None = None

    def refresh_job_screen(self, jobs: Sequence[Job]) -> None:
        """The open job screen shows newer facts."""
        screen = self._job_screen
        if screen is None or not screen.is_attached:
            return
        newer = next((job for job in jobs if job.id == screen.job.id and job.revision != screen.job.revision), None)
        if newer is not None:
            screen.show_job(newer)
            self.errand(lambda workbench: workbench.store.history(newer.id), screen.show_history, group="history")
