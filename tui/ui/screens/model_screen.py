"""One model: its facts, the fit in each precision, the files, and its card. The app brings the parts as they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal

from tui.catalog.card import Card
from tui.catalog.hub import HubFile
from tui.catalog.model import Model
from tui.fit.ladder import contexts_for
from tui.fit.verdict import Fit
from tui.ui.chat_messages import ChatRequested
from tui.ui.lines.card_lines import card_lines, section_names
from tui.ui.lines.fit_lines import (
    Judged,
    chosen_fit,
    device_lines,
    fit_lines,
    ladder_lines,
    need_lines,
    part_lines,
    quantize_lines,
)
from tui.ui.lines.model_facts import fact_lines, file_lines
from tui.ui.lines.span import BLANK, Line, Span, line, wrap_line
from tui.ui.messages import CopyRequested, GetRequested
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView

SPLIT = 104
"""Cells from which facts and card stand side by side."""


class FitsRequested(Request):
    """Judge every precision at a context length."""

    screen: ModelScreen
    model: Model
    context: int


class ModelScreen(Dialog[None]):
    """Facts at the left, the card at the right; one below the other where it is narrow."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("g", "get", "get", id="model.get"),
        Binding("c", "chat", "chat", id="model.chat"),
        Binding("y", "copy", "copy id", id="model.copy"),
        Binding("left", "context(-1)", "shorter context", id="model.shorter", show=False),
        Binding("right", "context(1)", "longer context", id="model.longer", show=False),
        Binding("p", "precision", "precision", id="model.precision"),
        *(
            Binding(
                str(number), f"section({number})", f"Part {number} of the card", id=f"model.part{number}", show=False
            )
            for number in range(8)
        ),
        Binding("tab", "app.focus_next", "facts/card", id="model.other"),
    ]

    DEFAULT_CSS = """
    ModelScreen #box { max-width: 170; }
    ModelScreen #facts { width: 1fr; }
    ModelScreen #card { width: 1fr; margin-left: 2; }
    """

    def __init__(self, model: Model, why_not_get: str, why_not_chat: str) -> None:
        super().__init__(model.name)
        self.model = model
        self._off = {"get": why_not_get, "chat": why_not_chat}
        self._judged = Judged(model, (), ())
        self._precision = ""
        self._contexts = contexts_for(model.context_length)
        self._files: Sequence[HubFile] = ()
        self._files_note = "asking for the files …" if model.repo else ""
        self._card: Card | None = None
        self._section = ""
        self._card_at = 0

    def body(self) -> ComposeResult:
        """Two views."""
        with Horizontal():
            yield LinesView(id="facts")
            yield LinesView(id="card")

    def on_mount(self) -> None:
        """Show what is known at once."""
        self.query_one("#facts").focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self._draw)

    @property
    def fits(self) -> Sequence[Fit]:
        """The verdicts that are shown."""
        return self._judged.fits

    def show_judged(self, judged: Judged) -> None:
        """The size, the verdicts and the needs came; what the hub told of the model is kept for the next question."""
        self.model, self._judged = judged.model, judged
        self._contexts = contexts_for(judged.model.context_length)
        self._draw()

    def show_files(self, files: Sequence[HubFile], note: str = "") -> None:
        """The files came, or why they did not."""
        self._files, self._files_note = files, note
        self._draw()

    def show_card(self, card: Card) -> None:
        """The card came."""
        self._card = card
        self._draw()

    def _draw(self) -> None:
        if not self.is_open:
            return
        facts, card = self.query_one("#facts", LinesView), self.query_one("#card", LinesView)
        split = self.size.width >= SPLIT
        card.display = split
        width = facts.line_width - 1
        if width <= 1:
            return
        parts = [
            *self._fit_parts(width),
            fact_lines(self.model, width),
            *self._other_parts(width),
            self._file_lines(width),
        ]
        rows = [row for part in parts if part for row in (*part, BLANK)]
        if split:
            card.set_lines(card_lines(self._card, self._section, (card.line_width or width) - 1))
        else:
            self._card_at = len(rows)
            rows += card_lines(self._card, self._section, width)
        facts.set_lines(rows)

    def _fit_parts(self, width: int) -> list[list[Line]]:
        judged = self._judged
        context = judged.fits[0].context if judged.fits else 0
        chosen = chosen_fit(judged.fits, self._precision)
        return [
            fit_lines(judged.fits, width),
            ladder_lines(judged.ladders, context, width),
            device_lines(chosen, width),
        ]

    def _other_parts(self, width: int) -> list[list[Line]]:
        judged = self._judged
        return [
            part_lines(chosen_fit(judged.fits, self._precision), width),
            need_lines(judged.needs, width),
            quantize_lines(judged.quantize, width),
        ]

    def _file_lines(self, width: int) -> list[Line]:
        files = file_lines(self._files, width)
        if not files and self._files_note:
            return wrap_line(line(Span(self._files_note, "dim")), width)
        return files

    def why_not(self, action: str) -> str:
        """What this model allows."""
        return self._off.get(action, "")

    def _refuses(self, action: str) -> bool:
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning")
        return bool(reason)

    def action_context(self, step: int) -> None:
        """Ask about half or twice the context."""
        now = next((fit.context for fit in self.fits if fit.context), 0)
        if not now or len(self._contexts) < 2:
            self.app.notify("its context length is not known", severity="warning")
            return
        at = min(range(len(self._contexts)), key=lambda index: abs(self._contexts[index] - now))
        wanted = self._contexts[max(0, min(at + step, len(self._contexts) - 1))]
        self.post_message(FitsRequested(self, self.model, wanted))

    def action_precision(self) -> None:
        """Show where the bytes of the next precision go, and what each device says to it."""
        labels = [fit.precision for fit in self.fits]
        chosen = chosen_fit(self.fits, self._precision)
        if chosen is not None:
            self._precision = labels[(labels.index(chosen.precision) + 1) % len(labels)]
            self._draw()

    def action_section(self, number: int) -> None:
        """One part of the card, or all of it; the same number again brings all back."""
        names = section_names(self._card)
        if number > len(names):
            return
        name = names[number - 1] if number else ""
        self._section = "" if name == self._section else name
        self._draw()
        view = self.query_one("#card" if self.size.width >= SPLIT else "#facts", LinesView)
        at = 0 if self.size.width >= SPLIT else self._card_at
        view.scroll_to(y=at, animate=False, immediate=True, force=True)

    def action_get(self) -> None:
        """Get it."""
        if not self._refuses("get"):
            self.dismiss(None)
            self.app.post_message(GetRequested(self.model))

    def action_chat(self) -> None:
        """Chat with it."""
        if not self._refuses("chat"):
            self.dismiss(None)
            self.app.post_message(ChatRequested(self.model.id))

    def action_copy(self) -> None:
        """Copy its id."""
        self.app.post_message(CopyRequested(self.model.reference, "id"))
