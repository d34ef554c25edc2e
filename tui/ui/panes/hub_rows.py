"""The rows of the hub below those of the catalog: when the hub is asked, for what, and what came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.timer import Timer
from textual.widgets import Input

from tui.ui.catalog_index import SIZES, only
from tui.ui.filter_words import read_text
from tui.ui.messages import HubQuery, HubSearchRequested
from tui.ui.panes.marking import Marking

if TYPE_CHECKING:
    from tui.catalog.model import Model
    from tui.fit.verdict import Fit

HUB_PAGE = 50
"""How many more models of the hub come when the end of the list is reached."""
HUB_MOST = 1000
HUB_PAUSE = 0.4
"""Seconds without a keystroke before the hub is asked."""


class HubRows(Marking):
    """A list of models that the hub may add to. Chips and words filter its rows like all others; task and size are
    asked of the hub itself, so that a page is not full of what is filtered out."""

    def __init__(self) -> None:
        super().__init__()
        self.hub_on = False
        self._hub_models: Sequence[Model] = ()
        self._hub_note = ""
        self._hub_limit = HUB_PAGE
        self._hub_asked: HubQuery | None = None
        self._hub_answered: HubQuery | None = None
        self._hub_timer: Timer | None = None

    @property
    def hub_query(self) -> HubQuery:
        """What the hub is asked for now."""
        asked = read_text(self.wanted.text)
        least, most = SIZES.get(self.wanted.size, (None, None))
        return HubQuery(asked.words, self.wanted.task, least or asked.least, most or asked.most, self.wanted.ungated)

    def hub_rows(self, curated: Sequence[Model], installed: frozenset[str], fits: Mapping[str, Fit]) -> Sequence[Model]:
        """What of the hub stands below ``curated``."""
        if not self.hub_on:
            return ()
        known = {model.repo for model in curated if model.repo}
        query = self.hub_query
        # Until a newer answer is there, what the older one holds and still matches stays in sight.
        words = query.words.split() if query != self._hub_answered else ()
        found = only(self._hub_models, self.wanted, installed, fits)
        return [
            model for model in found if model.repo not in known and all(word in model.repo.lower() for word in words)
        ]

    def show_hub(self, query: HubQuery, models: Sequence[Model], note: str) -> None:
        """Take in what the hub found for ``query``; an answer to an older question is ignored."""
        if self.hub_on and query == self.hub_query:
            self._hub_models, self._hub_answered = models, query
            self._hub_note = note
            self.refill()

    def action_hub(self) -> None:
        """Search the hub too, as the filter changes; once more when it did not answer."""
        self.hub_on = True
        self.query_one("#filter", Input).focus()
        self._ask_hub()

    def leave_hub(self) -> None:
        """The catalog alone."""
        self.hub_on = False
        self._hub_models, self._hub_note, self._hub_asked = (), "", None

    def hub_may_differ(self) -> None:
        """The filter changed: ask the hub when the typing pauses, if it would answer otherwise."""
        if not self.hub_on or self.hub_query == self._hub_asked:
            return
        if self._hub_timer:
            self._hub_timer.stop()
        self._hub_timer = self.set_timer(HUB_PAUSE, self._ask_hub)

    def _ask_hub(self) -> None:
        self._hub_limit = HUB_PAGE
        self._hub_note = "asking the hub …"
        self._hub_asked = self.hub_query
        self.post_message(HubSearchRequested(self._hub_asked, self._hub_limit))
        self.refill()

    def ask_hub_for_more(self) -> None:
        """The end of the list was reached."""
        if not self.hub_on or self.hub_query != self._hub_answered:
            return
        if len(self._hub_models) >= self._hub_limit < HUB_MOST:
            self._hub_limit = min(HUB_MOST, self._hub_limit + HUB_PAGE)
            self.set_note("asking the hub for more …")
            self.post_message(HubSearchRequested(self.hub_query, self._hub_limit))
