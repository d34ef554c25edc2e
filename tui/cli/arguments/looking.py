"""The words of looking for a model: models, show, fit, pick."""

from __future__ import annotations

import argparse

from tui.cli import (
    models,
    pick,
)
from tui.cli.arguments.readers import Commands, positive, read
from tui.pick.wishes import ANSWERS
from tui.quantities import parse_bytes, parse_count


def looking(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands that look."""
    command = commands.add_parser("models", parents=[common], help="list the catalog, or search the hub")
    command.add_argument("text", nargs="?", default="", help="words to look for")
    command.add_argument("--hub", action="store_true", help="search the hub as well")
    command.add_argument("--task", default="", help="chat, text, code, embedding, translation, speech, ...")
    command.add_argument("--family", default="")
    command.add_argument("--license", default="")
    command.add_argument("--commercial", action="store_true", help="only licences that allow commercial use")
    command.add_argument(
        "--min-params", type=read(parse_count), metavar="N", help="at least so many parameters, e.g. 1B"
    )
    command.add_argument(
        "--max-params", type=read(parse_count), metavar="N", help="at most so many parameters, e.g. 8B"
    )
    kind = command.add_mutually_exclusive_group()
    kind.add_argument("--open", action="store_true", help="only open weights")
    kind.add_argument("--api", action="store_true", help="only models behind an API")
    command.add_argument("--fits", action="store_true", help="only what fits this machine now")
    command.add_argument("--installed", action="store_true", help="only what is on this disk")
    command.add_argument("--ungated", action="store_true", help="only what needs no accepted terms")
    command.add_argument("--sort", default="", metavar="KEY", help="name, params, context, released, downloads, ...")
    command.add_argument("--limit", type=positive, metavar="N")
    command.set_defaults(run=models.list_models)

    command = commands.add_parser("show", parents=[common], help="one model: facts, card, sizes, fit")
    command.add_argument("model")
    command.add_argument("--hub", action="store_true", help="read the exact weights from the hub")
    command.set_defaults(run=models.show)

    command = commands.add_parser("fit", parents=[common], help="will it fit? every term of the estimate")
    command.add_argument("model")
    command.add_argument("--context", type=read(parse_count), metavar="N", help="tokens")
    command.add_argument("--batch", type=positive, default=1, metavar="N")
    command.add_argument("--precision", default="", metavar="P", help="float16, gptq-8bit, gptq-4bit, ...")
    command.add_argument("--memory", type=read(parse_bytes), metavar="SIZE", help="ask about a card of e.g. 24GB")
    command.add_argument("--hub", action="store_true", help="read the exact weights from the hub")
    command.set_defaults(run=models.fit)

    command = commands.add_parser("pick", parents=[common], help="pick for me: the best three, and why not the others")
    command.add_argument("--task", default="chat", help="chat, code, translation, embedding, classification, ...")
    for name, words in ANSWERS.items():
        command.add_argument(f"--{name}", choices=[word for word in words if word], default="", help=_ANSWERS[name])
    for name, text in _WISHES.items():
        command.add_argument(f"--{name}", action="store_true", help=text)
    command.add_argument("--language", default="", metavar="L", help="a code or a name: de, german")
    command.add_argument("--memory", type=read(parse_bytes), metavar="SIZE", help="for a card of e.g. 24GB")
    command.set_defaults(run=pick.pick)


_ANSWERS = {
    "budget": "for the requests",
    "performance": "the best there is, or good on a budget",
    "latency": "a first answer within 100 ms, within 2 s, or whenever",
}
_WISHES = {
    "privacy": "data may not leave this machine",
    "finetune": "it will be fine-tuned",
    "specialised": "it is for one narrow task",
    "offline": "there is no network",
    "commercial": "it is for work that earns money",
}
