"""One job: where it stands, why, what it was asked, its result and its story."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType

from tui.jobs.job import Event, Job
from tui.ui.lines.job_facts import job_facts
from tui.ui.lines.span import Line
from tui.ui.messages import CopyRequested, JobLogRequested
from tui.ui.screens.lines_dialog import LinesDialog


class JobScreen(LinesDialog):
    """Shows a job as it is now; the app brings newer rows while it is open."""

    LINES_ID = "job-lines"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "log", id="job.log"),
        Binding("y", "copy", "copy path of the log", id="job.copy"),
    ]
    DEFAULT_CSS = "JobScreen #box { max-width: 100; }"

    def __init__(self, job: Job) -> None:
        super().__init__(f"Job {job.id}: {job.kind} {job.model}")
        self.job = job
        self._history: Sequence[Event] = ()

    def show_job(self, job: Job) -> None:
        """The job changed."""
        self.job = job
        self.redraw()

    def show_history(self, history: Sequence[Event]) -> None:
        """The story came."""
        self._history = history
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        """What is known."""
        return job_facts(self.job, self._history, width - 1)

    def action_log(self) -> None:
        """Its log."""
        self.app.post_message(JobLogRequested(self.job))

    def action_copy(self) -> None:
        """Where the log is."""
        self.app.post_message(CopyRequested(str(self.job.log), "path"))
