"""What happens while a prompt is written: its tokens are counted, a draft is kept, files are attached."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.timer import Timer

from tui.chat.context_window import bytes_per_token, estimate_tokens
from tui.ui.chat_errands import ChatErrands
from tui.ui.conversations import keep_draft

if TYPE_CHECKING:
    from tui.ui.chat_messages import AttachRequested
    from tui.ui.widgets.prompt_input import PromptInput
    from tui.workbench import Workbench

PAUSE_SECONDS = 0.4
"""After so long without a key the prompt is counted and kept."""


class PromptErrands(ChatErrands):
    """Follows the field of the chat pane."""

    _pause: Timer | None = None

    def on_prompt_input_written(self, event: PromptInput.Written) -> None:
        """The text in the field changed: an estimate at once, the true count after a pause."""
        event.stop()
        if not self.is_running or not self.screen_stack:
            return
        if self._pause is not None:
            self._pause.stop()
        self.show_written(self._estimate(event.text))
        self._pause = self.set_timer(PAUSE_SECONDS, self._count)

    def _estimate(self, text: str) -> int:
        files = sum(len(file.text.encode()) for file in self.chat_pane.files)
        rate = bytes_per_token(self.messages)
        return estimate_tokens(text, rate) + round(files / rate)

    def _count(self) -> None:
        if not self.is_running or not self.screen_stack:
            return  # the app is closing
        pane, endpoint = self.chat_pane, self.endpoint
        text = pane.prompt.text
        whole = "\n".join([text, *(file.text for file in pane.files)]) if pane.files else text

        def work(workbench: Workbench) -> int | None:
            keep_draft(workbench, text)
            return workbench.count_tokens(endpoint, whole) if endpoint is not None and whole.strip() else None

        def counted(tokens: int | None) -> None:
            if pane.prompt.text == text:
                self.show_written(self._estimate(text) if tokens is None else tokens)

        if self.workbench is not None:
            self.errand(work, counted, failed=lambda _: None, group="count")

    def on_attach_requested(self, event: AttachRequested) -> None:
        """Choose a file."""
        from tui.chat.attachment import read_attachment
        from tui.ui.screens.attach_screen import AttachScreen

        def chosen(path: str | None) -> None:
            if path:
                self.errand(lambda _: read_attachment(path), self.chat_pane.attach)

        self.push_screen(AttachScreen(), chosen)
