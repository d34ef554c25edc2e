"""What every dialog shares: it lies over the panes, has its own keys at the bottom, and esc leaves it."""

from __future__ import annotations

from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from tui.plain_text import clean_line
from tui.ui.widgets.key_line import KeyLine

Result = TypeVar("Result")


class Dialog(ModalScreen[Result]):
    """A framed box. Subclasses give ``body``; ``LARGE`` fills most of the screen."""

    LARGE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", id="dialog.close"),
        Binding("question_mark", "app.help", "help", id="dialog.help", show=False),
    ]

    DEFAULT_CSS = """
    Dialog { align: center middle; background: $background 60%; }
    Dialog > #box {
        border: round $primary;
        border-title-color: $primary;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        background: $background;
        padding: 0 1;
        width: 90%;
        height: 90%;
        max-width: 130;
    }
    Dialog.-small > #box { width: 72; max-width: 96%; height: auto; max-height: 90%; padding: 1 2; }
    Dialog.-narrow > #box, Dialog.-short > #box { width: 100%; height: 1fr; }
    Dialog.-small.-narrow > #box, Dialog.-small.-short > #box {
        width: 72; max-width: 100%; height: auto; max-height: 100%;
    }
    """

    def __init__(self, title: str = "") -> None:
        super().__init__()
        self._box_title = title
        if not self.LARGE:
            self.add_class("-small")

    def compose(self) -> ComposeResult:
        """The box with its body, and the keys."""
        with Vertical(id="box") as box:
            box.border_title = Content(clean_line(self._box_title)) if self._box_title else None
            yield from self.body()
        yield KeyLine()

    @property
    def is_open(self) -> bool:
        """Whether it is still there for what was asked in its name; answers that come later have nowhere to go."""
        return self.is_mounted and self.is_attached and self in self.app.screen_stack

    def body(self) -> ComposeResult:
        """What is in the box."""
        raise NotImplementedError

    def retitle(self, title: str, note: str = "") -> None:
        """Change the words in the frame."""
        box = self.query_one("#box", Vertical)
        box.border_title = Content(clean_line(title))
        box.border_subtitle = Content(clean_line(note)) if note else None

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss(None)
