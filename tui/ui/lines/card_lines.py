"""A model card as lines: all of it, or one of the parts that people look for, each one number away."""

from __future__ import annotations

from tui.catalog.card import Card
from tui.catalog.card_text import SECTIONS
from tui.ui.lines.markdown_lines import markdown_lines
from tui.ui.lines.model_facts import heading
from tui.ui.lines.span import BLANK, Line, Span, line, wrap_line

_JOINED = "\u00a0"
"""A space at which no line breaks."""
_TITLES = {"license": "licence", "how_to_use": "how to use"}


def section_names(card: Card | None) -> list[str]:
    """The parts that this card has, in the order of the numbers."""
    return [name for name in SECTIONS if card is not None and card.sections.get(name)]


def section_title(name: str) -> str:
    """A part as a person says it."""
    return _TITLES.get(name, name.replace("_", " "))


def card_lines(card: Card | None, section: str, width: int) -> list[Line]:
    """The card, or its part ``section``; above it what the numbers lead to, and why a better source was not asked."""
    if card is None:
        return [line(Span("reading the card …", "dim"))]
    rows = [heading("Card")]
    if card.note:
        rows += wrap_line(line(Span(card.note, "dim")), width)
    names = section_names(card)
    if names:
        spans: list[Span] = []
        for number, name in enumerate(names, 1):
            chosen = name == section
            title = section_title(name).replace(" ", _JOINED)
            spans += [Span(f"{number}{_JOINED}", "key"), Span(title, "strong" if chosen else "dim"), Span("  ")]
        spans += [Span(f"0{_JOINED}", "key"), Span("all", "dim" if section else "strong")]
        rows += wrap_line(line(*spans), width)
    rows.append(BLANK)
    if section in card.sections:
        return [
            *rows,
            heading(section_title(section).capitalize()),
            BLANK,
            *markdown_lines(card.sections[section], width),
        ]
    return [*rows, *markdown_lines(card.text, width)]
