"""Every key, read from the bindings themselves, so that it is never out of date."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import Screen

from tui.ui.keymap import bindings_of
from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line, pad_line
from tui.ui.panes.pane import Pane
from tui.ui.screens.lines_dialog import LinesDialog
from tui.ui.widgets.prompt_input import PromptInput
from tui.ui.widgets.row_list import RowList

_MARKS: tuple[tuple[str, str], ...] = (
    ("●", "fits this machine now, in the precision named"),
    ("◐", "would fit if the device were empty"),
    ("○", "does not fit; or a job that waits"),
    ("▸", "a job that runs"),
    ("◆", "a loaded model that answers"),
    ("‖", "a paused job"),
    ("✓", "done; or here on this disk"),
    ("✗", "failed; or a model that nobody can use"),
    ("!", "interrupted: the process died, p goes on"),
    ("↗", "reached over the network"),
)


def binding_rows(bindings: Iterable[Binding], display: object) -> list[tuple[str, str]]:
    """Keys and words of the bindings that say something, keys of one action joined."""
    rows: dict[str, tuple[list[str], str]] = {}
    for binding in bindings:
        if binding.description and not binding.system:
            keys, _ = rows.setdefault(binding.action, ([], binding.description))
            shown = display(binding) if callable(display) else binding.key
            if shown not in keys:
                keys.append(shown)
    return [(" ".join(keys), words) for keys, words in rows.values()]


class HelpScreen(LinesDialog):
    """Keys of the panes (or of the dialog that was open), then the marks."""

    LINES_ID = "help-lines"

    def __init__(self, under: Screen[object]) -> None:
        super().__init__("Keys")
        self._under = under

    def lines(self, width: int) -> list[Line]:
        """One column or two."""
        return in_columns(self._sections(), width)

    def _sections(self) -> list[list[Line]]:
        places: list[tuple[str, DOMNode]] = []
        if self._under is self.app.screen_stack[0]:
            panes = sorted(self._under.query(Pane), key=lambda pane: pane.NUMBER)
            places += [(f"{pane.NUMBER} {pane.NAME}", pane) for pane in panes]
            places.append(("Lists", self._under.query(RowList).first()))
            places.append(("Writing", self._under.query(PromptInput).first()))
            places.append(("Everywhere", self.app))
        else:
            places.append(("Here", self._under))
        sections = [self._section(name, node) for name, node in places]
        marks = [line(Span(f"  {mark:<12} ", "key"), Span(words)) for mark, words in _MARKS]
        return [section for section in sections if len(section) > 1] + [[line(Span("Marks", "title")), *marks]]

    def _section(self, name: str, node: DOMNode) -> list[Line]:
        own = [binding for binding in bindings_of(node, self.app._keymap) if binding.id]
        rows = binding_rows(own, self.app.get_key_display)
        return [
            line(Span(name, "title")),
            *(line(Span("  " + fit_cells(keys, 13), "key"), Span(words)) for keys, words in rows),
        ]


def in_columns(sections: Sequence[Sequence[Line]], width: int) -> list[Line]:
    """Sections one below the other, in two columns where there is room."""
    if width < 96:
        return [row for section in sections for row in (*section, BLANK)]
    half = width // 2
    total = sum(len(section) + 1 for section in sections)
    left: list[Line] = []
    right: list[Line] = []
    for section in sections:
        (left if len(left) + len(section) // 2 < total / 2 and not right else right).extend((*section, BLANK))
    return [
        (*pad_line(left[row] if row < len(left) else BLANK, half), *(right[row] if row < len(right) else BLANK))
        for row in range(max(len(left), len(right)))
    ]
