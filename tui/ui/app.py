"""The app: four panes, which of them are seen, and the keys that work everywhere.

Requests are answered in the errands classes; this file only composes, arranges, and passes facts to the panes.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.app import App, ComposeResult, SystemCommand
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from tui.jobs.job import Kind, State
from tui.settings import InterfaceSettings
from tui.ui.appearance import Appearance
from tui.ui.arrangement import TALL, WIDE
from tui.ui.catalog_errands import CatalogErrands
from tui.ui.feed import Feed
from tui.ui.keymap import key_names, keymap_problems, owners
from tui.ui.notification import ENDING_WORDS, osc9
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.panes.chat_pane import ChatPane
from tui.ui.panes.hardware_pane import HardwarePane
from tui.ui.panes.queue_pane import QueuePane
from tui.ui.pick_errands import PickErrands
from tui.ui.prompt_errands import PromptErrands
from tui.ui.several_errands import SeveralErrands
from tui.ui.terminal import leave_on_signals
from tui.ui.trial_errands import TrialErrands
from tui.ui.widgets.key_line import KeyLine
from tui.ui.widgets.tab_line import TabLine

if TYPE_CHECKING:
    from textual.command import Provider

    from tui.errors import HeftError
    from tui.ui.messages import FeedFailed, JobsChanged, ReportRequested, SnapshotTaken
    from tui.workbench import Workbench


def _model_commands() -> type[Provider]:
    from tui.ui.model_commands import ModelCommands

    return ModelCommands


class HeftApp(Appearance, CatalogErrands, SeveralErrands, TrialErrands, PromptErrands, PickErrands):
    """Heft on the screen. It is handed its workbench, or a ``factory`` that is called after the first frame."""

    CSS_PATH = "app.tcss"
    TITLE = "Heft"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS = App.COMMANDS | {_model_commands}
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (WIDE, "-wide")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (TALL, "-tall")]  # noqa: RUF012

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(str(number), f"pane({number})", f"pane {number}", show=False, id=f"pane.{number}")
            for number in range(1, 5)
        ),
        Binding("tab", "app.focus_next", "next pane or field", show=False, id="app.next"),
        Binding("z", "zoom", "zoom", id="app.zoom"),
        Binding("H", "hide", "hide this pane", show=False, id="app.hide"),
        Binding("less_than_sign", "widen(-1)", "right side wider", show=False, id="app.right_wider", key_display="<"),
        Binding("greater_than_sign", "widen(1)", "left side wider", show=False, id="app.left_wider", key_display=">"),
        Binding("m", "messages", "messages", show=False, id="app.messages"),
        Binding("D", "doctor", "doctor", show=False, id="app.doctor"),
        Binding("X", "trials", "trials", show=False, id="app.trials"),
        Binding("T", "theme", "dark/light", show=False, id="app.theme"),
        Binding("question_mark", "help", "help", id="app.help", key_display="?"),
        Binding("ctrl+p,colon", "command_palette", "commands", id="app.commands", show=False),
        Binding("q", "quit", "quit", id="app.quit"),
        Binding("ctrl+q", "quit", "quit", id="app.quit_anywhere", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", "suspend", id="app.suspend", show=False),
        Binding("ctrl+l", "redraw", "draw again", id="app.redraw", show=False),
    ]

    def __init__(
        self,
        workbench: Workbench | None = None,
        *,
        factory: Callable[[], Workbench] | None = None,
        interface: InterfaceSettings | None = None,
        layout_file: Path | None = None,
    ) -> None:
        super().__init__(workbench, layout_file)
        self._factory = factory
        self._interface = interface or (workbench.settings.interface if workbench else InterfaceSettings())
        self._ended: dict[int, State] = {}
        self.dress(self._interface.theme)
        self.set_keymap({name: ",".join(key_names(keys)) for name, keys in self._interface.keys.items()})

    def compose(self) -> ComposeResult:
        """The four panes between two lines."""
        yield TabLine()
        with Horizontal(id="desk"):
            with Vertical(id="left"):
                yield CatalogPane()
                yield ChatPane()
            with Vertical(id="right"):
                yield HardwarePane()
                yield QueuePane()
        yield KeyLine()

    # Life

    def on_mount(self) -> None:
        """Draw first; open the workbench after that."""
        if not self.is_headless:
            leave_on_signals(self._leave)
        self.arrange()
        self.pane(self.layout.active).entrance().focus()
        self.call_after_refresh(self._open)

    def _open(self) -> None:
        if not gc.isenabled():
            gc.freeze()  # the code and the panes stay; no later search for garbage has to walk them
            gc.enable()
        if self.workbench is not None:
            self._opened(self.workbench)
        elif self._factory is not None:
            self.make(self._factory, self._opened, self._not_opened)

    def _not_opened(self, error: HeftError) -> None:
        """Say why nothing can be shown where it would stand: a message in a corner goes away."""
        self.unopened = error
        self.tell_error(error)
        self.catalog_pane.models.show_problem(error)
        for pane in (self.pane(2), self.pane(3)):
            assert isinstance(pane, HardwarePane | QueuePane)
            pane.show_unopened()

    def _opened(self, workbench: Workbench) -> None:
        self.workbench = workbench
        if self._interface.keys:
            self.errand(lambda _: keymap_problems(self._interface.keys, owners()), self._tell_keymap)
        self.feed = Feed(workbench, self.post_message)
        self.feed.start()
        self.read_catalog()
        self.open_chats()

    def _tell_keymap(self, problems: list[str]) -> None:
        if problems:
            self.tell("\n".join(problems), title="keys in config.toml", severity="warning", timeout=15)

    def on_unmount(self) -> None:
        """Stop watching; jobs go on."""
        if self.feed is not None:
            self.feed.stop()

    def _leave(self, code: int) -> None:
        self.exit(return_code=code)

    # Facts come up

    def on_jobs_changed(self, event: JobsChanged) -> None:
        """The queue changed."""
        if not self.is_running:
            return
        queue = self.pane(3)
        assert isinstance(queue, QueuePane)
        queue.show_jobs(event.jobs, event.held)
        self.draw_tabs()
        states = {job.id: job.state for job in event.jobs}
        quiet = {
            host for job in event.jobs if job.kind is Kind.COMPARE for host in job.progress.details.get("hosts", ())
        }
        for job in event.jobs:
            if job.id in quiet and job.state is State.READY:
                continue  # a trial loads many; what it tells is its own ending
            follows = any(states.get(before) in (State.FAILED, State.CANCELLED) for before in job.after)
            if self._ended.get(job.id, job.state) is not job.state and not follows:
                self._job_moved(job.kind, job.state, job.model, job.failure.summary if job.failure else "")
        if any(
            self._ended.get(job) is not state for job, state in states.items() if state in (State.DONE, State.READY)
        ):
            self.read_installed()
        self._ended = states
        self.show_hosts(event.jobs)
        self.refresh_job_screen(event.jobs)

    def _job_moved(self, kind: Kind, state: State, model: str, failure: str) -> None:
        if state is State.FAILED:
            self.tell(f"{kind} {model}: {failure}", severity="error", timeout=10)
        elif state is State.READY:
            self.tell(f"{model} is loaded: 4 chats with it")
        elif state is State.DONE and kind is not Kind.SERVE:
            self.tell(f"{kind} {model}: done")
        if state in (State.FAILED, State.READY, State.DONE):
            if self._interface.bell:
                self.bell()
            if self.workbench and self.workbench.settings.notify.terminal and self._driver is not None:
                self._driver.write(osc9(f"Heft: {kind} {model} {ENDING_WORDS[state]}", os.environ))

    def on_snapshot_taken(self, event: SnapshotTaken) -> None:
        """The machine changed; verdicts follow when the free memory moved by more than noise."""
        if not self.is_running:
            return
        pane = self.pane(2)
        assert isinstance(pane, HardwarePane)
        before = pane.snapshot
        pane.show_snapshot(event.snapshot)
        self.draw_tabs()
        free = [gpu.free for gpu in event.snapshot.gpus] + [event.snapshot.host.memory_available]
        old = [gpu.free for gpu in before.gpus] + [before.host.memory_available]
        if len(free) != len(old) or any(
            abs(new - was) > 0.02 * max(was, 1) for new, was in zip(free, old, strict=True)
        ):
            self.judge_models()

    def on_feed_failed(self, event: FeedFailed) -> None:
        """The queue or the machine cannot be read."""
        if self.is_running:
            self.pane(3).set_note(f"✗ {event.summary}" if event.summary else "")

    # Keys that work everywhere

    def action_redraw(self) -> None:
        """Draw everything again, after something else wrote on the terminal."""
        self.screen.refresh(layout=True, repaint=True)

    def action_help(self) -> None:
        """Every key."""
        from tui.ui.screens.help_screen import HelpScreen

        self.push_screen(HelpScreen(self.screen))

    def action_doctor(self) -> None:
        """What is wrong with this installation."""
        from tui.ui.screens.doctor_screen import DoctorScreen

        screen = DoctorScreen()
        self.push_screen(screen)
        self.errand(lambda workbench: workbench.doctor(), screen.show_checks, group="doctor")

    def on_report_requested(self, event: ReportRequested) -> None:
        """Write the file for a bug report, and say where it is."""

        def write(workbench: Workbench) -> Path:
            from tui.doctor_report import write_report

            return write_report(workbench.paths, event.checks)

        self.errand(write, lambda path: self.tell(f"The report is {path}. Read it before you send it.", timeout=15))

    def action_messages(self) -> None:
        """Everything that was told."""
        from tui.ui.screens.messages_screen import MessagesScreen

        self.push_screen(MessagesScreen(tuple(self.notes)))

    def get_key_display(self, binding: Binding) -> str:
        """Keys as words where a glyph would be guessed at."""
        return {"enter": "enter"}.get(binding.key) or super().get_key_display(binding)

    def action_help_quit(self) -> None:
        """Ctrl+C does not quit; say what does."""
        self.tell("q quits, ctrl+q from anywhere. Jobs go on without the app.")

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: every key of every pane, and the themes."""
        from tui.ui.commands import commands_of

        return commands_of(self, screen)
