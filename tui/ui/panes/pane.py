"""What the four panes share: a border with a number, a name and live counts, and keys that say why they are off."""

from __future__ import annotations

from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget

from tui.plain_text import clean_line


class Pane(Vertical):
    """One of the four panes. ``NUMBER`` is its key."""

    NUMBER = 0
    NAME = ""
    _border_title: Content | None

    DEFAULT_CSS = """
    Pane {
        border: round $border-blurred;
        border-title-color: $text-muted;
        border-subtitle-color: $text-muted;
        padding: 0;
        background: $background;
    }
    Pane:focus-within {
        border: round $primary;
        border-title-color: $primary;
        border-title-style: bold;
    }
    """

    def __init__(self) -> None:
        super().__init__(id=self.NAME.lower())
        self.counts = ""
        self._note = ""

    def on_mount(self) -> None:
        """Draw the title."""
        self.set_counts(self.counts)

    def set_counts(self, counts: str) -> None:
        """The live numbers beside the name."""
        self.counts = counts
        name = f"{self.NUMBER} {self.NAME}"
        words = clean_line(counts)
        title = Content.assemble((name, "bold"), (f"  {words}", "not bold") if words else "")
        if self.border_title is None:
            self.border_title = title
        elif self._border_title != title:
            # Textual would draw the whole pane for it; only the border changes
            longest = max(len(title), len(self._border_title or ""))
            self._border_title = title
            self.refresh(Region(-1, -1, min(longest + 6, self.outer_size.width), 1))

    def set_note(self, note: str) -> None:
        """A short text in the lower border; empty removes it."""
        if note != self._note:
            self._note = note
            self.border_subtitle = Content(clean_line(note)) if note else None

    def entrance(self) -> Widget:
        """The widget that gets the focus when the pane does."""
        raise NotImplementedError

    def why_not(self, action: str) -> str:
        """Why an action is off now, in words; empty when it works."""
        return ""

    def refuses(self, action: str) -> bool:
        """Whether ``action`` is off; then the reason is shown."""
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning", markup=False, timeout=4)
        return bool(reason)
