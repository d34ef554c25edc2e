"""The words of getting a build: pull, quantize, ladder, recipes, serve, export, evaluate."""

from __future__ import annotations

import argparse

from tui.catalog.gguf_plan import TYPES
from tui.cli import (
    ladder,
    obtain,
    recipes,
)
from tui.cli.arguments.readers import Commands, read, seconds
from tui.quantities import parse_bytes, parse_count
from tui.settings import ENGINES


def getting(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands that ask for a job."""
    detach = argparse.ArgumentParser(add_help=False)
    detach.add_argument("--detach", action="store_true", help="print the job and return at once")

    command = commands.add_parser("pull", parents=[common, detach], help="download a model")
    command.add_argument("model", help="a catalog id, org/name[@revision], org/name:q8_0 (one of its GGUFs), a folder")
    command.add_argument("--revision", default="", help="branch, tag or commit")
    command.set_defaults(run=obtain.pull)

    room = argparse.ArgumentParser(add_help=False)
    room.add_argument(
        "--when-free", type=read(parse_bytes), metavar="SIZE", help="start when e.g. 24GB are free on any GPU"
    )
    room.add_argument("--for", type=seconds, metavar="SECONDS", dest="free_for", help="on end (60 without it)")

    command = commands.add_parser("quantize", parents=[common, detach, room], help="(download, then) quantize a model")
    command.add_argument("model")
    recipes.add_options(command)
    command.add_argument("--name", default="", help="name of the build")
    command.add_argument("--dry-run", action="store_true", help="quantize one layer and say what the whole would take")
    command.set_defaults(run=obtain.quantize)

    command = commands.add_parser(
        "ladder", parents=[common, detach, room], help="16, 8, 4, 3, 2 bits of one model side by side"
    )
    command.add_argument("model")
    command.add_argument("--table", action="store_true", help="only print what is known so far")
    command.set_defaults(run=ladder.ladder)
    _recipe_commands(commands, common)

    command = commands.add_parser("serve", parents=[common, detach, room], help="load a build and answer chat requests")
    command.add_argument("build")
    command.add_argument("--port", type=int, metavar="N", help="also listen on 127.0.0.1:N, with a random key")
    command.add_argument("--context", type=read(parse_count), metavar="N", help="tokens")
    command.add_argument(
        "--load-as", choices=["int8", "nf4", "torchao-int8"], default="", help="quantize 16-bit weights while they load"
    )
    command.add_argument("--engine", choices=ENGINES, default="auto", help="what computes; auto takes the faster one")
    command.set_defaults(run=obtain.serve)

    command = commands.add_parser("export", parents=[common, detach], help="a build as one file for llama.cpp")
    command.add_argument("build")
    command.add_argument("--to", choices=["gguf"], default="gguf")
    command.add_argument("--type", choices=TYPES, default="auto", help="auto: the build's own weights, bit for bit")
    command.add_argument("--name", default="", help="name of the new build")
    command.set_defaults(run=obtain.export)

    command = commands.add_parser("evaluate", parents=[common, detach, room], help="measure what a build is worth")
    command.add_argument("build")
    command.add_argument("--text", default="", metavar="FILE")
    command.set_defaults(run=obtain.evaluate)


def _recipe_commands(commands: Commands, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("recipes", parents=[common], help="recipes by name: those that ship, those you saved")
    command.add_argument("--model", default="", help="with size, memory and time for this model")
    command.set_defaults(run=recipes.list_recipes)
    verbs = command.add_subparsers(dest="verb", metavar="VERB")
    verb = verbs.add_parser("show", parents=[common], help="print one as a file to share")
    verb.add_argument("name")
    verb.set_defaults(run=recipes.show)
    verb = verbs.add_parser("save", parents=[common], help="keep a recipe under a name")
    verb.add_argument("name")
    verb.add_argument("--about", default="", help="one sentence")
    recipes.add_options(verb)
    verb.set_defaults(run=recipes.save)
    verb = verbs.add_parser("rm", parents=[common], help="forget a saved one")
    verb.add_argument("name")
    verb.set_defaults(run=recipes.remove)
