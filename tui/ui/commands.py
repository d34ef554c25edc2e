"""The command palette: every key of every pane as a command, with its key, generated from the bindings."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand
from textual.dom import DOMNode
from textual.screen import Screen

from tui.ui.keymap import bindings_of
from tui.ui.panes.pane import Pane

if TYPE_CHECKING:
    from tui.ui.app import HeftApp


def commands_of(app: HeftApp, screen: Screen[object]) -> Iterator[SystemCommand]:
    """Commands of the dialog on top when there is one, else of the four panes and the app."""
    if screen is not app.screen_stack[0]:
        yield from _of_node(app, screen, screen.name or "here")
        return
    for number in range(1, 5):
        pane = app.pane(number)
        yield SystemCommand(f"Go to {pane.NAME}", f"Key {number}", partial(app.action_pane, number))
        yield from _of_node(app, pane, pane.NAME)
    yield from _of_node(app, app, "Heft")
    for theme in sorted(app.available_themes):
        yield SystemCommand(f"Theme: {theme}", "Change the colours", partial(setattr, app, "theme", theme))


def _of_node(app: HeftApp, node: DOMNode, place: str) -> Iterator[SystemCommand]:
    seen: set[str] = set()
    for binding in bindings_of(node, app._keymap):
        if (
            not binding.description
            or binding.action in seen
            or binding.action.startswith(("pane", "app.focus", "command"))
        ):
            continue
        seen.add(binding.action)
        words = f"{place}: {binding.description}"
        yield SystemCommand(words, f"Key {app.get_key_display(binding)}", partial(_run, app, node, binding.action))


async def _run(app: HeftApp, node: DOMNode, action: str) -> None:
    if isinstance(node, Pane):
        app.action_pane(node.NUMBER)
    await app.run_action(action, node)
