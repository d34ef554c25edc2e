"""Which of the four panes are seen: all that are not hidden on a large screen, one at a time on a small one or when
zoomed. The arrangement is kept for the next time where there is a file for it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual import events
from textual.widgets import Input, TextArea

from tui.ui import FAR
from tui.ui.layout import SHARES, Layout, keep_layout, read_layout
from tui.ui.lines.status_line import place_line
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.panes.chat_pane import ChatPane
from tui.ui.panes.hardware_pane import HardwarePane
from tui.ui.panes.pane import Pane
from tui.ui.panes.queue_pane import QueuePane
from tui.ui.screen_life import ScreenLife
from tui.ui.widgets.tab_line import Tab, TabLine

if TYPE_CHECKING:
    from tui.workbench import Workbench

WIDE, TALL = 110, 30
"""Columns and rows from which all panes are seen at once."""


class Arrangement(ScreenLife):
    """Places the panes and knows which one is active."""

    def __init__(self, workbench: Workbench | None = None, layout_file: Path | None = None) -> None:
        super().__init__(workbench)
        self._layout_file = layout_file
        self.layout = read_layout(layout_file) if layout_file else Layout()

    @property
    def zoomed(self) -> bool:
        """One pane fills the screen because the user wants it."""
        return self.layout.zoomed

    def pane(self, number: int) -> Pane:
        """The pane of that number."""
        kinds: tuple[type[Pane], ...] = (CatalogPane, HardwarePane, QueuePane, ChatPane)
        return self.screen_stack[0].query_one(kinds[number - 1])

    @property
    def is_small(self) -> bool:
        """There is no room for more than one pane."""
        width, height = self.size
        return width < WIDE or height < TALL

    @property
    def is_single(self) -> bool:
        """One pane at a time: the screen is small or a pane is zoomed."""
        return self.zoomed or self.is_small

    def keep(self, **changes: object) -> None:
        """Change the arrangement, and remember it for the next time."""
        self.layout = replace(self.layout, **changes)  # type: ignore[arg-type]
        path, layout = self._layout_file, self.layout
        if path is not None and self.workbench is not None:
            self.errand(lambda _: keep_layout(path, layout), group="layout", failed=lambda _: None)

    def arrange(self) -> None:
        """Show the panes that there is room for, and the switcher where it is needed."""
        desk = self.screen_stack[0]
        single, layout = self.is_single, self.layout
        desk.set_class(single, "-single")
        for number in range(1, 5):
            seen = number == layout.active if single else number not in layout.hidden
            self.pane(number).display = seen
        left, right = desk.query_one("#left"), desk.query_one("#right")
        for column in (left, right):
            column.display = any(child.display for child in column.children)
        if not single:
            left.styles.width = f"{layout.share}fr" if right.display else "1fr"
        else:
            left.styles.width = "1fr"
        self.draw_tabs()

    def draw_tabs(self) -> None:
        """The top line."""
        bar, queue, hardware = self.screen_stack[0].query_one(TabLine), self.pane(3), self.pane(2)
        assert isinstance(queue, QueuePane) and isinstance(hardware, HardwarePane)
        host = hardware.snapshot.host.hostname or os.uname().nodename
        hidden = [] if self.is_single else [(number, self.pane(number).NAME) for number in self.layout.hidden]
        place = place_line(host, hidden, ssh=FAR)
        if self.is_single:
            panes = [self.pane(number) for number in range(1, 5)]
            bar.show_tabs(
                [Tab(pane.NUMBER, pane.NAME, pane.counts, self.layout.active == pane.NUMBER) for pane in panes], place
            )
        else:
            bar.show_status(queue.jobs, place)

    def on_resize(self, event: events.Resize) -> None:
        """Another size: other panes are seen. Everything is drawn, since a terminal may have cut what stood there, also
        when it is back at the size that was (Textual draws nothing then)."""
        self.resized_at = time.monotonic()
        self.call_after_refresh(self.arrange)
        self.screen.refresh()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """The pane with the focus is the active one. No cursor blinks: over a slow line that is traffic for nothing."""
        if isinstance(event.widget, Input | TextArea):
            event.widget.cursor_blink = False
        for pane in event.widget.ancestors_with_self:
            if isinstance(pane, Pane) and self.layout.active != pane.NUMBER:
                self.keep(active=pane.NUMBER)
                self.arrange()

    def action_pane(self, number: int) -> None:
        """Go to a pane; a hidden one comes back."""
        self.keep(active=number, hidden=tuple(other for other in self.layout.hidden if other != number))
        self.arrange()
        self.pane(number).entrance().focus()

    def action_zoom(self) -> None:
        """One pane over the whole screen, or all of them again."""
        self.keep(zoomed=not self.zoomed)
        self.arrange()

    def action_hide(self) -> None:
        """Hide the active pane; its number brings it back."""
        if reason := self.why_not_hide:
            self.tell(reason, severity="warning")
            return
        active = self.layout.active
        rest = [number for number in range(1, 5) if number not in (*self.layout.hidden, active)]
        self.keep(hidden=(*self.layout.hidden, active), active=rest[0])
        self.arrange()
        self.pane(rest[0]).entrance().focus()
        self.tell(f"pane {active} is hidden; {active} brings it back")

    @property
    def why_not_hide(self) -> str:
        """Why the active pane cannot be hidden; empty when it can."""
        if self.is_single:
            return "one pane is seen at a time here; a number shows another" if self.is_small else "z shows all first"
        return "the last pane stays" if len(self.layout.hidden) >= 3 else ""

    def action_widen(self, step: int) -> None:
        """A wider or narrower left column."""
        at = SHARES.index(self.layout.share) + step
        self.keep(share=SHARES[max(0, min(at, len(SHARES) - 1))])
        self.arrange()
