"""The filters that are on, as chips above the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.ui.lines.span import Line, Span

if TYPE_CHECKING:
    from tui.ui.catalog_index import Wanted


def chips_line(wanted: Wanted, *, hub: bool = False) -> Line:
    """The filters that are on, and the order."""
    chips = [
        wanted.task,
        wanted.family,
        wanted.size,
        wanted.license,
        {"open": "open weights", "api": "APIs", "": ""}[wanted.reach],
    ]
    chips += [
        "commercial" if wanted.commercial else "",
        "not gated" if wanted.ungated else "",
        "fits" if wanted.fits else "",
        "here" if wanted.installed else "",
    ]
    spans: list[Span] = []
    for chip in chips:
        if chip:
            spans.extend((Span(f" {chip} ", "chip"), Span(" ")))
    if wanted.sort != "catalog":
        spans.append(Span(f"↓ {wanted.sort} ", "dim"))
    if hub:
        spans.append(Span(" hub ", "chip"))
    return tuple(spans)
