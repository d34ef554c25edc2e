"""Boundaries that import-linter cannot see: what a module really loads, looked up in a fresh interpreter."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import tui

HEAVY = {"torch", "transformers", "optimum", "gptqmodel", "datasets", "numpy", "pandas"}
SCREEN = {"textual", "rich"}
LAZY = {"huggingface_hub", "httpx2", "pynvml"}

DOMAIN = [
    name
    for _, name, _ in pkgutil.walk_packages(tui.__path__, "tui.")
    if not name.startswith(("tui.ui", "tui.workers", "tui.starter.")) and name != "tui.__main__"
]
UI = [name for _, name, _ in pkgutil.walk_packages(tui.__path__, "tui.") if name.startswith("tui.ui")]


def loaded_by(names: list[str]) -> dict[str, set[str]]:
    code = (
        "import importlib, json, sys\n"
        "seen = {}\n"
        f"for name in {names!r}:\n"
        "    before = set(sys.modules)\n"
        "    importlib.import_module(name)\n"
        "    seen[name] = sorted({m.split('.')[0] for m in set(sys.modules) - before})\n"
        "print(json.dumps(seen))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return {name: set(found) for name, found in json.loads(done.stdout).items()}


def test_domain_modules_load_neither_screen_nor_heavy_libraries() -> None:
    for name, found in loaded_by(DOMAIN).items():
        assert not found & (HEAVY | SCREEN | LAZY), f"{name} loads {found & (HEAVY | SCREEN | LAZY)}"


def test_ui_modules_load_no_heavy_library() -> None:
    for name, found in loaded_by(UI).items():
        assert not found & (HEAVY | LAZY), f"{name} loads {found & (HEAVY | LAZY)}"


@pytest.mark.parametrize("name", ["tui.workers.quantize", "tui.workers.serve", "tui.workers.download"])
def test_a_worker_module_is_importable_without_loading_torch(name: str) -> None:
    assert not loaded_by([name])[name] & (HEAVY | SCREEN)
