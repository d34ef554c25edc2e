"""The words of talking to a model: chat, chats, endpoints."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from tui.cli import (
    chat,
    chats,
    endpoints,
)
from tui.cli.arguments.readers import Commands, positive


def talking(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands that talk."""
    command = commands.add_parser("chat", parents=[common], help="stream an answer to stdout")
    command.add_argument("model", metavar="build-or-endpoint")
    command.add_argument("prompt", nargs="?", help="- reads stdin; without one a conversation starts")
    command.add_argument("--model", default="", dest="served", metavar="M", help="one of the endpoint's models")
    command.add_argument("--system", default="")
    command.add_argument("--temperature", type=float, metavar="T")
    command.add_argument("--max-tokens", type=positive, metavar="N")
    command.add_argument("--seed", type=int, metavar="N")
    command.add_argument("--keep", action="store_true", help="keep it with the chats of the app")
    command.set_defaults(run=chat.chat)
    _chats(commands, common)
    _endpoints(commands, common)


def _chats(commands: Commands, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("chats", parents=[common], help="the kept chats")
    command.add_argument("--limit", type=positive, metavar="N")
    command.add_argument("--deleted", action="store_true", help="those that can still be restored")
    command.set_defaults(run=chats.list_chats)
    verbs = command.add_subparsers(dest="verb", metavar="VERB")
    verb = verbs.add_parser("search", parents=[common], help="what was said")
    verb.add_argument("text")
    verb.set_defaults(run=chats.search)
    verb = verbs.add_parser("import", parents=[common], help="keep a chat from a JSON file; - reads stdin")
    verb.add_argument("file")
    verb.set_defaults(run=chats.import_)
    one: dict[str, tuple[str, Callable[..., int], tuple[str, ...]]] = {
        "show": ("one chat as Markdown", chats.show, ()),
        "export": ("write one to FILE.md or FILE.json", chats.export, ("file",)),
        "rename": ("another title", chats.rename, ("title",)),
        "fork": ("a copy that goes its own way", chats.fork, ()),
        "delete": ("for a week it can be restored", chats.delete, ()),
        "restore": ("bring a deleted one back", chats.restore, ()),
    }
    for name, (text, run, more) in one.items():
        verb = verbs.add_parser(name, parents=[common], help=text)
        verb.add_argument("id", type=int)
        for word in more:
            verb.add_argument(word)
        verb.set_defaults(run=run)


def _endpoints(commands: Commands, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("endpoints", parents=[common], help="who else can answer, and their keys")
    command.set_defaults(run=endpoints.list_endpoints)
    verbs = command.add_subparsers(dest="verb", metavar="VERB")
    verb = verbs.add_parser("models", parents=[common], help="the models of an endpoint")
    verb.add_argument("endpoint", help="a name of config.toml, a URL, or openai, anthropic, google, cohere, mistral")
    verb.set_defaults(run=endpoints.models)
    for name, text, run in (
        ("pull", "let an Ollama pull a model", endpoints.pull),
        ("unload", "take a model out of an Ollama's memory", endpoints.unload),
    ):
        verb = verbs.add_parser(name, parents=[common], help=text)
        verb.add_argument("model")
        verb.add_argument("--url", default="http://127.0.0.1:11434/v1", help="where the Ollama answers")
        verb.set_defaults(run=run)
    verb = verbs.add_parser("key", parents=[common], help="keep a key in the keyring; it is read from stdin")
    verb.add_argument("variable", help="the variable that names it, such as OPENAI_API_KEY")
    verb.add_argument("--forget", action="store_true")
    verb.set_defaults(run=endpoints.key)
