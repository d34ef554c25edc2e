"""A one-line field above a list: enter, down and esc go to the list, and the bottom line says so."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input


class FilterInput(Input):
    """Posts ``Input.Changed`` as one types, and ``Left`` when one goes to the list."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,down", "to_list", "to the list", id="filter.list", key_display="enter"),
        Binding("escape", "to_list", "to the list", id="filter.leave", show=False),
        Binding("ctrl+u", "delete_left_all", "clear", id="filter.clear"),
    ]

    class Left(Message):
        """The user goes from the field to the list."""

    def __init__(self, placeholder: str, *, id: str) -> None:
        super().__init__(placeholder=placeholder, id=id, compact=True)

    def action_to_list(self) -> None:
        """Enter, down or esc."""
        self.post_message(self.Left())
