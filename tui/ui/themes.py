"""The themes of Heft, and which style each role of a span has in any theme. The one home of colours.

Besides a dark and a light theme there is one of the terminal's own 16 colours: for terminals that have no more, and
with ``NO_COLOR``, where only bold, dim and reverse are left. No state is told by colour alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

HEFT_DARK = Theme(
    name="heft-dark",
    primary="#e3b062",
    secondary="#79b4c9",
    accent="#e3b062",
    success="#93be7b",
    warning="#e0924f",
    error="#e2706a",
    foreground="#d6d3cb",
    background="#111417",
    surface="#161a1e",
    panel="#20262c",
    dark=True,
    variables={
        "border-blurred": "#343c44",
        "block-cursor-background": "#2c333b",
        "block-cursor-foreground": "#f2eee4",
        "input-cursor-background": "#e3b062",
        "input-selection-background": "#e3b062 30%",
        "scrollbar": "#2a3138",
        "scrollbar-hover": "#46505a",
        "scrollbar-active": "#e3b062",
        "scrollbar-background": "#111417",
        "scrollbar-corner-color": "#111417",
    },
)

HEFT_LIGHT = Theme(
    name="heft-light",
    primary="#8a5a00",
    secondary="#1f6f8b",
    accent="#8a5a00",
    success="#3f7323",
    warning="#b04f00",
    error="#b3261e",
    foreground="#2a2723",
    background="#faf8f3",
    surface="#f3f0e8",
    panel="#e7e2d6",
    dark=False,
    variables={
        "border-blurred": "#c9c2b2",
        "block-cursor-background": "#e4dcc8",
        "block-cursor-foreground": "#1c1a17",
        "input-cursor-background": "#8a5a00",
        "input-selection-background": "#8a5a00 25%",
        "scrollbar": "#d8d1c1",
        "scrollbar-hover": "#b9b09b",
        "scrollbar-active": "#8a5a00",
        "scrollbar-background": "#faf8f3",
        "scrollbar-corner-color": "#faf8f3",
    },
)

HEFT_TERMINAL = Theme(
    name="heft-terminal",
    ansi=True,
    primary="ansi_cyan",
    secondary="ansi_blue",
    accent="ansi_cyan",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    dark=True,
    variables={
        "ansi-background": "ansi_black",
        "ansi-foreground": "ansi_white",
        "border-blurred": "ansi_bright_black",
        "block-cursor-foreground": "ansi_black",
        "block-cursor-background": "ansi_white",
        "input-cursor-background": "ansi_white",
        "input-cursor-foreground": "ansi_black",
        "input-cursor-text-style": "none",
        "input-selection-background": "ansi_blue",
        "scrollbar": "ansi_bright_black",
        "scrollbar-hover": "ansi_white",
        "scrollbar-active": "ansi_cyan",
        "scrollbar-background": "ansi_default",
        "scrollbar-corner-color": "ansi_default",
    },
)

THEMES = (HEFT_DARK, HEFT_LIGHT, HEFT_TERMINAL)


def theme_for(colors: int, environment: Mapping[str, str]) -> str:
    """The theme of a terminal with so many colours, when nobody chose one. ``COLORFGBG`` is what some terminals set to
    "front;back" in their 16 colours; 7 and 15 are the light backs."""
    if colors <= 16:
        return HEFT_TERMINAL.name
    back = environment.get("COLORFGBG", "").rpartition(";")[2]
    return HEFT_LIGHT.name if back in ("7", "15") else HEFT_DARK.name


HEAT = 6
"""Steps of the roles "heat0" to "heat5": from calm to nearly full."""

ROLES = (
    "", "strong", "dim", "faint", "accent", "title", "ok", "warn", "bad", "info", "key", "code", "emphasis", "link",
    "strike", "keyword", "string", "number", "comment", "name", "match", "chip", "selected",
    *(f"heat{step}" for step in range(HEAT)),
)  # fmt: skip
"""Every role that a span may have."""


def _color(variables: Mapping[str, str], name: str, default: str) -> Color:
    try:
        return Color.parse(variables.get(name, default))
    except ColorParseError:
        return Color.parse(default)


def role_styles(variables: Mapping[str, str]) -> dict[str, Style]:
    """The style of each role under a theme's variables."""
    return _role_styles(tuple((name, variables.get(name, "")) for name in _USED))


_USED = ("foreground", "background", "primary", "secondary", "success", "warning", "error", "panel")


@lru_cache(16)
def _role_styles(used: tuple[tuple[str, str], ...]) -> dict[str, Style]:
    variables = {name: value for name, value in used if value}
    foreground = _color(variables, "foreground", "#d6d3cb")
    background = _color(variables, "background", "#111417")
    primary = _color(variables, "primary", "#e3b062")
    ansi = foreground.ansi is not None or background.ansi is not None

    def shade(share: float) -> Style:
        if ansi:
            return Style(dim=True)
        return Style(color=background.blend(foreground, share).rich_color)

    def tint(name: str, default: str, *, bold: bool = False, italic: bool = False) -> Style:
        return Style(color=_color(variables, name, default).rich_color, bold=bold or None, italic=italic or None)

    accent = tint("primary", "#e3b062")
    low, middle, high = (_color(variables, name, "#888888") for name in ("success", "warning", "error"))

    def heat(step: int) -> Style:
        if ansi:
            return Style(color=(low, low, low, middle, middle, high)[step].rich_color)
        share = step / (HEAT - 1)
        color = low.blend(middle, share * 2) if share <= 0.5 else middle.blend(high, share * 2 - 1)
        return Style(color=color.rich_color)

    chip = (
        Style(reverse=True)
        if ansi
        else Style(color=primary.rich_color, bgcolor=background.blend(primary, 0.16).rich_color)
    )
    return {
        "": Style(),
        "strong": Style(bold=True),
        "dim": shade(0.62),
        "faint": shade(0.34),
        "accent": accent,
        "title": accent + Style(bold=True),
        "ok": tint("success", "#93be7b"),
        "warn": tint("warning", "#e0924f"),
        "bad": tint("error", "#e2706a"),
        "info": tint("secondary", "#79b4c9"),
        "key": accent + Style(bold=True),
        "code": tint("secondary", "#79b4c9"),
        "emphasis": Style(italic=True),
        "link": tint("secondary", "#79b4c9") + Style(underline=True),
        "strike": Style(strike=True),
        "keyword": accent,
        "string": tint("success", "#93be7b"),
        "number": tint("warning", "#e0924f"),
        "comment": shade(0.5) + Style(italic=True),
        "name": tint("secondary", "#79b4c9"),
        "match": accent + Style(bold=True, underline=True),
        "chip": chip,
        **{f"heat{step}": heat(step) for step in range(HEAT)},
        "selected": Style(reverse=True) if ansi else Style(bgcolor=background.blend(foreground, 0.15).rich_color),
    }
