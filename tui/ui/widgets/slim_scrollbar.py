"""The scrollbar of the whole app: a thin line at the right edge of its cell, not to outweigh text."""

from __future__ import annotations

from rich.color import Color
from rich.segment import Segment, Segments
from rich.style import Style
from textual.scrollbar import ScrollBarRender

_LINE = "▕"
_NONE = Color.parse("default")


class SlimScrollBar(ScrollBarRender):
    """Whole cells instead of eighths: one glyph that every font has, and fewer bytes while one scrolls."""

    @classmethod
    def render_bar(
        cls,
        size: int = 25,
        virtual_size: float = 50,
        window_size: float = 20,
        position: float = 0,
        thickness: int = 1,
        vertical: bool = True,
        back_color: Color = _NONE,
        bar_color: Color = _NONE,
    ) -> Segments:
        """Segments of a bar of ``size`` cells."""
        if not vertical:
            return super().render_bar(
                size, virtual_size, window_size, position, thickness, vertical, back_color, bar_color
            )
        first, length = thumb(size, virtual_size, window_size, position)
        blank = Segment(" " * thickness, Style(bgcolor=back_color))
        line = Segment(_LINE.rjust(thickness), Style(color=bar_color, bgcolor=back_color))
        cells = [line if first <= row < first + length else blank for row in range(size)]
        return Segments(cells, new_lines=True)


def thumb(size: int, virtual_size: float, window_size: float, position: float) -> tuple[int, int]:
    """First cell and length of the thumb in a bar of ``size`` cells; length 0 when everything is seen."""
    if not (window_size and size and virtual_size > window_size):
        return 0, 0
    length = max(1, round(size * window_size / virtual_size))
    share = min(1.0, position / (virtual_size - window_size))
    return round((size - length) * share), length
