"""How to load 16-bit weights: as they are, or quantized on the way, with the reason where a way does not work here."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from tui.catalog.build import Build
from tui.catalog.quantization import folder_model_type
from tui.fit.load_time import LOAD_TIME, why_not
from tui.ui.lines.span import Line, Span, fit_cells, line, wrap_line
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.choices import Choice, Choices
from tui.ui.widgets.painted import LinesView

_WIDTH = 64


def load_ways(build: Build) -> list[tuple[str, str, str, str]]:
    """Name, title, note and the reason against it of each way, "as it is" first."""
    found = [("", "as it is", build.precision, "")]
    kind = folder_model_type(build.path)
    found += [(way.name, way.title, way.note, why_not(way, build.precision, kind)) for way in LOAD_TIME]
    return found


class LoadScreen(Dialog[str]):
    """Answers with the way ("" loads as it is), or None."""

    LARGE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "go", "load", id="load.go", priority=True),
        Binding("left,right", "none", "change", id="load.change"),
    ]
    DEFAULT_CSS = "LoadScreen #ways { height: auto; margin-top: 1; }"

    def __init__(self, build: Build) -> None:
        super().__init__(f"Load {build.id}")
        self._ways = load_ways(build)

    def body(self) -> ComposeResult:
        """The choice, and what each way is."""
        names = [name for name, _, _, _ in self._ways]
        yield Choices([Choice("way", "load as", names, [name or "as it is" for name in names])], id="form")
        yield LinesView(id="ways", can_focus=False)

    def on_mount(self) -> None:
        """The keys change the choice."""
        self.query_one(Choices).focus()
        self._tell()

    def on_choices_changed(self, event: Choices.Changed) -> None:
        """Another way."""
        self._tell()

    @property
    def _chosen(self) -> tuple[str, str, str, str]:
        name = self.query_one(Choices).value("way")
        return next(way for way in self._ways if way[0] == name)

    def _tell(self) -> None:
        rows: list[Line] = []
        for way in self._ways:
            _, title, note, reason = way
            here = way == self._chosen
            mark = Span("✗ ", "bad") if reason else Span("▸ " if here else "  ", "accent")
            head = line(mark, Span(fit_cells(title, 26), "strong" if here else ""), Span(reason or note, "dim"))
            rows += wrap_line(head, _WIDTH, " " * 28)
        self.query_one(LinesView).set_lines(rows)

    def action_none(self) -> None:
        """The form itself reads these keys."""

    def action_go(self) -> None:
        """Load it that way, unless it does not work."""
        name, _, _, reason = self._chosen
        if reason:
            self.app.notify(reason, severity="error")
            return
        self.dismiss(name)
