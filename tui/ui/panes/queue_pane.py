"""The queue pane: every job with its state, progress and reason, and the keys that move it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widget import Widget

from tui.jobs.job import Job, State, move_is_allowed
from tui.ui.lines.job_lines import JobRow, job_height, job_lines, queue_counts, queue_rows
from tui.ui.lines.span import Span, cut_line, line
from tui.ui.lines.welcome_lines import Welcome, welcome_lines
from tui.ui.messages import ClearRequested, JobLogRequested, JobMoveRequested, JobRequested, WhenFreeRequested
from tui.ui.panes.pane import Pane
from tui.ui.widgets.fixed_lines import FixedLines
from tui.ui.widgets.row_list import RowList

_ON_A_JOB = ("cancel", "pause", "retry", "log", "details", "sooner", "later", "when_free")

EMPTY = (
    line(),
    line(Span("  Nothing to do.", "dim")),
    line(),
    line(Span("  Press "), Span("1", "key"), Span(", choose a model and press "), Span("g", "key"), Span(".")),
    line(Span("  Jobs go on when you close this terminal.", "dim")),
)


class QueuePane(Pane):
    """Jobs, chains indented under their first job."""

    NUMBER = 3
    NAME = "Queue"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "cancel", "cancel", id="queue.cancel"),
        Binding("p", "pause", "pause/resume", id="queue.pause"),
        Binding("r", "retry", "retry", id="queue.retry"),
        Binding("l", "log", "log", id="queue.log"),
        Binding("enter", "details", "details", id="queue.details", show=False),
        Binding("c", "clear", "clear finished", id="queue.clear"),
        Binding("w", "when_free", "start when free", id="queue.when_free", show=False),
        Binding("K,plus", "sooner", "sooner", id="queue.sooner", show=False),
        Binding("J,minus", "later", "later", id="queue.later", show=False),
    ]
    DEFAULT_CSS = "QueuePane #held { display: none; }"

    def __init__(self) -> None:
        super().__init__()
        self.jobs: Sequence[Job] = ()
        self._welcome: Welcome | None = None

    def compose(self) -> ComposeResult:
        """One list, and above it why everything waits, when the disk is full."""
        yield FixedLines(id="held")
        yield RowList[JobRow](job_lines, lambda row: row.job.id, height=job_height, empty=EMPTY, id="jobs")

    @property
    def rows(self) -> RowList[JobRow]:
        """The list of jobs."""
        return self.query_one("#jobs", RowList)

    def entrance(self) -> Widget:
        """The list."""
        return self.rows

    @property
    def job(self) -> Job | None:
        """The job under the cursor."""
        row = self.rows.row
        return row.job if row else None

    def show_jobs(self, jobs: Sequence[Job], held: str = "") -> None:
        """Take in the queue and draw what changed; ``held`` says why all of it stands still."""
        from tui.jobs.admission import held_by_disk

        self.jobs = jobs
        self.rows.set_rows(queue_rows(jobs))
        self._show_held(held or held_by_disk(jobs))
        self.set_counts(queue_counts(jobs))
        self.refresh_bindings()

    def show_unopened(self) -> None:
        """The queue will not be read; the catalog says why."""
        self.rows.set_empty((line(), line(Span("  not read: Heft could not open", "dim"))))

    def show_welcome(self, welcome: Welcome) -> None:
        """On a machine where nothing was ever done, the empty queue says how to begin."""
        self._welcome = welcome
        self._greet()

    def on_resize(self) -> None:
        """Words wrap to the width."""
        self.call_after_refresh(self._greet)

    def _greet(self) -> None:
        if self._welcome is not None and self.size.width > 0:
            self.rows.set_empty(welcome_lines(self._welcome, self.size.width - 2))

    def _show_held(self, held: str) -> None:
        banner = self.query_one("#held", FixedLines)
        banner.set_lines(cut_line(line(Span(" ! ", "warn"), Span(held, "warn")), max(8, self.size.width - 4)))
        banner.display = bool(held)

    def why_not(self, action: str) -> str:
        """Which moves the state of the job under the cursor allows."""
        if action == "clear":
            return "" if any(job.state.is_over for job in self.jobs) else "no job is finished yet"
        job = self.job
        if job is None:
            return "there is no job here" if action in _ON_A_JOB else ""
        if action in ("sooner", "later") and job.state not in (State.QUEUED, State.PAUSED):
            return f"job {job.id} is {job.state}; only what waits can be moved in the queue"
        if action == "when_free" and job.state not in (State.QUEUED, State.PAUSED):
            return f"job {job.id} is {job.state}; only what waits can wait for memory"
        if action == "when_free" and job.needs.device in ("", "none"):
            return f"a {job.kind} needs no memory of a device"
        if action == "cancel" and not move_is_allowed(job.state, State.CANCELLED):
            return f"job {job.id} is {job.state}; there is nothing to cancel"
        if action == "pause":
            if job.state is State.READY:
                return "a loaded model cannot be paused; x unloads it"
            if job.state not in (State.QUEUED, State.RUNNING, State.PAUSED, State.INTERRUPTED):
                return f"job {job.id} is {job.state}; r tries it again" if job.state is not State.DONE else "it is done"
        if action == "retry" and job.state is State.QUEUED and job.again is not None:
            return ""
        if action == "retry" and job.state not in (State.FAILED, State.CANCELLED, State.INTERRUPTED):
            return f"job {job.id} is {job.state}; only a failed, cancelled or interrupted job is retried"
        return ""

    def action_cancel(self) -> None:
        """Stop the job for good."""
        if not self.refuses("cancel") and self.job:
            self.post_message(JobMoveRequested(self.job, "cancel"))

    def action_pause(self) -> None:
        """Pause, or go on."""
        if not self.refuses("pause") and self.job:
            paused = self.job.state in (State.PAUSED, State.INTERRUPTED)
            self.post_message(JobMoveRequested(self.job, "resume" if paused else "pause"))

    def action_retry(self) -> None:
        """Try again."""
        if not self.refuses("retry") and self.job:
            self.post_message(JobMoveRequested(self.job, "retry"))

    def action_sooner(self) -> None:
        """Before the one above it."""
        if not self.refuses("sooner") and self.job:
            self.post_message(JobMoveRequested(self.job, "up"))

    def action_later(self) -> None:
        """Behind the one below it."""
        if not self.refuses("later") and self.job:
            self.post_message(JobMoveRequested(self.job, "down"))

    def action_when_free(self) -> None:
        """Start it only when there has been enough memory for a while."""
        if not self.refuses("when_free") and self.job:
            self.post_message(WhenFreeRequested(self.job))

    def action_log(self) -> None:
        """Follow the log."""
        if not self.refuses("log") and self.job:
            self.post_message(JobLogRequested(self.job))

    def action_details(self) -> None:
        """Everything about the job."""
        if not self.refuses("details") and self.job:
            self.post_message(JobRequested(self.job))

    def on_row_list_chosen(self, event: RowList.Chosen) -> None:
        """Enter in the list."""
        event.stop()
        self.action_details()

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """Other keys work on another job."""
        event.stop()
        self.refresh_bindings()

    def action_clear(self) -> None:
        """Forget what is over."""
        if not self.refuses("clear"):
            self.post_message(ClearRequested())
