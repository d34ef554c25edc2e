"""A short form for the keyboard: up and down choose a line, left and right (or space) change its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from rich.cells import cell_len
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line
from tui.ui.widgets.painted import PaintedView

_LABEL = 16


@dataclass
class Choice:
    """One line: ``values`` and the words for them. ``shown`` is off while the line does not apply."""

    name: str
    label: str
    values: Sequence[Any]
    words: Sequence[str]
    at: int = 0
    note: str = ""
    shown: bool = True

    @property
    def value(self) -> Any:
        """The value chosen."""
        return self.values[self.at]


class Choices(PaintedView, can_focus=True):
    """Shows choices and posts ``Changed``."""

    DEFAULT_CSS = "Choices { height: auto; }"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False, id="choices.up"),
        Binding("down,j", "move(1)", "down", show=False, id="choices.down"),
        Binding("left", "change(-1)", "value before", show=False, id="choices.before"),
        Binding("right,space", "change(1)", "next value", show=False, id="choices.next"),
    ]

    class Changed(Message):
        """Another value was chosen."""

        def __init__(self, choice: Choice) -> None:
            super().__init__()
            self.choice = choice

    def __init__(self, choices: Sequence[Choice], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.choices = choices
        self.cursor = 0

    @property
    def shown(self) -> list[Choice]:
        """The lines that apply."""
        return [choice for choice in self.choices if choice.shown]

    def choice(self, name: str) -> Choice:
        """The choice called ``name``."""
        return next(choice for choice in self.choices if choice.name == name)

    def value(self, name: str) -> Any:
        """The value of the choice called ``name``."""
        return self.choice(name).value

    def on_mount(self) -> None:
        """As high as it has lines."""
        self.relay()

    def relay(self) -> None:
        """Other lines apply."""
        self.cursor = min(self.cursor, len(self.shown) - 1)
        self.set_height(len(self.shown))
        self.redraw()

    def line_at(self, y: int) -> Line:
        """One choice with its values."""
        if y >= len(self.shown):
            return BLANK
        choice = self.shown[y]
        here = y == self.cursor and self.has_focus
        spans = [Span("▌" if here else " ", "accent"), Span(fit_cells(choice.label, _LABEL), "dim")]
        start, end = self._window(choice)
        if start:
            spans.append(Span("‹ ", "faint"))
        for index in range(start, end):
            word = choice.words[index]
            spans.append(
                Span(f"({word})" if index == choice.at else f" {word} ", "accent" if index == choice.at else "dim")
            )
            spans.append(Span(" "))
        if end < len(choice.words):
            spans.append(Span("›", "faint"))
        if choice.note:
            spans.append(Span(f" {choice.note}", "dim"))
        return line(*spans)

    def _window(self, choice: Choice) -> tuple[int, int]:
        """Which of the words there is room for: the chosen one is among them."""
        room = self.line_width - _LABEL - 1 - (len(choice.note) + 1 if choice.note else 0)
        sizes = [cell_len(word) + 3 for word in choice.words]
        if sum(sizes) <= room or room <= 0:
            return 0, len(sizes)
        start, end = choice.at, choice.at + 1
        while True:
            left, right = start > 0, end < len(sizes)
            before = sum(sizes[start - 1 : end]) if left else room
            after = sum(sizes[start : end + 1]) if right else room
            if left and before <= room - 3 and (choice.at - start <= end - choice.at or not right):
                start -= 1
            elif right and after <= room - 3:
                end += 1
            elif left and before <= room - 3:
                start -= 1
            else:
                return start, end

    def role_at(self, y: int) -> str:
        """The line under the cursor stands out."""
        return "selected" if y == self.cursor and self.has_focus else ""

    def on_focus(self) -> None:
        """The cursor shows."""
        self.redraw()

    def on_blur(self) -> None:
        """The cursor hides."""
        self.redraw()

    def action_move(self, step: int) -> None:
        """Another line."""
        self.cursor = max(0, min(self.cursor + step, len(self.shown) - 1))
        self.redraw()

    def action_change(self, step: int) -> None:
        """Another value."""
        choice = self.shown[self.cursor]
        choice.at = (choice.at + step) % len(choice.values)
        self.redraw()
        self.post_message(self.Changed(choice))
