"""The bottom line: which keys work here. A key that is off now stands behind them, faint; pressing it says why."""

from __future__ import annotations

from textual.dom import DOMNode
from textual.screen import Screen

from tui.ui.lines.span import Line, Span, cut_line, width_of
from tui.ui.widgets.fixed_lines import FixedLines

_LAST = ("dialog.close", "confirm.no")
"""Ids of bindings that stand at the right end, with those of the app."""


def why_not(node: DOMNode, action: str) -> str:
    """Why ``action`` is off at ``node`` now, in words; empty when it works."""
    reason = getattr(node, "why_not", None)
    return str(reason(action.partition("(")[0].rpartition(".")[2])) if callable(reason) else ""


class KeyLine(FixedLines):
    """Reads the active bindings of the screen whenever they change."""

    DEFAULT_CSS = "KeyLine { dock: bottom; height: 1; padding: 0 1; background: $panel; }"

    def on_mount(self) -> None:
        """Follow the bindings of the screen."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)
        self.call_after_refresh(self._read)

    def on_resize(self) -> None:
        """As many keys as there is room for."""
        self._read()

    def _changed(self, screen: Screen[object]) -> None:
        if screen is self.screen:
            self.call_after_refresh(self._read)

    def _read(self) -> None:
        if not self.is_attached or not self.screen.is_current:
            return
        self.set_lines(self._keys(self.size.width))

    def _keys(self, width: int) -> Line:
        shown: dict[tuple[object, str], tuple[str, str, bool]] = {}
        last: list[tuple[str, str, bool]] = []
        for active in self.screen.active_bindings.values():
            binding = active.binding
            if not binding.show or not binding.description or (active.node, binding.action) in shown:
                continue
            entry = (
                self.app.get_key_display(binding),
                binding.description,
                active.enabled and not why_not(active.node, binding.action),
            )
            shown[(active.node, binding.action)] = entry
            if active.node is self.app or binding.id in _LAST:
                last.append(entry)
        first = sorted((entry for entry in shown.values() if entry not in last), key=lambda entry: not entry[2])
        spans: list[Span] = []
        tail = _spans(last)
        room = width - width_of(tail) - 1
        for key, words, on in first:
            more = _spans([(key, words, on)])
            if width_of(spans) + width_of(more) > room:
                break
            spans.extend(more)
        gap = max(0, width - width_of(spans) - width_of(tail))
        return cut_line((*spans, Span(" " * gap), *tail), width)


def _spans(entries: list[tuple[str, str, bool]]) -> list[Span]:
    spans: list[Span] = []
    for key, words, on in entries:
        spans.append(Span(f"{key} ", "key" if on else "faint"))
        spans.append(Span(f"{words}  ", "dim" if on else "faint"))
    return spans
