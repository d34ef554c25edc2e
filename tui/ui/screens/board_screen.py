"""Who wins: the ranking from votes, by a person or by judges, and the boards that were imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.compare.ballot import Vote
from tui.compare.board import board
from tui.ui.lines.board_lines import board_lines
from tui.ui.lines.span import Line, Span, line
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView


class BoardAsked(Request):
    """Read the votes and the imported boards."""

    screen: BoardScreen


class BoardScreen(Dialog[None]):
    """A text that scrolls; ``v`` goes from all voters to each one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "voter", "whose votes", id="board.voter")]

    def __init__(self) -> None:
        super().__init__("Board")
        self._votes: Sequence[Vote] | None = None
        self._imported: Sequence[Mapping[str, Any]] = ()
        self._voter = ""

    def body(self) -> ComposeResult:
        """The ranking."""
        yield LinesView(id="board")

    def on_mount(self) -> None:
        """Read."""
        self.query_one(LinesView).focus()
        self.post_message(BoardAsked(self))
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        """Draw the bars again."""
        self.call_after_refresh(self._draw)

    def show_board(self, votes: Sequence[Vote], imported: Sequence[Mapping[str, Any]]) -> None:
        """They came."""
        self._votes, self._imported = votes, imported
        self._draw()

    def _draw(self) -> None:
        view = self.query_one(LinesView) if self.is_open else None
        if view is None or view.line_width <= 1:
            return
        if self._votes is None:
            view.set_lines([line(Span("counting the votes …", "dim"))])
            return
        votes = [vote for vote in self._votes if self._voter in ("", vote.voter)]
        rows: list[Line] = board_lines(board(votes), self._imported, view.line_width - 1)
        view.set_lines(rows)
        self.retitle("Board", f"votes of {self._voter}" if self._voter else "all votes")

    def action_voter(self) -> None:
        """The votes of somebody else."""
        voters = ["", *sorted({vote.voter for vote in self._votes or ()})]
        self._voter = voters[(voters.index(self._voter) + 1) % len(voters)]
        self._draw()
