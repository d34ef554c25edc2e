"""How the app is dressed before anything of it is drawn: a theme, what is left without colour, and its size."""

from __future__ import annotations

import os

from textual.app import App
from textual.filter import Monochrome, NoColor
from textual.screen import Screen

from tui.ui.arrangement import TALL, WIDE, Arrangement
from tui.ui.themes import HEFT_TERMINAL, THEMES, theme_for

COLORS = {"standard": 16, "256": 256, "truecolor": 1 << 24}


class Appearance(Arrangement):
    """Takes a theme and the classes of its screen; T changes between dark and light."""

    def dress(self, theme: str) -> None:
        """Know the themes of Heft and begin with ``theme``, the one of the settings, or what suits the terminal."""
        for known in THEMES:
            self.register_theme(known)
        self._begin_with(self._first_theme(theme))
        # without colour only bold, dim and reverse are left; Textual would draw greys, which are colours too
        self._filters = [NoColor() if isinstance(kept, Monochrome) else kept for kept in self._filters]

    def _first_theme(self, wanted_theme: str) -> str:
        """What the settings name, else what the environment does, else what was chosen by key, else what suits."""
        if self.no_color:
            return HEFT_TERMINAL.name
        colors = COLORS.get(self.console.color_system or "", 1 << 24)
        wanted = (wanted_theme, os.environ.get("TEXTUAL_THEME", ""), self.layout.theme)
        chosen = next((name for name in wanted if name in self.available_themes), "")
        return chosen or theme_for(colors, os.environ)

    def _begin_with(self, theme: str) -> None:
        """Take a theme before anything is drawn. From the one that Textual begins with another of its kind differs by
        the variables alone; setting ``theme`` would read and apply every style once more."""
        chosen, begun = self.available_themes[theme], self.current_theme
        if (chosen.ansi, chosen.dark) != (begun.ansi, begun.dark):
            self.theme = theme
            return
        self.set_reactive(App.theme, theme)
        self.add_class(f"-theme-{theme}", update=False)
        self.stylesheet.set_variables(self.get_css_variables())

    def get_default_screen(self) -> Screen[object]:
        """The screen of the panes, with the classes of its size from the beginning: each that comes later would have
        every style applied once more."""
        width, height = self.size
        classes = ["-wide" if width >= WIDE else "-narrow", "-tall" if height >= TALL else "-short"]
        return Screen(id="_default", classes=" ".join([*classes, *(["-single"] if self.is_single else [])]))

    def action_theme(self) -> None:
        """Dark or light."""
        self.theme = "heft-light" if self.current_theme.dark else "heft-dark"
        self.keep(theme=self.theme)
