"""A few lines at a fixed place: the chips above a list, the words below it, the bars at the top and bottom."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui.ui.lines.changed_cells import changed_ranges
from tui.ui.lines.span import BLANK, Line
from tui.ui.themes import role_styles
from tui.ui.widgets.painted import paint


class FixedLines(Widget):
    """Shows lines and draws again only when they change. Its height comes from the style sheet."""

    DEFAULT_CSS = "FixedLines { height: 1; width: 1fr; }"

    def __init__(self, lines: Sequence[Line] = (), *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: tuple[Line, ...] = tuple(lines)

    def set_lines(self, *lines: Line) -> None:
        """Show ``lines``; only the cells that change are drawn."""
        if lines == self.lines:
            return
        before, self.lines, width = self.lines, lines, self.size.width
        if len(before) != len(lines):
            self.refresh()
            return
        regions = [
            Region(start, y, end - start, 1)
            for y, (old, new) in enumerate(zip(before, lines, strict=True))
            for start, end in changed_ranges(old, new, width)
        ]
        if regions:
            self.refresh(*regions)

    def render_line(self, y: int) -> Strip:
        """Draw one line."""
        spans = self.lines[y] if y < len(self.lines) else BLANK
        return paint(spans, role_styles(self.app.theme_variables), self.rich_style, self.size.width)
