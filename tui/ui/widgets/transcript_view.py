"""The conversation as one widget of lines: sealed blocks are wrapped once, only the open tail is drawn again.

It keeps to the end while an answer streams, unless the user has scrolled up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType

from tui.ui.lines.section_lines import (
    Part,
    Section,
    end_lines,
    head_lines,
    markdown_rows,
    marked,
    part_lines,
    parts,
    plain_section,
)
from tui.ui.lines.span import BLANK, Line
from tui.ui.lines.stream_blocks import StreamBlocks
from tui.ui.widgets.painted import LinesView

__all__ = ["Section", "TranscriptView"]


class TranscriptView(LinesView):
    """Sections one below the other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "step(-1)", "Up", show=False, id="transcript.up"),
        Binding("down,j", "step(1)", "Down", show=False, id="transcript.down"),
        Binding("pageup", "step_page(-1)", "Page up", show=False, id="transcript.page_up"),
        Binding("pagedown,space", "step_page(1)", "Page down", show=False, id="transcript.page_down"),
        Binding("home", "edge(-1)", "Start", show=False, id="transcript.start"),
        Binding("end,G", "edge(1)", "End", show=False, id="transcript.end"),
        Binding("K,shift+up", "choose(-1)", "Choose the part before", show=False, id="transcript.choose_before"),
        Binding("J,shift+down", "choose(1)", "Choose the next part", show=False, id="transcript.choose_next"),
    ]

    def __init__(self, *, id: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(id=id)
        self.sections: list[Section] = []
        self.unfolded = False
        self._empty: list[Line] = []
        self._lines: list[Line] = []
        self._ends: list[int] = []
        self._marks: list[int] = []
        self._laid_width = 0
        self._clock = clock
        self.chosen: Part | None = None
        self._range = (0, 0)

    # What the pane calls

    def clear(self, empty: list[Line] | None = None) -> None:
        """Forget everything; ``empty`` is shown instead."""
        self.sections.clear()
        self.chosen = None
        if empty is not None:
            self._empty = empty
        self.relay()
        self.scroll_to(y=0, animate=False, immediate=True)

    def set_empty(self, empty: list[Line]) -> None:
        """What is shown while there is nothing."""
        self._empty = empty
        if not self.sections:
            self.relay()

    def put(self, sections: Sequence[Section]) -> None:
        """Show these finished sections instead of what is here."""
        self.sections[:] = sections
        self.chosen = None
        for section in sections:
            section.blocks.finish()
        self.relay()
        self.show_end()

    def add(self, section: Section) -> Section:
        """Add a finished section."""
        self.sections.append(section)
        section.blocks.finish()
        self.relay_from(len(self.sections) - 1)
        return section

    def open(self, role: str) -> Section:
        """Begin a section that grows."""
        section = Section(role, started=self._clock(), is_open=True)
        self.sections.append(section)
        return section

    def reopen(self, section: Section) -> None:
        """Let a finished section grow again."""
        section.is_open, section.footer = True, BLANK
        section.blocks = StreamBlocks()
        section.blocks.take(section.text)
        self.relay_from(self.sections.index(section))

    def feed(self, section: Section, text: str, tokens: int = 0) -> None:
        """Add ``text`` to the last section."""
        if section.role == "thinking":
            section.seconds = self._clock() - section.started
        self._redo(section, section.take(text, tokens))

    def close(self, section: Section, footer: Line = BLANK) -> None:
        """Nothing more will come for ``section``."""
        section.is_open = False
        section.footer = footer
        self._redo(section, section.blocks.finish())

    def toggle_thinking(self) -> None:
        """Fold or unfold what was thought."""
        self.unfolded = not self.unfolded
        self.relay()

    # What is chosen

    @property
    def chosen_section(self) -> Section | None:
        """The section that is chosen, or whose code block is."""
        return self.sections[self.chosen.section] if self.chosen else None

    def choose(self, part: Part | None) -> None:
        """Mark a part and show it; None takes the mark away."""
        self.chosen = part
        self._measure()
        if part is not None:
            start, end = self._range
            if not self._sees(start, end):
                self.scroll_to(y=max(0, min(start - 1, end - 1)), animate=False)
        self.redraw()

    def action_choose(self, step: int) -> None:
        """The part before or after; from nothing, the last one."""
        found = parts(self.sections)
        if not found:
            return
        at = found.index(self.chosen) + step if self.chosen in found else len(found) - 1
        self.choose(found[max(0, min(at, len(found) - 1))])

    def line_at(self, y: int) -> Line:
        """The line under the scroll offset, marked where it is chosen."""
        row = super().line_at(y)
        start, end = self._range
        return marked(row) if self.chosen and start <= y + self.scroll_offset.y < end else row

    def _sees(self, start: int, end: int) -> bool:
        top = self.scroll_offset.y
        return top <= start and min(end, start + 3) <= top + self.page_height

    def _measure(self) -> None:
        """Find the lines of what is chosen."""
        if self.chosen is None or self.chosen.section >= len(self._ends):
            self._range = (0, 0)
            return
        number = self.chosen.section
        top = self._ends[number - 1] if number else 0
        section, height = self.sections[number], self._ends[number] - top
        start, end = part_lines(section, self.chosen.block, self._laid_width, self.unfolded, height)
        self._range = (top + start, top + end)

    # Lines

    def relay(self) -> None:
        """Lay out everything again, as for another width."""
        self.relay_from(0)

    def relay_from(self, index: int) -> None:
        """Lay out the sections from ``index`` on."""
        width = self.line_width
        if width <= 0:
            return
        if width != self._laid_width:
            index = 0
            self._laid_width = width
        following = self._following
        del self._lines[self._ends[index - 1] if index else 0 :]
        del self._ends[index:]
        for section in self.sections[index:]:
            self._lay(section, width)
            self._ends.append(len(self._lines))
        self._measure()
        self._show(following)

    def _lay(self, section: Section, width: int) -> None:
        """Add the lines of one section; ``_marks`` says where each of its blocks begins."""
        self._lines.extend(head_lines(section, self.unfolded))
        self._marks = [len(self._lines)]
        plain = plain_section(section, width, self.unfolded)
        if plain is not None:
            self._lines.extend(plain)
            return
        for _, rows in markdown_rows(section, width):
            self._lines.extend(rows)
            self._marks.append(len(self._lines))
        self._lines.extend(end_lines(section, width))

    def _redo(self, section: Section, first: int) -> None:
        """The last section grew: lines of its blocks from ``first`` on are made again."""
        width = self.line_width
        index = len(self.sections) - 1
        if width <= 0 or width != self._laid_width or section is not self.sections[-1] or len(self._ends) < index:
            self.relay()
            return
        if len(self._ends) == index or plain_section(section, width, self.unfolded) is not None:
            self.relay_from(index)
            return
        following = self._following
        first = min(first, len(self._marks) - 1)
        del self._lines[self._marks[first] :]
        del self._marks[first + 1 :]
        for _, rows in markdown_rows(section, width, first):
            self._lines.extend(rows)
            self._marks.append(len(self._lines))
        self._lines.extend(end_lines(section, width))
        self._ends[index:] = [len(self._lines)]
        self._show(following)

    @property
    def _following(self) -> bool:
        return self.scroll_offset.y >= self.max_scroll_y - 1

    def _show(self, following: bool) -> None:
        self.lines = self._lines if self.sections else self._empty
        self.set_height(len(self.lines))
        if following and self.sections:
            self.show_end()
        self.redraw()

    def on_resize(self, event: events.Resize) -> None:
        """Wrap again for another width."""
        self.call_after_refresh(self._resized)

    def _resized(self) -> None:
        if self.line_width != self._laid_width:
            self.relay()
        elif self._following and self.sections:
            self._show(True)

    # Keys

    def action_step(self, lines: int) -> None:
        """One line up or down."""
        self.scroll_to(y=self.scroll_offset.y + lines, animate=False)

    def action_step_page(self, pages: int) -> None:
        """One page up or down."""
        self.scroll_to(y=self.scroll_offset.y + pages * max(1, self.page_height - 2), animate=False)

    def action_edge(self, edge: int) -> None:
        """The start or the end."""
        self.scroll_to(y=0 if edge < 0 else self.max_scroll_y, animate=False)
