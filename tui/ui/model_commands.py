"""Every model of the catalog in the command palette: type a part of its name, enter opens it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import Hit, Hits, Provider
from textual.content import Content

from tui.plain_text import clean_line
from tui.ui.messages import ModelRequested

if TYPE_CHECKING:
    from tui.ui.app import HeftApp

MOST = 40
"""As many models as a palette shows with sense."""


class ModelCommands(Provider):
    """Finds models by name, repository and maker. Names are foreign text and are never read as markup."""

    async def search(self, query: str) -> Hits:
        """The best matches for ``query``."""
        app = cast("HeftApp", self.app)
        index = app.catalog_pane.index
        if index is None or self.screen is not app.screen_stack[0]:
            return
        matcher = self.matcher(query)
        scored = []
        for model in index.models:
            score, places = matcher.fuzzy_search.match(query, model.name)
            if not score and query.casefold() in f"{model.repo} {model.vendor}".casefold():
                score, places = 0.1, ()
            if score:
                scored.append((score, model, places))
        for score, model, places in sorted(scored, key=lambda found: -found[0])[:MOST]:
            name = clean_line(model.name)
            words = Content(name)
            for place in places if name == model.name else ():
                words = words.stylize(matcher.match_style, place, place + 1)
            where = clean_line(model.repo or model.vendor or "API", 60)
            yield Hit(score, words, partial(app.post_message, ModelRequested(model)), text=name, help=where)
