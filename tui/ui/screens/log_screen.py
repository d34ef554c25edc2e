"""The log of a job, from its end and following it; wrapped, searchable, without control characters."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.jobs.job import Job
from tui.ui.lines.log_lines import log_lines, matching_lines
from tui.ui.lines.span import Line, Span, line
from tui.ui.request import Request
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.painted import LinesView

FOLLOW_SECONDS = 0.5
MOST_LINES = 20_000
"""Lines kept on screen; the file keeps all."""


class LogWanted(Request):
    """Bring what the log has from byte ``offset`` on; -1 asks for its last part."""

    screen: LogScreen
    job: Job
    offset: int


class LogScreen(Dialog[None]):
    """Follows one log. ``f`` stops and starts following, ``/`` searches, ``n`` and ``N`` go to matches."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "follow", "follow", id="log.follow"),
        Binding("slash", "search", "search", id="log.search"),
        Binding("n", "match(1)", "next match", id="log.next"),
        Binding("N", "match(-1)", "match before", id="log.before", show=False),
        Binding("home", "edge(-1)", "start", id="log.start", show=False),
        Binding("end,G", "edge(1)", "end", id="log.end", show=False),
    ]
    DEFAULT_CSS = """
    LogScreen #box { width: 96%; height: 96%; max-width: 200; }
    LogScreen #search { display: none; background: $surface; }
    LogScreen #search.-shown { display: block; }
    """

    def __init__(self, job: Job) -> None:
        super().__init__(f"Log of job {job.id}: {job.kind} {job.model}")
        self._job = job
        self._offset = -1
        self._text: list[str] = []
        self._rows: list[Line] = []
        self._partial = ""
        self._following = True
        self._wanted = ""
        self._asked = False

    def body(self) -> ComposeResult:
        """The text, and the field of the search."""
        yield LinesView(id="log-lines")
        yield Input(placeholder="search", id="search", compact=True)

    @property
    def view(self) -> LinesView:
        """The text."""
        return self.query_one("#log-lines", LinesView)

    def on_mount(self) -> None:
        """Begin at the end."""
        self.view.set_lines([line(Span("reading …", "dim"))])
        self.view.focus()
        self.set_interval(FOLLOW_SECONDS, self._ask)
        self.call_after_refresh(self._ask)
        self._say_following()

    def _ask(self) -> None:
        if not self._asked:
            self._asked = True
            self.post_message(LogWanted(self, self._job, self._offset))

    def show_text(self, text: str, offset: int) -> None:
        """More of the log came."""
        self._asked = False
        if not self.is_open:
            return
        first = self._offset < 0
        self._offset = offset
        if not text and not first:
            return
        whole = (self._partial + text).split("\n")
        self._partial = whole.pop()
        self._text.extend(whole)
        fresh = log_lines(whole, self._width, self._wanted)
        self._rows.extend(fresh)
        if len(self._text) > MOST_LINES:
            del self._text[: -MOST_LINES // 2]
            self._wrap()
        self._draw()

    def show_problem(self, summary: str) -> None:
        """The log cannot be read."""
        self._asked = False
        if self.is_open:
            self.retitle(f"Log of job {self._job.id}", summary)

    @property
    def _width(self) -> int:
        return max(20, self.view.line_width)

    def _wrap(self) -> None:
        self._rows = log_lines(self._text, self._width, self._wanted)

    def _draw(self) -> None:
        rows = (
            [*self._rows, *log_lines([self._partial], self._width, self._wanted)] if self._partial else list(self._rows)
        )
        self.view.set_lines(rows or [line(Span("The job has not written anything yet.", "dim"))])
        if self._following:
            self.view.show_end()

    def on_resize(self) -> None:
        """Wrap again."""
        self.call_after_refresh(self._rewrap)

    def _rewrap(self) -> None:
        if self.is_open and (self._text or self._partial):
            self._wrap()
            self._draw()

    def _say_following(self) -> None:
        count = f"{len(matching_lines(self._rows)):,} matches · " if self._wanted else ""
        self.retitle(
            f"Log of job {self._job.id}: {self._job.kind} {self._job.model}",
            count + ("following" if self._following else "f follows"),
        )

    def _follow(self, on: bool) -> None:
        self._following = on
        self._say_following()

    def action_follow(self) -> None:
        """Follow the end, or stay."""
        self._follow(not self._following)
        self._draw()

    def action_edge(self, edge: int) -> None:
        """The start of what is shown, or the end."""
        self._follow(edge > 0)
        self.view.scroll_to(y=0 if edge < 0 else self.view.max_scroll_y, animate=False)

    def on_key(self) -> None:
        """Moving up stops following."""
        self.call_after_refresh(self._notice_scroll)

    def _notice_scroll(self) -> None:
        if self._following and self.view.scroll_offset.y < self.view.max_scroll_y - 1:
            self._follow(False)

    def action_search(self) -> None:
        """Type what to look for."""
        field = self.query_one("#search", Input)
        field.add_class("-shown")
        field.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Look for it."""
        self._wanted = event.value.strip()
        self.query_one("#search", Input).set_class(bool(self._wanted), "-shown")
        self.view.focus()
        self._wrap()
        self._follow(not self._wanted)
        self._draw()
        if self._wanted:
            self.action_match(-1)

    def why_not(self, action: str) -> str:
        """Matches need a search."""
        return "nothing is searched for: / searches" if action == "match" and not self._wanted else ""

    def action_match(self, step: int) -> None:
        """The next match below, or above."""
        found = matching_lines(self._rows)
        if not found:
            self.app.notify(
                f"no line holds {self._wanted!r}" if self._wanted else self.why_not("match"), severity="warning"
            )
            return
        top = self.view.scroll_offset.y
        if step > 0:
            target = next((row for row in found if row > top), found[0])
        else:
            target = next((row for row in reversed(found) if row < top or not self.view.scroll_offset.y), found[-1])
        self._follow(False)
        self.view.scroll_to(y=target, animate=False)

    def action_leave(self) -> None:
        """Leave the search, then the log."""
        field = self.query_one("#search", Input)
        if field.has_focus:
            field.remove_class("-shown")
            self.view.focus()
        else:
            self.dismiss(None)
