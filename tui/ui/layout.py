"""How the user has arranged the screen, kept from one time to the next in a small file of the state folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

SHARES = (0.8, 1.0, 1.3, 1.65, 2.2, 3.0)
"""How many times as wide as the right column the left one may be."""


@dataclass(frozen=True, slots=True)
class Layout:
    """``active`` pane, whether it fills the screen, which are hidden, the ``share`` of the left column, and the theme
    that was chosen by key (empty: none was)."""

    active: int = 1
    zoomed: bool = False
    hidden: tuple[int, ...] = ()
    share: float = 1.65
    theme: str = ""


def read_layout(path: Path) -> Layout:
    """The layout of last time; a missing or foreign file gives the first one. Raises nothing."""
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        known = {item.name for item in fields(Layout)}
        found = Layout(**{name: value for name, value in table.items() if name in known})
        hidden = tuple(number for number in found.hidden if number in range(1, 5))
        sane = (
            found.active in range(1, 5)
            and isinstance(found.zoomed, bool)
            and found.share in SHARES
            and isinstance(found.theme, str)
            and len(set(hidden)) < 4
        )
        return Layout(found.active, found.zoomed, hidden, found.share, found.theme) if sane else Layout()
    except (OSError, ValueError, TypeError, AttributeError):
        return Layout()


def keep_layout(path: Path, layout: Layout) -> None:
    """Write ``layout`` beside and put it in place."""
    beside = path.with_suffix(".new")
    beside.write_text(json.dumps(asdict(layout)), encoding="utf-8")
    beside.replace(path)
