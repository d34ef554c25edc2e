"""One trial: the answers side by side while they stream, or one at a time where there is no room; and the table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.timer import Timer

from tui.compare.plan import cost_text
from tui.compare.published import HubResults, Published
from tui.ui.lines.trial_lines import (
    HEAD_LINES,
    columns_at,
    head_lines,
    side_by_side,
    tabs_line,
)
from tui.ui.messages import CopyRequested
from tui.ui.screens.dialog import Dialog
from tui.ui.trial_news import ContestantAsked, HubResultsAsked, PublishedAsked, TrialAsked, TrialNews, TrialNewsAsked
from tui.ui.trial_page import TrialPage
from tui.ui.widgets.fixed_lines import FixedLines
from tui.ui.widgets.painted import LinesView

LOOK_SECONDS = 0.3


class TrialScreen(Dialog[None]):
    """Shows a trial as it is now, and looks again while its job works."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "column(-1)", "column", show=False, id="trial.left"),
        Binding("right,tab", "column(1)", "next column", show=False, id="trial.right"),
        Binding("n", "place(1)", "next prompt", id="trial.next"),
        Binding("p", "place(-1)", "earlier prompt", id="trial.earlier", show=False),
        Binding("t", "table", "table", id="trial.table"),
        Binding("d", "diff", "differences", id="trial.diff"),
        Binding("v", "vote", "vote blind", id="trial.vote"),
        Binding("z", "zoom", "zoom", id="trial.zoom"),
        Binding("w", "wrap", "wrap", id="trial.wrap"),
        Binding("r", "retry", "ask failed again", id="trial.retry"),
        Binding("R", "replay", "replay all", id="trial.replay"),
        Binding("e", "export", "write to files", id="trial.export"),
        Binding("b", "board", "board", id="trial.board"),
        Binding("c", "against", "against an earlier one", id="trial.compare", show=False),
        Binding("i", "facts", "what it ran on, what others published", id="trial.facts", show=False),
        Binding("enter", "model", "its card and fit", id="trial.model", show=False),
        Binding("y", "copy", "copy answer", id="trial.copy"),
        Binding("x", "cancel", "stop", id="trial.cancel"),
    ]
    DEFAULT_CSS = f"""
    TrialScreen > #box {{ max-width: 1000; width: 100%; height: 1fr; }}
    TrialScreen #asked {{ height: 2; }}
    TrialScreen #tabs {{ height: 1; display: none; }}
    TrialScreen #heads {{ height: {HEAD_LINES}; margin-bottom: 1; }}
    TrialScreen #answers {{ height: 1fr; }}
    """

    def __init__(self, trial_id: int) -> None:
        super().__init__(f"Trial {trial_id}")
        self.trial_id = trial_id
        self.page = TrialPage()
        self._timer: Timer | None = None

    def body(self) -> ComposeResult:
        """What was asked, the heads, the answers."""
        yield FixedLines(id="asked")
        yield FixedLines(id="tabs")
        yield FixedLines(id="heads")
        yield LinesView(id="answers")

    def on_mount(self) -> None:
        """Look, and look again."""
        self.query_one("#answers", LinesView).focus()
        self.look()
        self._timer = self.set_interval(LOOK_SECONDS, self.look)

    def on_resize(self) -> None:
        """As many columns as there is room for."""
        self.call_after_refresh(self.draw)

    def look(self) -> None:
        """Ask for news; when nothing more comes, stop asking."""
        if self.is_open or self.page.news is None:
            self.post_message(TrialNewsAsked(self, self.trial_id, self.page.revision))

    def show_news(self, news: TrialNews) -> None:
        """Take in what changed."""
        if not self.is_open:
            return
        if self.page.take(news):
            self.post_message(PublishedAsked(self, news.trial.order.contestants))
        if self._timer is not None:
            self._timer.resume() if self.page.is_working else self._timer.pause()
        self.draw()
        self.refresh_bindings()

    def show_published(self, published: Mapping[str, Sequence[Published]]) -> None:
        """The results in the cards came."""
        self.page.published = published
        self.draw()

    def show_hub_results(self, name: str, found: HubResults) -> None:
        """The hub answered for one contestant, or could not be asked."""
        self.page.at_the_hub[name] = found
        self.draw()

    def look_again(self) -> None:
        """Something was started: there is news to come."""
        if self._timer is not None:
            self._timer.resume()
        self.look()

    def draw(self) -> None:
        """Draw what is seen now."""
        page = self.page
        if not self.is_open or page.news is None:
            return
        view = self.query_one("#answers", LinesView)
        width = view.line_width - 1
        if width <= 0:
            return
        self.query_one("#asked", FixedLines).set_lines(*page.asked_lines(width))
        self.retitle(*page.title())
        heads, tabs = self.query_one("#heads", FixedLines), self.query_one("#tabs", FixedLines)
        columns = page.columns
        shown, cells = (1, width) if page.zoomed else columns_at(width, len(columns))
        heads.display = page.view == "answers"
        tabs.display = page.view == "answers" and shown < len(columns)
        if page.view == "table":
            view.set_lines(page.table_lines(width))
            return
        if page.view == "facts":
            self._ask_hub()
            view.set_lines(page.facts_lines(width))
            return
        seen = page.seen(shown)
        tabs.set_lines(tabs_line(columns, width))
        heads.set_lines(*side_by_side([head_lines(column, cells) for column in seen], cells))
        view.set_lines(side_by_side([page.text_lines(column, cells) for column in seen], cells))

    def _ask_hub(self) -> None:
        contestant = self.page.columns[self.page.chosen].contestant
        if contestant.name not in self.page.at_the_hub:  # only who looks asks the network
            self.page.at_the_hub[contestant.name] = None
            self.post_message(HubResultsAsked(self, contestant))

    # --- keys

    def why_not(self, action: str) -> str:
        """What this trial allows now."""
        return self.page.why_not(action)

    def _wish(self, action: str, wish: str = "") -> None:
        reason = self.why_not(action)
        if reason:
            self.app.notify(reason, severity="warning")
        else:
            self.post_message(TrialAsked(self, self.trial_id, wish or action))

    def action_vote(self) -> None:
        """Two answers without names."""
        self._wish("vote")

    def action_retry(self) -> None:
        """Ask only what is missing; past a spend cap only with another one."""
        news = self.page.news
        if self.why_not("retry") or news is None or not self.page.is_held or news.trial.order.max_cost is None:
            self._wish("retry")
            return
        from tui.ui.screens.confirm_screen import ConfirmScreen

        cap = 2 * news.trial.order.max_cost
        question = f"It stopped at its spend cap, with {cost_text(news.trial.cost)} spent. Go on up to ${cap:g}?"
        missing = f"{news.trial.wanted - news.trial.answered} answers are missing."

        def answered(yes: bool | None) -> None:
            if yes:
                self.post_message(TrialAsked(self, self.trial_id, "retry", cap))

        self.app.push_screen(ConfirmScreen(question, missing, "go on"), answered)

    def action_replay(self) -> None:
        """Ask everything again, as a new trial."""
        self._wish("replay")

    def action_export(self) -> None:
        """Write it in every format."""
        self._wish("export")

    def action_board(self) -> None:
        """Who wins."""
        self._wish("board")

    def action_against(self) -> None:
        """What differs from an earlier one."""
        self._wish("against", "diff")

    def action_cancel(self) -> None:
        """Stop it; what is answered stays."""
        self._wish("cancel")

    def action_model(self) -> None:
        """Everything about the chosen contestant's model: card, licence, fit."""
        columns = self.page.columns
        if columns:
            contestant = columns[self.page.chosen].contestant
            self.post_message(ContestantAsked(contestant.catalog or contestant.model or contestant.build))

    def action_column(self, step: int) -> None:
        """Another column."""
        self.page.next_column(step)
        self.draw()

    def action_place(self, step: int) -> None:
        """Another prompt, turn or repeat."""
        self.page.next_place(step)
        self.query_one("#answers", LinesView).scroll_home(animate=False)
        self.draw()

    def action_table(self) -> None:
        """The table, or the answers again."""
        self._show("table")

    def action_facts(self) -> None:
        """What the chosen answer ran on."""
        self._show("facts")

    def _show(self, view: str) -> None:
        self.page.view = "answers" if self.page.view == view else view
        self.query_one("#answers", LinesView).scroll_home(animate=False)
        self.call_after_refresh(self.draw)
        self.draw()

    def action_diff(self) -> None:
        """Off, words, and from the first token where builds of one model take part."""
        self.page.next_diff()
        self.draw()

    def action_zoom(self) -> None:
        """One column over the whole width."""
        self.page.zoomed = not self.page.zoomed
        self.draw()

    def action_wrap(self) -> None:
        """Wrap long lines, or cut them."""
        self.page.wrapped = not self.page.wrapped
        self.draw()

    def action_copy(self) -> None:
        """Copy the chosen answer."""
        columns = self.page.columns
        attempt = columns[self.page.chosen].attempt if columns else None
        if attempt is None or not attempt.text:
            self.app.notify("there is no answer to copy yet", severity="warning")
        else:
            self.app.post_message(CopyRequested(attempt.text, "answer"))

    def action_leave(self) -> None:
        """From the table back to the answers; then close."""
        if self.page.view != "answers":
            self._show(self.page.view)
        elif self.page.zoomed:
            self.action_zoom()
        else:
            self.dismiss(None)
