"""A question before something is lost. Only "y" says yes; enter and esc keep everything as it is."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.ui.lines.span import Line, Span, line, wrap_line
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView

_WIDTH = 66


class ConfirmScreen(Dialog[bool]):
    """Asks ``question``; ``consequence`` says what yes means."""

    LARGE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", "yes", id="confirm.yes"),
        Binding("n,enter,escape", "no", "no", id="confirm.no"),
    ]

    def __init__(self, question: str, consequence: str, verb: str) -> None:
        super().__init__("Are you sure?")
        self._question = question
        self._consequence = consequence
        self._verb = verb

    def body(self) -> ComposeResult:
        """The question."""
        lines: list[Line] = [*wrap_line(line(Span(self._question, "strong")), _WIDTH)]
        lines += [line(), *wrap_line(line(Span(self._consequence, "dim")), _WIDTH), line()]
        lines.append(line(Span("y", "key"), Span(f" {self._verb}    "), Span("n", "key"), Span(" keep it")))
        view = LinesView()
        view.styles.height = len(lines)
        view.lines = lines
        yield view

    def action_yes(self) -> None:
        """Do it."""
        self.dismiss(True)

    def action_no(self) -> None:
        """Keep everything."""
        self.dismiss(False)
