"""The life of the screen: all that is drawn passes one filter; an error ends the app in words, not in a traceback."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from rich.console import RenderableType
from textual._compositor import ChopsUpdate
from textual.filter import LineFilter
from textual.screen import Screen
from textual.scrollbar import ScrollBar

from tui.plain_text import clean_line, without_secrets
from tui.ui.errands import ErrandApp
from tui.ui.narrow_update import NarrowUpdate
from tui.ui.terminal import traceback_without_locals
from tui.ui.text import HarmlessText
from tui.ui.widgets.slim_scrollbar import SlimScrollBar

if TYPE_CHECKING:
    from tui.workbench import Workbench

_log = logging.getLogger("heft.app")
SETTLED_SECONDS = 2.0
"""How long after a resize whole lines are drawn: a terminal may have moved or cleared what stood there."""

ScrollBar.renderer = SlimScrollBar


class ScreenLife(ErrandApp):
    """Draws, and dies decently. ``failure`` says in words what ended the app; empty when nothing did."""

    resized_at = 0.0

    def __init__(self, workbench: Workbench | None = None) -> None:
        super().__init__(workbench)
        self.failure = ""
        self._harmless = HarmlessText()

    def get_line_filters(self) -> list[LineFilter]:
        """Everything that is drawn passes the filter of harmless text."""
        return [*super().get_line_filters(), self._harmless]

    def _display(self, screen: Screen[object], renderable: RenderableType | None) -> None:
        settled = time.monotonic() - self.resized_at > SETTLED_SECONDS
        narrow = settled and isinstance(renderable, ChopsUpdate)
        super()._display(screen, NarrowUpdate(renderable) if narrow else renderable)  # type: ignore[arg-type]

    def _handle_exception(self, error: Exception) -> None:
        if self.is_headless:
            super()._handle_exception(error)
            return
        _log.error("the app ended by an error\n%s", traceback_without_locals(error))
        self.failure = clean_line(without_secrets(f"{type(error).__name__}: {error}"))
        self._return_code = 1
        self._close_messages_no_wait()

    def panic(self, *renderables: RenderableType) -> None:
        """Textual's own last words are a traceback with the values of variables; those go nowhere."""
        if self.is_headless:
            super().panic(*renderables)
            return
        _log.error("the app ended by an error of its screen or its input")
        self.failure = self.failure or "the terminal cannot be read or drawn on any more"
        self._return_code = 1
        self._close_messages_no_wait()

    def _print(self, text: str, stderr: bool = False) -> None:
        """What Python code prints while the app runs; Textual would drop it."""
        if self.is_headless:
            super()._print(text, stderr)
            return
        if text.strip():
            _log.info("printed: %s", text.rstrip())
