"""The line-API base of our widgets: spans become strips here, and only lines that changed are drawn again.

Many small widgets cost more bytes and more time than lines do (a DataTable of 100,000 rows takes seconds to fill), so
lists, readings and transcripts are each one widget that paints lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.ui.lines.changed_cells import changed_ranges
from tui.ui.lines.span import BLANK, Line, Span
from tui.ui.text import harmless
from tui.ui.themes import role_styles


def paint(spans: Sequence[Span], styles: dict[str, Style], base: Style, width: int) -> Strip:
    """A strip of exactly ``width`` cells; unknown roles get the base style."""
    segments = [
        Segment(harmless(span.text), base + styles[span.role] if span.role in styles else base) for span in spans
    ]
    return Strip(segments).adjust_cell_length(width, base)


class PaintedView(ScrollView):
    """A scrollable widget whose content is ``line_at``. Subclasses call ``redraw`` when their data changed."""

    DEFAULT_CSS = """
    PaintedView {
        overflow-x: hidden;
        overflow-y: auto;
        scrollbar-size-vertical: 1;
        background: transparent;
    }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._drawn: dict[int, tuple[Line, str]] = {}
        self._base: Style | None = None

    @property
    def styles_by_role(self) -> dict[str, Style]:
        """The styles of the present theme."""
        return role_styles(self.app.theme_variables)

    @property
    def line_width(self) -> int:
        """Cells that a line has."""
        return self.scrollable_content_region.width

    @property
    def page_height(self) -> int:
        """Lines that are visible at once."""
        return self.scrollable_content_region.height

    def line_at(self, y: int) -> Line:
        """The line at row ``y`` of the visible part, given the scroll offset."""
        raise NotImplementedError

    def role_at(self, y: int) -> str:
        """The role whose background the whole row ``y`` has; empty for none."""
        return ""

    def render_line(self, y: int) -> Strip:
        """Draw one visible row."""
        spans, role = self.line_at(y), self.role_at(y)
        self._drawn[y] = (spans, role)
        if self._base is None:
            self._base = self.rich_style
        base = self._base
        if role:
            base = base + self.styles_by_role.get(role, Style())
        # reversed colours would colour the row's back in patches
        return paint(spans, {} if base.reverse else self.styles_by_role, base, self.size.width)

    def redraw(self) -> None:
        """Draw the cells of the visible rows that differ from what is on screen."""
        regions: list[Region] = []
        for y in range(self.page_height):
            drawn, spans, role = self._drawn.get(y), self.line_at(y), self.role_at(y)
            if drawn is None or drawn[1] != role:
                self.refresh_line(y + self.scroll_offset.y)
            elif drawn[0] != spans:
                ranges = changed_ranges(drawn[0], spans, self.size.width)
                regions += [Region(start, y, end - start, 1) for start, end in ranges]
        if regions:
            self.refresh(*regions)

    def notify_style_update(self) -> None:
        """The theme changed: everything is drawn again."""
        super().notify_style_update()
        self._drawn.clear()
        self._base = None

    def set_height(self, height: int) -> None:
        """The content has ``height`` lines now. The screen is laid out again only when the scrollbar comes or goes:
        Textual does it at every change, which draws everything for each line that streams in."""
        if height == self.virtual_size.height:
            return
        room = self.container_size.height
        if room <= 0 or self.styles.is_auto_height or self.show_vertical_scrollbar != (height > room):
            self.virtual_size = Size(0, height)
            if self.styles.is_auto_height:
                self.refresh(layout=True)
            return
        self.set_reactive(PaintedView.virtual_size, Size(0, height))
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = height
        self.scroll_y = self.validate_scroll_y(self.scroll_y)

    def show_row(self, y: int, margin: int = 0) -> None:
        """Scroll so that virtual row ``y`` is visible below ``margin`` fixed rows."""
        top = round(self.scroll_y)
        height = self.page_height
        if height <= 0:
            return
        if y - margin < top:
            self.scroll_to(y=y - margin, animate=False, immediate=True, force=True)
        elif y >= top + height:
            self.scroll_to(y=y - height + 1, animate=False, immediate=True, force=True)

    def show_end(self) -> None:
        """Scroll to the last line, also before the scrollbar that it needs is laid out."""
        last = max(0, self.virtual_size.height - self.page_height)
        self.scroll_to(y=last, animate=False, immediate=True, force=True)


class LinesView(PaintedView):
    """A scrollable text of lines. Keys move it when it has the focus."""

    def __init__(self, *, id: str | None = None, classes: str | None = None, can_focus: bool = True) -> None:
        super().__init__(id=id, classes=classes)
        self.can_focus = can_focus
        self.lines: Sequence[Line] = ()

    def set_lines(self, lines: Sequence[Line]) -> None:
        """Show ``lines``; rows that stay the same are not drawn again."""
        self.lines = lines
        self.set_height(len(lines))
        self.redraw()

    def line_at(self, y: int) -> Line:
        """The line under the scroll offset."""
        index = y + self.scroll_offset.y
        return self.lines[index] if 0 <= index < len(self.lines) else BLANK
