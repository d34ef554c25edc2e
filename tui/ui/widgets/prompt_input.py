"""Where a prompt is written: enter sends, ctrl+j makes a new line (shift+enter does not survive tmux), up recalls."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import TextArea

from tui.ui.request import Request


class PromptInput(TextArea):
    """A field that grows to six lines and remembers what was sent."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "send", id="prompt.send"),
        Binding("ctrl+j,alt+enter", "newline", "new line", id="prompt.newline", show=False),
        Binding("up", "earlier", "earlier prompt", id="prompt.earlier", show=False),
        Binding("down", "later", "later prompt", id="prompt.later", show=False),
    ]

    class Sent(Request):
        """The user sent ``text``."""

        text: str

    class Written(Request):
        """The text in the field is now ``text``."""

        text: str

    def __init__(self, *, id: str | None = None, placeholder: str = "") -> None:
        super().__init__(
            id=id,
            placeholder=placeholder,
            compact=True,
            soft_wrap=True,
            highlight_cursor_line=False,
            tab_behavior="focus",
        )
        self._history: list[str] = []
        self._at = 0
        self._draft = ""

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """Say so to whoever counts."""
        event.stop()
        self.post_message(self.Written(self.text))

    def remember(self, prompts: list[str]) -> None:
        """What was asked before, oldest first."""
        self._history = prompts
        self._at = len(prompts)

    async def _on_key(self, event: events.Key) -> None:
        # Enter takes its turn behind the letters before it: a priority binding would overtake them and send nothing.
        active = self.screen.active_bindings.get(event.key)
        if active is not None and active.binding.action == "send":
            event.stop()
            event.prevent_default()
            self.action_send()

    def action_send(self) -> None:
        """Send what is written."""
        text = self.text.strip()
        if text:
            self.post_message(self.Sent(text))

    def sent(self, text: str) -> None:
        """The text went out: the field is empty again."""
        if not self._history or self._history[-1] != text:
            self._history.append(text)
        self._at = len(self._history)
        self._draft = ""
        self.clear()

    def action_newline(self) -> None:
        """A line break."""
        self.insert("\n")

    def action_earlier(self) -> None:
        """Up in the text; on its first line, the prompt before."""
        if self.cursor_location[0] > 0 or not self._history:
            self.action_cursor_up()
        elif self._at > 0:
            if self._at == len(self._history):
                self._draft = self.text
            self._recall(self._at - 1)

    def action_later(self) -> None:
        """Down in the text; on its last line, the prompt after."""
        if self.cursor_location[0] < self.document.line_count - 1 or self._at >= len(self._history):
            self.action_cursor_down()
        else:
            self._recall(self._at + 1)

    def _recall(self, at: int) -> None:
        self._at = at
        self.text = self._history[at] if at < len(self._history) else self._draft
        self.move_cursor(self.document.end)
