"""Which text file goes with the question: a path is typed, or chosen in the folders of this machine."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from tui.plain_text import clean_line
from tui.quantities import bytes_text
from tui.ui.lines.span import Line, Span, line, spread
from tui.ui.screens.dialog import Dialog
from tui.ui.widgets.row_list import RowList

MOST = 2000
"""Entries of a folder that are listed."""


def entries(text: str) -> list[Path]:
    """The files and folders that begin with what is typed, folders first; none where a folder cannot be read."""
    path = Path(text or "./").expanduser()
    folder, start = (path, "") if text.endswith("/") or not text else (path.parent, path.name)
    found: list[Path] = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                hidden = entry.name.startswith(".") and not start.startswith(".")
                if entry.name.lower().startswith(start.lower()) and not hidden and len(found) < MOST:
                    found.append(folder / entry.name)
    except OSError:
        return []
    return sorted(found, key=lambda one: (not one.is_dir(), one.name.lower()))


def entry_line(path: Path, width: int) -> Line:
    """Its name, and its size."""
    try:
        size = "" if path.is_dir() else bytes_text(path.stat().st_size)
    except OSError:
        size = "?"
    name = clean_line(path.name) + ("/" if path.is_dir() else "")
    return spread((Span(" "), Span(name, "info" if path.is_dir() else "")), (Span(size, "dim"),), width)


class AttachScreen(Dialog[str]):
    """Answers with the path of the file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "attach or open", id="attach.choose", priority=True),
        Binding("tab", "complete", "complete", id="attach.complete", priority=True),
        Binding("down", "into_list", "Down", show=False, id="attach.down"),
    ]
    DEFAULT_CSS = """
    AttachScreen #box { width: 100; max-width: 96%; height: 70%; }
    AttachScreen #path { background: $surface; }
    """

    def __init__(self) -> None:
        super().__init__("Attach a text file")

    def body(self) -> ComposeResult:
        """The path and what begins with it."""
        yield Input(placeholder="path of a text file; tab completes", id="path", compact=True, select_on_focus=False)
        yield RowList[Path](
            lambda row, width: [entry_line(row, width)],
            str,
            empty=(line(), line(Span("  Nothing there begins like that.", "dim"))),
            id="entries",
        )

    @property
    def field(self) -> Input:
        """The path."""
        return self.query_one("#path", Input)

    @property
    def list(self) -> RowList[Path]:
        """What begins with it."""
        return self.query_one("#entries", RowList)

    def on_mount(self) -> None:
        """Begin where Heft was started."""
        self.list.set_rows(entries(""))
        self.field.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Another path."""
        self.list.set_rows(entries(event.value), keep=False)

    def action_into_list(self) -> None:
        """From the path to the list."""
        self.list.focus()

    def action_complete(self) -> None:
        """Take the entry that is chosen into the path."""
        row = self.list.row
        if row is not None:
            self._take(row)

    def action_choose(self) -> None:
        """A folder is opened, a file is the answer; what is typed in full goes before what is chosen."""
        typed = Path(self.field.value.strip()).expanduser() if self.field.value.strip() else None
        row = typed if self.field.has_focus and typed is not None and typed.is_file() else self.list.row
        if row is None:
            self.app.notify("there is no such file", severity="warning")
        elif row.is_dir():
            self._take(row)
        else:
            self.dismiss(str(row))

    def _take(self, path: Path) -> None:
        self.field.value = f"{path}/" if path.is_dir() else str(path)
        self.field.cursor_position = len(self.field.value)
        self.field.focus()
