"""What is written to the terminal when a few cells changed: those cells, and not the line up to them.

Textual works out exactly which cells are stale, but draws each line from its widget's left edge on; over a slow line
that is most of the bytes. This is the same update with the cut at both ends, and colours are set only where they
change: rich sets both and resets them for every piece of text, which is longer than most pieces.
"""

from __future__ import annotations

from functools import lru_cache

from rich.color import ColorSystem
from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate
from textual.strip import Strip

_ATTRIBUTES = (("bold", "1"), ("dim", "2"), ("italic", "3"), ("underline", "4"), ("reverse", "7"), ("strike", "9"))


class NarrowUpdate(CompositorUpdate):
    """A partial update of Textual's compositor, written cell by cell."""

    def __init__(self, update: ChopsUpdate) -> None:
        self._update = update

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Where somebody renders it through rich, it is the update that it was made of."""
        yield self._update

    def render_segments(self, console: Console) -> str:
        """The bytes for the terminal: go to the first stale cell, write the stale cells."""
        update, found = self._update, []
        for y, start, end in update.spans:
            for right, (left, strip) in zip(update.chop_ends[y], update.chops[y].items(), strict=False):
                if strip is None or left >= end or right <= start:
                    continue
                first, last = max(left, start), min(right, end)
                found.append(Control.move_to(first, y).segment.text)
                found.append(render_tersely(strip.crop(first - left, last - left).simplify(), console))
        return "".join(found)


def render_tersely(strip: Strip, console: Console) -> str:
    """The text of ``strip`` with as few codes between its pieces as make the same picture; reset at the end."""
    system = console._color_system
    if system is None or any(style is None or style.link or control for _, style, control in strip):
        return strip.render(console)
    found: list[str] = []
    before = ("", "", "")
    for text, style, _ in strip:
        now = _codes(style or Style.null(), system)
        if before[0] not in ("", now[0]) or any(old and not new for old, new in zip(before[1:], now[1:], strict=True)):
            found.append(f"\x1b[{';'.join(part for part in ('0', *now) if part)}m")
        elif changed := ";".join(new for old, new in zip(before, now, strict=True) if new != old):
            found.append(f"\x1b[{changed}m")
        found.append(text)
        before = now
    return "".join((*found, "\x1b[0m"))


@lru_cache(maxsize=1024)
def _codes(style: Style, system: ColorSystem) -> tuple[str, str, str]:
    """The codes of a style's attributes, colour and background."""
    attributes = ";".join(code for name, code in _ATTRIBUTES if getattr(style, name))
    colors = []
    for color, foreground in ((style.color, True), (style.bgcolor, False)):
        colors.append("" if color is None else ";".join(color.downgrade(system).get_ansi_codes(foreground)))
    return attributes, colors[0], colors[1]
