"""A new trial: who takes part, what is asked and how, and what it would take, before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widgets import Input

from tui.chat.conversation import Parameters
from tui.compare.plan import Plan, cost_text
from tui.compare.prompt_set import PromptSet, read_prompt_set
from tui.compare.trial import LEAST, MOST, Prompt
from tui.errors import HeftError
from tui.quantities import bytes_text, duration_text
from tui.ui.answerers import Answerer
from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line, wrap_line
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.choices import Choice, Choices
from tui.ui.widgets.fixed_lines import FixedLines
from tui.ui.widgets.row_list import RowList

PAUSE = 0.3
"""Seconds without a change before the plan is made again."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the form says: names of contestants, prompts, and how they are asked. ``max_cost`` in US dollars."""

    names: tuple[str, ...]
    asked: PromptSet
    parameters: Parameters
    repeat: int
    max_cost: float | None
    judge: str


class TrialPlanAsked(Request):
    """What would this take? With ``start``, begin it too."""

    screen: NewTrialScreen
    wish: Wish
    start: bool = False


class ContestantList(RowList[Answerer]):
    """Space marks here, so it does not turn the page."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("space", "mark", "Mark", show=False, id="contestants.mark")]

    class Marked(Message):
        """Space was pressed on a row."""

    def action_mark(self) -> None:
        """Mark the row under the cursor."""
        self.post_message(self.Marked())


def settings_of_a_trial(judges: Sequence[str]) -> list[Choice]:
    """The lines of the form below the list."""
    caps = (None, 0.1, 1.0, 5.0, 20.0)
    return [
        Choice("repeat", "ask each", (1, 3, 5, 10), ("once", "3 times", "5 times", "10 times")),
        Choice("temperature", "temperature", (0.0, 0.3, 0.7, 1.0), ("0", "0.3", "0.7", "1")),
        Choice("max_tokens", "longest answer", (128, 512, 2048, 8192), ("128", "512", "2,048", "8,192"), at=1),
        Choice("max_cost", "spend at most", caps, ("no cap", *(f"${cap:g}" for cap in caps[1:] if cap)), at=2),
        Choice("judge", "judge", ("", *judges), ("nobody", *judges), shown=bool(judges)),
    ]


class NewTrialScreen(Dialog[None]):
    """Space marks, tab goes on to the prompt and the settings, enter starts."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "start", "start", id="new_trial.start", priority=True),
        Binding("space", "mark", "mark", id="new_trial.mark"),
        Binding("tab", "app.focus_next", "next part", id="new_trial.next"),
    ]
    DEFAULT_CSS = """
    NewTrialScreen #prompt-of-trial { background: $surface; margin-bottom: 1; }
    NewTrialScreen #contestants { height: 1fr; min-height: 4; }
    NewTrialScreen Choices { margin-top: 1; }
    NewTrialScreen #plan { height: 5; margin-top: 1; }
    NewTrialScreen.-short Choices, NewTrialScreen.-short #plan { margin-top: 0; }
    NewTrialScreen.-short #prompt-of-trial { margin-bottom: 0; }
    """

    def __init__(self, marked: Sequence[str] = ()) -> None:
        super().__init__("New trial: the same prompts for several models")
        self.marked: list[str] = list(marked)
        self._timer: Timer | None = None
        self._problem = ""

    def body(self) -> ComposeResult:
        """Prompt, contestants, settings, plan."""
        yield Input(
            placeholder="a prompt, or @file.jsonl for a set with expected answers", id="prompt-of-trial", compact=True
        )
        yield ContestantList(
            self._row,
            lambda row: row.ref,
            empty=(line(), line(Span("  looking who can answer …", "dim"))),
            id="contestants",
        )
        yield Choices(settings_of_a_trial(()), id="settings")
        yield FixedLines(id="plan")

    @property
    def list(self) -> ContestantList:
        """Who could take part."""
        return self.query_one("#contestants", ContestantList)

    @property
    def form(self) -> Choices:
        """The settings."""
        return self.query_one(Choices)

    def on_mount(self) -> None:
        """Begin with the prompt."""
        self.query_one("#prompt-of-trial", Input).focus()

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self._changed)

    def show_answerers(self, rows: Sequence[Answerer]) -> None:
        """They came; a loaded model is named by its build, so that it stays itself when it is loaded anew."""
        if not self.is_open:
            return
        rows = [row for row in rows if row.group != "url"]
        marked = [row for row in rows if _name(row) in self.marked or row.ref in self.marked]
        self.marked = [_name(row) for row in marked]
        self.list.set_empty((line(), line(Span("  Nobody can answer yet: get a model first (1, then g).", "dim"))))
        self.list.set_rows([*marked, *(row for row in rows if row not in marked)])
        self.form.choices = settings_of_a_trial([_name(row) for row in rows if not row.off][:6])
        self.form.relay()
        self._changed()

    def _row(self, row: Answerer, width: int) -> Sequence[Line]:
        on = _name(row) in self.marked
        mark = Span("■ " if on else "✗ " if row.off else "□ ", "accent" if on else "faint" if row.off else "dim")
        note = row.off or row.note.removesuffix("; enter loads it")
        name = Span(fit_cells(row.name, max(20, width // 2)), "faint" if row.off else "strong" if on else "")
        return [line(mark, name, Span(f" {note}", "warn" if row.off else "dim"))]

    # --- changes

    def on_contestant_list_marked(self, event: ContestantList.Marked) -> None:
        """Space in the list."""
        event.stop()
        self.action_mark()

    def action_mark(self) -> None:
        """Take the row in, or out."""
        row = self.list.row
        if row is None:
            return
        name = _name(row)
        if name in self.marked:
            self.marked.remove(name)
        elif row.off:
            self.app.notify(f"{row.name}: {row.off}", severity="warning")
        elif len(self.marked) >= MOST:
            self.app.notify(f"a trial has at most {MOST} contestants", severity="warning")
        else:
            self.marked.append(name)
        self.list.redraw()
        self._changed()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another prompt."""
        event.stop()
        self._changed()

    def on_choices_changed(self, event: Choices.Changed) -> None:
        """Another setting."""
        event.stop()
        self._changed()

    def _changed(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        if missing := self._missing():
            self._tell([line(Span(missing, "dim"))])
        else:
            self._timer = self.set_timer(PAUSE, self._ask)

    def _ask(self) -> None:
        wish = self.wish()
        if isinstance(wish, str):
            self._tell([line(Span(wish, "dim"))])
        else:
            self.post_message(TrialPlanAsked(self, wish))

    @property
    def _text(self) -> str:
        return self.query_one("#prompt-of-trial", Input).value.strip()

    def _missing(self) -> str:
        if len(self.marked) < LEAST:
            missing = LEAST - len(self.marked)
            return f"space marks a contestant; {missing} more {'is' if missing == 1 else 'are'} needed"
        return "" if self._text else "write a prompt, or @file for a set of them"

    def wish(self) -> Wish | str:
        """What the form says, or what is missing in words."""
        if missing := self._missing():
            return missing
        text = self._text
        try:
            asked = (
                read_prompt_set(Path(text[1:]).expanduser()) if text.startswith("@") else PromptSet((Prompt((text,)),))
            )
        except HeftError as error:
            return error.summary
        value = self.form.value
        parameters = Parameters(temperature=value("temperature"), max_tokens=value("max_tokens"), seed=0)
        return Wish(tuple(self.marked), asked, parameters, value("repeat"), value("max_cost"), value("judge"))

    def show_plan(self, plan: Plan) -> None:
        """What it would take."""
        if not self.is_open:
            return
        memory = ", ".join(f"{bytes_text(size)} on {device}" for device, size in plan.memory.items())
        cap = f", stops at ${plan.max_cost:g}" if plan.max_cost is not None else ""
        cost = f"{cost_text(plan.likely)} likely, {cost_text(plan.most)} at most{cap}"
        head = f"about {duration_text(plan.seconds)}" + (f" · at most {memory}" if memory else "") + f" · {cost}"
        rows: list[Line] = [line(Span(head, "strong"))]
        rows += [line(Span(words, "bad" if words.startswith("✗") else "dim")) for words in plan.words()]
        if plan.unpriced:
            rows.append(line(Span(f"no price is known for {', '.join(plan.unpriced)}", "warn")))
        self._tell(rows)

    def show_problem(self, words: str) -> None:
        """It cannot be planned."""
        self._tell([line(Span(f"✗ {words}", "bad"))])

    def _tell(self, rows: Sequence[Line]) -> None:
        if not self.is_open:
            return
        box = self.query_one("#plan", FixedLines)
        width = max(20, box.size.width)
        lines = [part for row in rows for part in wrap_line(row, width)][:5]
        box.set_lines(*lines, *([BLANK] * (5 - len(lines))))

    def action_start(self) -> None:
        """Begin."""
        wish = self.wish()
        if isinstance(wish, str):
            self.app.notify(wish, severity="warning")
        else:
            self.post_message(TrialPlanAsked(self, wish, start=True))


def _name(row: Answerer) -> str:
    return row.name if row.group == "host" else row.ref
