"""The words of comparing models: compare, benchmark, replay, vote, board, trials."""

from __future__ import annotations

import argparse

from tui.cli import (
    compare,
    obtain,
    trials,
    vote,
)
from tui.cli.arguments.readers import Commands, dollars, positive, read, seconds
from tui.quantities import parse_bytes, parse_count


def comparing(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands that compare."""
    command = commands.add_parser("compare", parents=[common], help="put the same prompts to several models")
    command.add_argument("prompt", nargs="?", default="", help="- reads stdin")
    command.add_argument(
        "-m", "--model", action="append", default=[], metavar="M", dest="models",
        help="a build, an endpoint (NAME or NAME:MODEL), an API model, or a URL (URL#MODEL); two to eight of them",
    )  # fmt: skip
    command.add_argument("--prompts", default="", metavar="FILE", help="text, JSONL or TOML, with expected answers")
    command.add_argument("--system", default="")
    command.add_argument("--temperature", type=float, default=0.0, metavar="T", help="0 without it")
    command.add_argument("--top-p", type=float, metavar="P")
    command.add_argument("--max-tokens", type=positive, default=512, metavar="N", help="512 without it")
    command.add_argument("--seed", type=int, default=0, metavar="N", help="0 without it")
    command.add_argument("--repeat", type=positive, default=1, metavar="N", help="ask everything so often")
    command.add_argument("--max-cost", type=dollars, metavar="USD", help="stop before more than this is spent")
    command.add_argument("--memory", type=read(parse_bytes), metavar="SIZE", help="for the local models together")
    command.add_argument("--context", type=read(parse_count), metavar="N", help="tokens of the local models")
    command.add_argument("--timeout", type=seconds, default=300.0, metavar="SECONDS", help="of silence in an answer")
    command.add_argument("--judge", default="", metavar="M", help="a model that votes on each pair, in both orders")
    command.add_argument("--plan", action="store_true", help="only say what it would take")
    command.add_argument("--detach", action="store_true", help="print the trial and return at once")
    command.set_defaults(run=compare.compare)

    command = commands.add_parser("benchmark", parents=[common], help="tasks of lm-evaluation-harness on a build")
    command.add_argument("build")
    command.add_argument("--tasks", required=True, metavar="FOLDER", help="of task files; they may run code")
    command.add_argument("--task", action="append", default=[], metavar="NAME", help="only this one; may be repeated")
    command.add_argument("--limit", type=positive, metavar="N", help="samples of each task")
    command.add_argument("--detach", action="store_true", help="print the job and return at once")
    command.set_defaults(run=obtain.benchmark)

    _trials(commands, common)


def _trials(commands: Commands, common: argparse.ArgumentParser) -> None:
    command = commands.add_parser("replay", parents=[common], help="ask a trial again, and say what differs")
    command.add_argument("trial", type=int)
    command.add_argument("--detach", action="store_true", help="print the trial and return at once")
    command.set_defaults(run=compare.replay)

    command = commands.add_parser("vote", parents=[common], help="which of two answers is better, without names")
    command.add_argument("trial", type=int)
    command.set_defaults(run=vote.vote)

    command = commands.add_parser("board", parents=[common], help="who wins, from your votes and those of judges")
    command.add_argument("--trial", type=int, metavar="N", help="only the votes on this one")
    command.add_argument("--judge", default="", metavar="M", help="only the votes of this judge")
    command.add_argument(
        "--import", default="", metavar="FILE-OR-URL", dest="source", help="a public board, CSV or JSON"
    )
    command.add_argument("--name", default="", help="name of the imported board")
    command.add_argument("--dated", default="", metavar="DATE", help="of the imported board; else the file says")
    command.set_defaults(run=trials.board)

    command = commands.add_parser("trials", parents=[common], help="earlier trials")
    command.add_argument("--search", default="", metavar="TEXT", help="in prompts, contestants and answers")
    command.set_defaults(run=trials.list_trials)
    verbs = command.add_subparsers(dest="verb", metavar="VERB")
    words = {
        "show": ("the table and the answers", trials.show),
        "export": ("as Markdown, JSON or CSV", trials.export),
        "diff": ("against an earlier one", trials.diff),
        "retry": ("ask only what is missing or failed", compare.retry),
        "rm": ("delete it with its answers and votes", trials.remove),
    }
    for name, (text, run) in words.items():
        verb = verbs.add_parser(name, parents=[common], help=text)
        verb.add_argument("trial", type=int)
        verb.set_defaults(run=run)
        if name == "export":
            verb.add_argument("--format", choices=["md", "json", "csv"], default="md")
            verb.add_argument("--output", "-o", default="", metavar="FILE", help="else stdout")
        if name == "diff":
            verb.add_argument("other", type=int, help="the earlier one")
        if name == "retry":
            verb.add_argument("--max-cost", type=dollars, metavar="USD", help="another spend cap")
            verb.add_argument("--detach", action="store_true")
