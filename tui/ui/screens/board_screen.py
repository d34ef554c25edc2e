"""Who wins: the ranking from votes, by a person or by judges, and the boards that were imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual.binding import Binding, BindingType

from tui.compare.ballot import Vote
from tui.compare.board import board
from tui.ui.lines.board_lines import board_lines
from tui.ui.lines.span import Line, Span, line
from tui.ui.request import Request
from tui.ui.screens.lines_dialog import LinesDialog


class BoardAsked(Request):
    """Read the votes and the imported boards."""

    screen: BoardScreen


class BoardScreen(LinesDialog):
    """A text that scrolls; ``v`` goes from all voters to each one."""

    LINES_ID = "board"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("v", "voter", "whose votes", id="board.voter")]

    def __init__(self) -> None:
        super().__init__("Board")
        self._votes: Sequence[Vote] | None = None
        self._imported: Sequence[Mapping[str, Any]] = ()
        self._voter = ""

    def on_mount(self) -> None:
        """Read."""
        self.post_message(BoardAsked(self))

    def show_board(self, votes: Sequence[Vote], imported: Sequence[Mapping[str, Any]]) -> None:
        """They came."""
        self._votes, self._imported = votes, imported
        self.redraw()

    def lines(self, width: int) -> list[Line]:
        """The ranking."""
        if self._votes is None:
            return [line(Span("counting the votes …", "dim"))]
        self.retitle("Board", f"votes of {self._voter}" if self._voter else "all votes")
        votes = [vote for vote in self._votes if self._voter in ("", vote.voter)]
        return board_lines(board(votes), self._imported, width - 1)

    def action_voter(self) -> None:
        """The votes of somebody else."""
        voters = ["", *sorted({vote.voter for vote in self._votes or ()})]
        self._voter = voters[(voters.index(self._voter) + 1) % len(voters)]
        self.redraw()
