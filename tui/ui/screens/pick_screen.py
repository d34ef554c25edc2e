"""Pick for me: a few questions, and under them at every change the three models to try."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.pick.decision import Pick, Picked
from tui.pick.wishes import Wishes
from tui.ui.lines.pick_lines import every_rejected_line, pick_lines
from tui.ui.lines.span import Line, Span, line
from tui.ui.messages import GetRequested, ModelRequested
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.choices import Choice, Choices
from tui.ui.widgets.painted import LinesView

GIGA = 10**9
_TASKS = ("chat", "code", "translation", "embedding", "classification", "speech", "image-gen")
_CARDS = (8, 16, 24, 48, 80)


def questions() -> list[Choice]:
    """The questions; each begins with "no opinion"."""
    cards = [None, *(size * GIGA for size in _CARDS)]
    return [
        Choice("task", "for", _TASKS, ("chat", "code", "transl.", "embed", "classify", "speech", "draw")),
        Choice("memory", "on", cards, ("this machine", *(f"{size} GB" for size in _CARDS))),
        Choice("privacy", "data may leave", (False, True), ("yes", "no")),
        Choice("offline", "network", (False, True), ("yes", "none")),
        Choice("budget", "budget", ("", "low", "high"), ("any", "low", "high")),
        Choice("performance", "quality", ("", "good", "best"), ("any", "good for the money", "the best")),
        Choice("latency", "first answer", ("", "fast", "normal", "any"), ("any", "100 ms", "2 s", "whenever")),
        Choice("commercial", "earns money", (False, True), ("no", "yes")),
        Choice("finetune", "fine-tuning", (False, True), ("no", "yes")),
        Choice("specialised", "one narrow task", (False, True), ("no", "yes"), shown=False),
    ]


def wishes_of(form: Choices) -> Wishes:
    """The answers as the decision tree takes them."""
    names = [choice.name for choice in form.choices if choice.name != "memory" and choice.shown]
    return Wishes(**{name: form.value(name) for name in names})


class PickRequested(Request):
    """Choose for these answers, on this machine (``memory`` None) or on a card of ``memory`` bytes."""

    screen: PickScreen
    wishes: Wishes
    memory: int | None


class PickScreen(Dialog[None]):
    """Arrows answer, 1 to 3 choose among the three, enter shows the chosen one, ``g`` gets it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "details", "details", id="pick.details", priority=True),
        Binding("g", "get", "get", id="pick.get"),
        Binding("left,right", "none", "answer", id="pick.answer"),
        *(
            Binding(str(number), f"choose({number})", f"No. {number}", show=False, id=f"pick.{number}")
            for number in (1, 2, 3)
        ),
        Binding("tab", "app.focus_next", "questions/models", id="pick.other"),
        Binding("r", "rejected", "why not the others", id="pick.rejected"),
    ]
    DEFAULT_CSS = """
    PickScreen #picked { height: 1fr; margin-top: 1; }
    """

    def __init__(self) -> None:
        super().__init__("Pick for me")
        self.picked: Picked | None = None
        self._chosen = 0
        self._rejected_shown = False

    def body(self) -> ComposeResult:
        """The questions and the answer."""
        yield Choices(questions(), id="questions")
        yield LinesView(id="picked")

    @property
    def form(self) -> Choices:
        """The questions."""
        return self.query_one(Choices)

    @property
    def best(self) -> Pick | None:
        """The model that keys work on."""
        picks = self.picked.picks if self.picked else ()
        return picks[self._chosen] if self._chosen < len(picks) else None

    def on_mount(self) -> None:
        """Answer at once: without opinions there is an answer too."""
        self.form.focus()
        self.query_one("#picked", LinesView).set_lines([line(Span("choosing …", "dim"))])
        self._ask()

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self._draw)

    def on_choices_changed(self, event: Choices.Changed) -> None:
        """Another answer, other models."""
        event.stop()
        if event.choice.name == "finetune":
            for choice in self.form.choices:
                if choice.name == "specialised":
                    choice.shown = bool(event.choice.value)
            self.form.relay()
        self._ask()

    def _ask(self) -> None:
        self.post_message(PickRequested(self, wishes_of(self.form), self.form.value("memory")))

    def show_picked(self, picked: Picked) -> None:
        """The three came."""
        self.picked, self._chosen = picked, 0
        self._draw()

    def show_problem(self, words: str) -> None:
        """Nothing can be chosen."""
        if self.is_mounted:
            self.query_one("#picked", LinesView).set_lines([line(Span(f"✗ {words}", "bad"))])

    def _draw(self) -> None:
        view = self.query_one("#picked", LinesView) if self.is_mounted else None
        if view is not None and self.picked is not None and view.line_width > 1:
            width = view.line_width - 1
            rows: list[Line] = pick_lines(self.picked, width, self._chosen)
            view.set_lines(every_rejected_line(self.picked, width) if self._rejected_shown else rows)

    def action_rejected(self) -> None:
        """Every model that is out with its reason, or the picks again."""
        self._rejected_shown = not self._rejected_shown
        self._draw()
        view = self.query_one("#picked", LinesView)
        view.scroll_to(y=0, animate=False, immediate=True, force=True)
        (view if self._rejected_shown else self.form).focus()

    def action_choose(self, number: int) -> None:
        """Work on that one."""
        if self.picked is not None and number <= len(self.picked.picks):
            self._chosen = number - 1
            self._draw()

    def action_none(self) -> None:
        """The form itself reads these keys."""

    def action_details(self) -> None:
        """Everything about the chosen model."""
        if self.best is not None:
            self.app.post_message(ModelRequested(self.best.model))

    def action_get(self) -> None:
        """Get the chosen model."""
        if self.best is None:
            return
        if self.best.model.is_api:
            self.app.notify(f"{self.best.model.name} is an API: there is nothing to get", severity="warning")
            return
        model = self.best.model
        self.dismiss(None)
        self.app.post_message(GetRequested(model))
