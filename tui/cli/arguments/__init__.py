"""The words of the command line. Each command's work stands in the module that it names in ``run``."""

from __future__ import annotations

import argparse

from tui import __version__
from tui.cli.arguments.comparing import comparing
from tui.cli.arguments.getting import getting
from tui.cli.arguments.keeping import machine, queue
from tui.cli.arguments.looking import looking
from tui.cli.arguments.talking import talking


def parse(words: list[str]) -> argparse.Namespace:
    """Read ``words``; prints usage and raises ``SystemExit(2)`` when they make no request."""
    parser = argparse.ArgumentParser(
        prog="heft", description="A terminal workbench for pre-trained models. Without a command it opens the app."
    )
    parser.add_argument("--version", action="version", version=f"heft {__version__}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print JSON on stdout and nothing else")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    looking(commands, common)
    getting(commands, common)
    talking(commands, common)
    comparing(commands, common)
    queue(commands, common)
    machine(commands, common)
    return parser.parse_args(words)
