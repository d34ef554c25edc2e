"""Earlier trials: search, open, start a new one, export, delete."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.compare.plan import cost_text
from tui.compare.trial import Trial
from tui.ui import clock
from tui.ui.lines.chat_lines import age_text
from tui.ui.lines.span import Line, Span, fit_cells, line, spread
from tui.ui.messages import NewTrialRequested
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.row_list import RowList


class TrialsAsked(Request):
    """List the trials that hold ``text``; first delete the trial ``remove``, where it is not 0."""

    screen: TrialsScreen
    text: str = ""
    remove: int = 0


LOOK_SECONDS = 1.0
"""How often the list looks again while a trial in it is under way."""


def trial_line(trial: Trial, width: int, is_working: bool = False) -> Line:
    """Number, prompt, contestants, how much is answered, cost and age."""
    if is_working:
        mark = Span("▸ ", "info")
    elif trial.answered == trial.wanted:
        mark = Span("✓ ", "ok")
    else:
        mark = Span("✗ ", "bad") if trial.failed else Span("○ ", "dim")
    names = ", ".join(contestant.name for contestant in trial.order.contestants)
    age = age_text(clock.seconds() - trial.created.timestamp())
    wide = width >= 100
    cost = cost_text(trial.cost)
    tail = (
        f"{trial.answered}/{trial.wanted}  {cost:>9}  {age:>14}"
        if wide
        else f"{trial.answered}/{trial.wanted} {cost} {age}"
    )
    head = line(
        Span(f"{trial.id:>4} ", "dim"),
        mark,
        Span(fit_cells(trial.title, max(16, width // 3 if wide else width // 4))),
        Span(f"  {names}", "dim"),
    )
    return spread(head, (Span(tail, "dim"),), width)


class TrialsScreen(Dialog[int]):
    """Answers with the number of the trial to open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "open", id="trials.open", priority=True),
        Binding("n", "new", "new trial", id="trials.new"),
        Binding("slash", "search", "search", id="trials.search"),
        Binding("b", "board", "board", id="trials.board"),
        Binding("x", "delete", "delete", id="trials.delete"),
        Binding("down", "into_list", "Down", show=False, id="trials.down"),
    ]
    DEFAULT_CSS = "TrialsScreen #text { background: $surface; }"
    EMPTY = (
        line(),
        line(Span("  No trial yet. ", "dim"), Span("n", "key"), Span(" puts one prompt to several models.")),
    )

    def __init__(self) -> None:
        super().__init__("Trials: the same prompts put to several models")
        self._working: frozenset[int] = frozenset()

    def body(self) -> ComposeResult:
        """Search and list."""
        yield Input(placeholder="/ search prompts, contestants and answers", id="text", compact=True)
        yield RowList[Trial](
            lambda row, width: [trial_line(row, width, row.id in self._working)],
            lambda row: row.id,
            empty=(line(), line(Span("  looking …", "dim"))),
            id="trials",
        )

    @property
    def list(self) -> RowList[Trial]:
        """The list."""
        return self.query_one("#trials", RowList)

    @property
    def field(self) -> Input:
        """The search."""
        return self.query_one("#text", Input)

    def on_mount(self) -> None:
        """The list has the keys."""
        self.list.focus()
        self.ask()
        self.set_interval(LOOK_SECONDS, self.look)

    def look(self) -> None:
        """Ask again while something changes."""
        if self._working:
            self.ask()

    def ask(self, remove: int = 0) -> None:
        """Look (again)."""
        self.post_message(TrialsAsked(self, self.field.value.strip(), remove))

    def show_trials(self, trials: Sequence[Trial], working: frozenset[int]) -> None:
        """They came, and the numbers of those under way."""
        if self.is_open:
            self._working = working
            self.list.set_empty(self.EMPTY if not self.field.value else (line(), line(Span("  nothing found", "dim"))))
            self.list.set_rows(list(trials))
            self.refresh_bindings()

    def why_not(self, action: str) -> str:
        """What is possible here."""
        return "no trial is chosen" if action in ("choose", "delete") and self.list.row is None else ""

    def _chosen(self, action: str) -> Trial | None:
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning")
        return self.list.row

    def action_choose(self) -> None:
        """Open it; from the field, go to the list."""
        if self.field.has_focus:
            self.list.focus()
        elif trial := self._chosen("choose"):
            self.dismiss(trial.id)

    def action_new(self) -> None:
        """Choose contestants and write a prompt."""
        self.dismiss(None)
        self.app.post_message(NewTrialRequested())

    def action_search(self) -> None:
        """Type what to look for."""
        self.field.focus()

    def action_into_list(self) -> None:
        """From the field to the list."""
        self.list.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as it is typed."""
        event.stop()
        self.ask()

    def action_board(self) -> None:
        """Who wins."""
        from tui.ui.screens.board_screen import BoardScreen

        self.app.push_screen(BoardScreen())

    def action_delete(self) -> None:
        """Delete it, after a question."""
        from tui.ui.screens.confirm_screen import ConfirmScreen

        trial = self._chosen("delete")
        if trial is not None:
            question = f"Delete trial {trial.id} with its {trial.answered} answers and its votes?"
            screen = ConfirmScreen(question, "They cannot be brought back.", "delete it")
            self.app.push_screen(screen, lambda yes: self.ask(trial.id) if yes else None)

    def action_leave(self) -> None:
        """Leave the field, then the screen."""
        if self.field.has_focus:
            self.field.value = ""
            self.list.focus()
        else:
            self.dismiss(None)
