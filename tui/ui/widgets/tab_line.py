"""The top line: who we are on a wide screen, the switcher of panes on a narrow one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from tui.ui.lines.span import Line, Span, spread, width_of
from tui.ui.lines.status_line import status_line
from tui.ui.widgets.fixed_lines import FixedLines

if TYPE_CHECKING:
    from tui.jobs.job import Job


class Tab(NamedTuple):
    """A pane in the switcher: its number, name and live counts."""

    number: int
    name: str
    counts: str
    active: bool


def tabs_line(tabs: Sequence[Tab], width: int) -> Line:
    """The switcher; counts of panes that are not active go first when there is no room."""

    def build(counts: bool, names: bool) -> Line:
        spans: list[Span] = []
        for tab in tabs:
            name = tab.name if names or tab.active else tab.name[:4]
            text = f" {tab.number} {name}" + (f" {tab.counts}" if tab.counts and (counts or tab.active) else "") + " "
            spans.extend((Span(text, "chip" if tab.active else "dim"), Span(" ")))
        return tuple(spans)

    for counts, names in ((True, True), (True, False), (False, True)):
        found = build(counts, names)
        if width_of(found) <= width:
            return found
    return build(False, False)


class TabLine(FixedLines):
    """Shows the tabs where they are needed, else what goes on; at the right edge, where this is."""

    DEFAULT_CSS = "TabLine { dock: top; height: 1; padding: 0 1; background: $panel; }"

    def show_tabs(self, tabs: Sequence[Tab], place: Line) -> None:
        """The switcher, and the place where there is room for it."""
        width = self.size.width
        found = tabs_line(tabs, width)
        self.set_lines(spread(found, place, width) if width_of(found) + width_of(place) < width else found)

    def show_status(self, jobs: Sequence[Job], place: Line) -> None:
        """What goes on, and the place."""
        width = self.size.width
        self.set_lines(spread(status_line(jobs, width - width_of(place) - 2), place, width))
