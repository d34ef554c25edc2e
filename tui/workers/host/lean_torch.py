"""Imports torch without what only its compiler and weightless tensors need, which is a third of the time.

The last thing that ``import torch`` does is to load the rules by which an operation's result gets its shape without
being computed, and all that they are written in. A model that is taken apart by hand computes everything. Whatever
loads transformers completes torch first.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType
from typing import Any

SHAPES = "torch._meta_registrations"
KNOWN = "2.13."
"""Versions in which nothing else asks for that module."""

_left_out: list[ModuleType] = []


def import_torch() -> Any:
    """torch, as lean as this version can be."""
    if "torch" in sys.modules or not version("torch").startswith(KNOWN):
        return importlib.import_module("torch")
    finder = _Empty()
    sys.meta_path.insert(0, finder)
    try:
        return importlib.import_module("torch")
    finally:
        sys.meta_path.remove(finder)
        if SHAPES in sys.modules:
            _left_out.append(sys.modules[SHAPES])


def complete_torch() -> None:
    """Load what ``import_torch`` has left out."""
    while _left_out:
        if sys.modules.get(SHAPES) is _left_out.pop():
            del sys.modules[SHAPES]
            importlib.import_module(SHAPES)


class _Empty(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds an empty module in place of the one that is left out."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The empty module, for one name alone."""
        return importlib.machinery.ModuleSpec(fullname, self) if fullname == SHAPES else None

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it."""
