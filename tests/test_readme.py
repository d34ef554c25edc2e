"""The README keeps its word: its commands parse, its settings are settings, its pictures and files are there."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from tui.cli.arguments import parse
from tui.settings import settings_from_table
from tui.ui.app import HeftApp
from tui.ui.panes.catalog_pane import CatalogPane
from tui.ui.panes.chat_pane import ChatPane
from tui.ui.panes.queue_pane import QueuePane
from tui.ui.screens.builds_screen import BuildsScreen

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
SHELL = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for block in SHELL
    for line in block.splitlines()
    if line.startswith(("heft ", "  heft "))
]
TABLES = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "heft"])
def test_every_command_is_one(command: str) -> None:
    words = shlex.split(command)[1:]
    assert parse(words).command == words[0]


def test_every_setting_is_one() -> None:
    assert TABLES
    for text in TABLES:
        assert settings_from_table(tomllib.loads(text)).problems == ()


def test_pictures_and_files_are_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", TEXT)
    local = [link for link in links if "://" not in link]
    assert local
    assert not [link for link in local if not (ROOT / link).exists()]


@pytest.mark.parametrize(
    ("row", "owner"),
    [
        ("everywhere", HeftApp),
        ("catalog", CatalogPane),
        ("queue", QueuePane),
        ("chat", ChatPane),
        ("builds", BuildsScreen),
    ],
)
def test_every_key_of_the_table_is_bound(row: str, owner: type) -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith(f"| {row} |"))
    named = set(re.findall(r"`([^`]+)`", line.split("|")[2]))
    bound = {"tab", "enter", "ctrl+j", "1-4"}
    for kind in owner.__mro__:
        for binding in getattr(kind, "BINDINGS", []):
            key = binding.key if hasattr(binding, "key") else binding[0]
            bound |= {part.strip() for part in key.split(",")}
    names = {"slash": "/", "question_mark": "?", "escape": "esc", "colon": ":"}
    names |= {"less_than_sign": "<", "greater_than_sign": ">"}
    bound |= {names[key] for key in bound if key in names}
    assert not named - bound, f"{row}: {named - bound} are not bound"
