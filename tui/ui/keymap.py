"""The user's own keys: which bindings hold after them, and what is wrong with them.

Mistakes never stop the app; they are told when it opens, with the name of the action and what would do.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from textual.binding import Binding, BindingsMap
from textual.dom import DOMNode
from textual.keys import _character_to_key

TAKEN: Mapping[str, str] = {
    "ctrl+b": "tmux takes it",
    "ctrl+a": "screen takes it, and fields go to their start with it",
    "ctrl+s": "terminals stop their output with it",
    "ctrl+q": "terminals go on with their output with it",
    "ctrl+c": "it copies, and says how to quit",
    "ctrl+i": "terminals send it as tab",
    "ctrl+m": "terminals send it as enter",
    "ctrl+h": "many terminals send it as backspace",
    "shift+enter": "terminals and tmux send it as enter",
    "ctrl+enter": "terminals and tmux send it as enter",
}
"""Keys that do not reach a program everywhere, with the reason."""

SHARED = ("HeftApp", "RowList")
"""Owners whose keys work wherever a pane has the focus."""


def bindings_of(node: DOMNode, keymap: Mapping[str, str]) -> list[Binding]:
    """The bindings of ``node`` as the user's keys leave them, in their order."""
    bindings = node._bindings.copy()
    bindings.apply_keymap(dict(keymap))
    order = [binding.id for found in node._bindings.key_to_bindings.values() for binding in found]
    changed = [binding for _, binding in bindings]
    return sorted(changed, key=lambda binding: order.index(binding.id) if binding.id in order else len(order))


def owners() -> dict[str, list[Binding]]:
    """Every class of the app that has keys, with its bindings; imports all of them."""
    import importlib
    import pkgutil

    import tui.ui

    found: dict[str, list[Binding]] = {}
    for info in pkgutil.walk_packages(tui.ui.__path__, "tui.ui."):
        for name, kind in vars(importlib.import_module(info.name)).items():
            if inspect.isclass(kind) and issubclass(kind, DOMNode) and kind.__module__ == info.name:
                made = BindingsMap(kind.__dict__.get("BINDINGS", ()))
                if made.key_to_bindings:
                    found[name] = [binding for _, binding in made]
    return found


def key_names(keys: str) -> list[str]:
    """The names of the keys in a setting such as "f2, K"; a single character becomes its name."""
    return [_character_to_key(key) if len(key) == 1 else key for part in keys.split(",") if (key := part.strip())]


def keymap_problems(keymap: Mapping[str, str], found: Mapping[str, Iterable[Binding]]) -> list[str]:
    """What is wrong with the user's keys, each in words."""
    ids = {binding.id: binding for bindings in found.values() for binding in bindings if binding.id}
    problems: list[str] = []
    for name, keys in keymap.items():
        if name not in ids:
            near = get_close_matches(name, ids, 1)
            problems.append(f"no action is called {name}" + (f"; {near[0]} is" if near else ""))
        elif not key_names(keys):
            problems.append(f"{name} has no key")
        for key in key_names(keys):
            if key in TAKEN:
                problems.append(f"{name}: {key} may not arrive ({TAKEN[key]})")
    for owner, bindings in found.items():
        shared = [] if owner in SHARED or not owner.endswith("Pane") else SHARED
        scope = [*bindings, *(binding for other in shared for binding in found.get(other, ()))]
        problems.extend(_clashes(scope, keymap))
    return list(dict.fromkeys(problems))


def _clashes(bindings: Iterable[Binding], keymap: Mapping[str, str]) -> list[str]:
    holders: dict[str, dict[str, bool]] = {}
    for binding in bindings:
        name = binding.id or binding.action
        keys = key_names(keymap[name]) if name in keymap else [binding.key]
        for key in keys:
            holders.setdefault(key, {})[name] = name in keymap
    return [
        f"{key} is the key of {' and of '.join(sorted(names))}"
        for key, names in holders.items()
        if len(names) > 1 and any(names.values())
    ]
