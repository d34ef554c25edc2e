"""Who answers: loaded models first, then builds that can be loaded, configured endpoints and APIs, or an address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.ui.answerers import Answerer
from tui.ui.lines.span import Line, Span, fit_cells, line, spread
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.row_list import RowList

_GROUPS = {
    "host": ("◆", "ok", "loaded"),
    "build": ("○", "dim", "on this disk"),
    "server": ("◆", "ok", "runs here"),
    "pull": ("↓", "info", "pull"),
    "configured": ("↗", "info", "config.toml"),
    "api": ("↗", "info", "API"),
    "url": ("↗", "info", "address"),
}


def answerer_line(row: Answerer, width: int) -> Line:
    """One row."""
    mark, role, word = _GROUPS[row.group]
    head = line(
        Span(f"{mark} ", role),
        Span(fit_cells(row.name, max(10, width // 2)), "dim" if row.off else ""),
        Span(" "),
        Span(row.off or row.note, "dim"),
    )
    return spread(head, (Span(word, "dim"),), width)


class EndpointScreen(Dialog[Answerer]):
    """A list with a filter; an address that is typed becomes a row of its own."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "choose", id="endpoint.choose", priority=True),
        Binding("delete", "unload", "unload (Ollama)", id="endpoint.unload"),
        Binding("down", "into_list", "Down", show=False, id="endpoint.down"),
    ]
    DEFAULT_CSS = """
    EndpointScreen #box { width: 100; max-width: 96%; height: 70%; }
    EndpointScreen #wanted { background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__("Who answers?")
        self._answerers: Sequence[Answerer] = ()
        self._servers: Sequence[Answerer] = ()

    def body(self) -> ComposeResult:
        """Filter and list."""
        yield Input(
            placeholder="filter, or type an address such as http://localhost:11434/v1",
            id="wanted",
            compact=True,
            select_on_focus=False,
        )
        yield RowList[Answerer](
            lambda row, width: [answerer_line(row, width)],
            lambda row: (row.group, row.ref),
            empty=(line(), line(Span("  looking …", "dim"))),
            id="answerers",
        )

    @property
    def list(self) -> RowList[Answerer]:
        """The list."""
        return self.query_one("#answerers", RowList)

    def on_mount(self) -> None:
        """Type at once."""
        self.list.focus()

    def show_answerers(self, answerers: Sequence[Answerer]) -> None:
        """They came."""
        self._answerers = answerers
        if self.is_open:
            self.list.set_empty(
                (
                    line(),
                    line(
                        Span("  Nobody of that name. ", "dim"),
                        Span("esc", "key"),
                        Span(" closes; ", "dim"),
                        Span("g", "key"),
                        Span(" on a model gets one.", "dim"),
                    ),
                )
            )
            self._fill()

    def add_answerers(self, servers: Sequence[Answerer]) -> None:
        """Servers that run on this machine were found."""
        self._servers = servers
        if self.is_open:
            self._fill()

    def _everybody(self) -> Sequence[Answerer]:
        """Loaded models first, then the servers of this machine, then the rest."""
        loaded = [row for row in self._answerers if row.group == "host"]
        return (*loaded, *self._servers, *self._answerers[len(loaded) :])

    def _fill(self) -> None:
        text = self.query_one("#wanted", Input).value.strip()
        rows = [
            row
            for row in self._everybody()
            if all(word in f"{row.name} {row.ref} {row.note} {row.group}".lower() for word in text.lower().split())
        ]
        if text.startswith(("http://", "https://", "unix:")):
            rows.insert(0, Answerer("url", text, text))
        ollama = next((row.ref for row in self._servers if "Ollama" in (row.name, row.note.split(",")[0])), "")
        if ollama and text and not rows:
            rows.append(Answerer("pull", ollama, text, "let Ollama pull it", model=text))
        self.list.set_rows(rows, keep=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter."""
        self._fill()

    def on_key(self, event: object) -> None:
        """Letters go to the filter, also from the list."""
        key = getattr(event, "character", None)
        field = self.query_one("#wanted", Input)
        if self.list.has_focus and key and key.isprintable() and key not in "jkG? ":
            field.focus()
            field.insert_text_at_cursor(key)

    def action_into_list(self) -> None:
        """From the filter to the list."""
        self.list.focus()

    def why_not(self, action: str) -> str:
        """Only Ollama can be asked to unload."""
        row = self.list.row
        return "" if action != "unload" or (row is not None and row.loaded) else "it is not loaded by Ollama"

    def action_unload(self) -> None:
        """Take the model out of Ollama's memory."""
        row = self.list.row
        if reason := self.why_not("unload"):
            self.app.notify(reason, severity="warning")
        elif row is not None:
            self.dismiss(replace(row, group="unload"))

    def action_choose(self) -> None:
        """This one."""
        row = self.list.row
        if row is None:
            return
        if row.off:
            self.app.notify(f"{row.name}: {row.off}", severity="warning")
            return
        self.dismiss(row)
