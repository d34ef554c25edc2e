"""A list of rows with a cursor, drawn line by line: filling it costs nothing, only visible rows are presented."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, ClassVar, Generic, TypeVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from tui.ui.lines.span import BLANK, Line, Span, line
from tui.ui.widgets.painted import PaintedView

Row = TypeVar("Row")


class RowList(PaintedView, Generic[Row], can_focus=True):
    """Rows of any type. ``show`` presents one row at a width as its lines, ``key`` tells rows apart across refills and
    ``height`` gives a row's number of lines where it is not one for all."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "up", show=False, id="list.up"),
        Binding("down,j", "move(1)", "down", show=False, id="list.down"),
        Binding("pageup", "page(-1)", "page up", show=False, id="list.page_up"),
        Binding("pagedown,space", "page(1)", "page down", show=False, id="list.page_down"),
        Binding("home", "edge(-1)", "first row", show=False, id="list.first"),
        Binding("end,G", "edge(1)", "last row", show=False, id="list.last"),
        Binding("enter", "choose", "open", show=False, id="list.choose"),
    ]

    class Moved(Message):
        """The cursor stands on another row (None when the list is empty)."""

        def __init__(self, row_list: RowList[Any], row: Any) -> None:
            super().__init__()
            self.row_list = row_list
            self.row = row

        @property
        def control(self) -> RowList[Any]:
            """The list."""
            return self.row_list

    class Chosen(Moved):
        """Enter was pressed on a row."""

    def __init__(
        self,
        show: Callable[[Row, int], Sequence[Line]],
        key: Callable[[Row], object],
        *,
        height: Callable[[Row], int] | None = None,
        header: Callable[[int], Line] | None = None,
        empty: Sequence[Line] = (),
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.rows: Sequence[Row] = ()
        self.cursor = 0
        self._show = show
        self._key = key
        self._height = height
        self._tops: list[int] = []
        self._header = header
        self._empty: Sequence[Line] = empty

    @property
    def row(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor] if 0 <= self.cursor < len(self.rows) else None

    @property
    def _fixed(self) -> int:
        return 1 if self._header else 0

    def set_rows(self, rows: Sequence[Row], *, keep: bool = True) -> None:
        """Show ``rows``; with ``keep`` the cursor stays on its row where that still exists, else it goes to the top."""
        before = self.row
        self.rows = rows
        if not keep:
            self.cursor = 0
        elif before is not None:
            self.cursor = self._find(self._key(before))
        self.cursor = min(self.cursor, max(0, len(rows) - 1))
        self._tops = list(accumulate((self._height(row) for row in rows), initial=0)) if self._height else []
        self.set_height((self._tops[-1] if self._tops else len(rows)) + self._fixed)
        self._reveal()
        self.redraw()
        after = self.row
        if (after is None) != (before is None) or (after is not None and self._key(after) != self._key(before)):  # type: ignore[arg-type]
            self.post_message(self.Moved(self, after))

    def _find(self, key: object) -> int:
        if self.cursor < len(self.rows) and self._key(self.rows[self.cursor]) == key:
            return self.cursor
        for index, row in enumerate(self.rows):
            if self._key(row) == key:
                return index
        return self.cursor

    def set_empty(self, lines: Sequence[Line]) -> None:
        """What is shown instead of rows when there are none."""
        self._empty = lines
        if not self.rows:
            self.redraw()

    def line_at(self, y: int) -> Line:
        """The header, a row, or a line of the empty text."""
        if y < self._fixed and self._header and (self.rows or not self._empty):
            return line(Span(" "), *self._header(self.line_width - 1))
        if not self.rows:
            index = y - self._fixed
            return self._empty[index] if 0 <= index < len(self._empty) else BLANK
        index, part = self._place(y)
        if not 0 <= index < len(self.rows):
            return BLANK
        mark = Span("▌", "accent" if self.has_focus else "faint") if index == self.cursor else Span(" ")
        shown = self._show(self.rows[index], self.line_width - 1)
        return (mark, *shown[part]) if part < len(shown) else (mark,)

    def role_at(self, y: int) -> str:
        """The row under the cursor stands out."""
        if not self.rows or y < self._fixed or not self.has_focus:
            return ""
        return "selected" if self._place(y)[0] == self.cursor else ""

    def _place(self, y: int) -> tuple[int, int]:
        virtual = y - self._fixed + self.scroll_offset.y
        if not self._tops:
            return virtual, 0
        index = bisect_right(self._tops, virtual) - 1
        return index, virtual - self._tops[index] if index >= 0 else 0

    def _reveal(self) -> None:
        if self._tops and self.rows:
            self.show_row(self._tops[self.cursor + 1] - 1 + self._fixed, self._fixed)
            self.show_row(self._tops[self.cursor] + self._fixed, self._fixed)
        else:
            self.show_row(self.cursor + self._fixed, self._fixed)

    def on_resize(self, event: events.Resize) -> None:
        """Keep the cursor visible."""
        self.call_after_refresh(self._reveal)

    def on_focus(self) -> None:
        """The cursor shows."""
        self.redraw()

    def on_blur(self) -> None:
        """The cursor hides."""
        self.redraw()

    def move_to(self, index: int) -> None:
        """Put the cursor on row ``index``, held inside the list."""
        index = max(0, min(index, len(self.rows) - 1))
        if not self.rows or index == self.cursor:
            return
        before, top = self.cursor, self.scroll_offset.y
        self.cursor = index
        self._reveal()
        if self.scroll_offset.y == top:
            self._refresh_row(before)
            self._refresh_row(index)
        self.post_message(self.Moved(self, self.row))

    def _refresh_row(self, index: int) -> None:
        top = self._tops[index] if self._tops else index
        lines = self._tops[index + 1] - top if self._tops else 1
        self.refresh_lines(top + self._fixed, lines)

    def action_move(self, step: int) -> None:
        """One row up or down."""
        self.move_to(self.cursor + step)

    def action_page(self, step: int) -> None:
        """One screenful up or down."""
        self.move_to(self.cursor + step * max(1, self.page_height - self._fixed - 1))

    def action_edge(self, step: int) -> None:
        """The first or the last row."""
        self.move_to(0 if step < 0 else len(self.rows) - 1)

    def action_choose(self) -> None:
        """Enter."""
        if self.row is not None:
            self.post_message(self.Chosen(self, self.row))
