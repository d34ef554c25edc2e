"""Asks when a waiting job shall start: as soon as it can, or when so much memory has been free for so long."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widgets import Input

from tui.errors import UsageError
from tui.jobs.job import Job, WhenFree
from tui.quantities import bytes_text, parse_bytes
from tui.ui.lines.span import Span, line
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.fixed_lines import FixedLines


def read_wish(memory: str, seconds: str) -> WhenFree:
    """What was typed; memory 0 or nothing means: as soon as it can. Raises ``UsageError``."""
    size = parse_bytes(memory) if memory.strip() else 0
    try:
        wait = float(seconds) if seconds.strip() else 60.0
    except ValueError:
        raise UsageError(f"{seconds!r} is not a number of seconds") from None
    if not 0 <= wait < 1e7:
        raise UsageError(f"{seconds} is not a number of seconds")
    return WhenFree(size, wait)


class WhenFreeScreen(Dialog[WhenFree]):
    """Two fields; enter takes them."""

    LARGE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "apply", "apply", id="when_free.apply", priority=True),
        Binding("up", "app.focus_previous", "Up", show=False, id="when_free.up"),
        Binding("down", "app.focus_next", "Down", show=False, id="when_free.down"),
    ]
    DEFAULT_CSS = """
    WhenFreeScreen Horizontal { height: 1; }
    WhenFreeScreen .label { width: 24; }
    WhenFreeScreen Input { width: 14; background: $surface; }
    """

    def __init__(self, job: Job) -> None:
        super().__init__(f"When shall job {job.id} start?")
        self._job = job

    def body(self) -> ComposeResult:
        """The fields."""
        needs = self._job.needs
        where = "any GPU" if needs.device == "cuda" else "RAM" if needs.device == "cpu" else needs.device
        yield FixedLines([line(Span(f"It starts when so much of {where} has been free for so long on end.", "dim"))])
        yield FixedLines()
        with Horizontal():
            yield FixedLines([line(Span("memory free", "dim"))], classes="label")
            yield Input(bytes_text(needs.free) if needs.free else "", id="memory", compact=True, placeholder="24GB")
        with Horizontal():
            yield FixedLines([line(Span("for seconds", "dim"))], classes="label")
            yield Input(f"{needs.free_for:g}" if needs.free else "60", id="seconds", compact=True)
        yield FixedLines()
        yield FixedLines([line(Span("Nothing in the first field: as soon as it fits.", "dim"))])

    def on_mount(self) -> None:
        """Type the size."""
        self.query_one("#memory", Input).focus()

    def action_apply(self) -> None:
        """Take what was typed."""
        try:
            wish = read_wish(self.query_one("#memory", Input).value, self.query_one("#seconds", Input).value)
        except UsageError as error:
            self.app.notify(error.summary, severity="error")
            return
        self.dismiss(wish)
