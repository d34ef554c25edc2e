"""Two answers to one prompt without names: a or b is better, they are equal, or both are bad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.compare.ballot import Pair, Vote
from tui.compare.trial import Trial
from tui.plain_text import clean_line
from tui.ui.lines.span import Line, Span, cut_line, line, wrap_line, wrap_text
from tui.ui.lines.trial_lines import GAP, side_by_side
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.fixed_lines import FixedLines
from tui.ui.widgets.painted import LinesView

SIDE_BY_SIDE = 90
"""Cells from which the two stand beside each other; below that, one under the other."""


class VoteCast(Request):
    """Keep this vote."""

    vote: Vote


class VoteScreen(Dialog[None]):
    """The pairs of a trial, one after another. The names of a pair show when it was voted on, not before."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "vote('left')", "A is better", id="vote.left"),
        Binding("b", "vote('right')", "B is better", id="vote.right"),
        Binding("t", "vote('tie')", "equal", id="vote.tie"),
        Binding("x", "vote('neither')", "both bad", id="vote.neither"),
        Binding("s", "skip", "skip", id="vote.skip"),
        Binding("u", "undo", "back", id="vote.undo"),
    ]
    DEFAULT_CSS = """
    VoteScreen > #box { max-width: 1000; width: 100%; height: 1fr; }
    VoteScreen #asked { height: 3; margin-bottom: 1; }
    VoteScreen #pair { height: 1fr; }
    """

    def __init__(self, trial: Trial, pairs: Sequence[Pair]) -> None:
        super().__init__("Which answer is better?")
        self._trial = trial
        self.pairs = list(pairs)
        self.at = 0
        self._told = ""

    def body(self) -> ComposeResult:
        """The prompt and the two answers."""
        yield FixedLines(id="asked")
        yield LinesView(id="pair")

    @property
    def pair(self) -> Pair | None:
        """The pair that waits."""
        return self.pairs[self.at] if self.at < len(self.pairs) else None

    def on_mount(self) -> None:
        """The text scrolls."""
        self.query_one(LinesView).focus()
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self._draw)

    def _draw(self) -> None:
        view = self.query_one("#pair", LinesView)
        width = view.line_width - 1
        if not self.is_open or width <= 0:
            return
        pair = self.pair
        told = cut_line(line(Span(self._told, "info")), width)
        if pair is None:
            self.query_one("#asked", FixedLines).set_lines(line(), told)
            view.set_lines(
                [line(Span("Every pair has a vote. ", "dim"), Span("esc", "key"), Span(" goes back.", "dim"))]
            )
            self.retitle("Which answer is better?", "done")
            return
        prompt = self._trial.order.prompts[pair.prompt]
        asked = wrap_line(line(Span(clean_line(prompt.turns[-1], 2 * width), "strong")), width)
        self.query_one("#asked", FixedLines).set_lines(*asked[:2], *([line()] * (2 - len(asked[:2]))), told)
        view.set_lines(self._answers(pair, width))
        view.scroll_home(animate=False)
        self.retitle("Which answer is better?", f"pair {self.at + 1} of {len(self.pairs)}, names hidden")

    def _answers(self, pair: Pair, width: int) -> list[Line]:
        beside = width >= SIDE_BY_SIDE
        cells = (width - len(GAP)) // 2 if beside else width
        texts: list[list[Line]] = []
        for letter, attempt in (("A", pair.left), ("B", pair.right)):
            rows: list[Line] = [line(Span(f" {letter} ", "chip")), line()]
            rows += [line(text) for text in wrap_text(attempt.text.strip(), cells)]
            texts.append(rows)
        return side_by_side(texts, cells) if beside else [*texts[0], line(), *texts[1]]

    def why_not(self, action: str) -> str:
        """What is possible here."""
        if action in ("vote", "skip") and self.pair is None:
            return "every pair has a vote"
        return "this is the first pair" if action == "undo" and self.at == 0 else ""

    def action_vote(self, choice: str) -> None:
        """Keep the vote, say who they were, and go on."""
        pair = self.pair
        if pair is None:
            self.app.notify("every pair has a vote", severity="warning")
            return
        self.app.post_message(VoteCast(pair.vote(choice)))
        words = {"left": "A won", "right": "B won", "tie": "equal", "neither": "both bad"}[choice]
        self._told = f"{words}: A was {clean_line(pair.left_name)}, B was {clean_line(pair.right_name)}"
        self.at += 1
        self._draw()
        self.refresh_bindings()

    def action_skip(self) -> None:
        """Without a vote."""
        if self.pair is not None:
            self._told = "skipped"
            self.at += 1
            self._draw()
            self.refresh_bindings()

    def action_undo(self) -> None:
        """Back to the pair before, to vote again; the later vote replaces the earlier."""
        if self.at:
            self._told = ""
            self.at -= 1
            self._draw()
            self.refresh_bindings()
