"""``heft vote``: two answers without names, a letter for the better one."""

from __future__ import annotations

import sys
from argparse import Namespace

from tui.cli.output import Output
from tui.compare.ballot import Pair
from tui.errors import UsageError
from tui.plain_text import clean
from tui.workbench import Workbench

_CHOICES = {"a": "left", "b": "right", "t": "tie", "x": "neither"}


def vote(arguments: Namespace, output: Output) -> int:
    """Show the pairs of a trial that have no vote yet; q ends, and what was voted is kept."""
    trials = Workbench().trials()
    trial = trials.store.trial(arguments.trial)
    waiting = trials.ballot(arguments.trial)
    if not waiting:
        raise UsageError("there is no pair left to vote on", f"heft trials show {arguments.trial} shows the answers")
    cast = 0
    for number, pair in enumerate(waiting, 1):
        _show(pair, f"{number} of {len(waiting)}: {trial.order.prompts[pair.prompt].turns[-1]}")
        choice = _read()
        if choice == "q":
            break
        if choice in _CHOICES:
            kept = pair.vote(_CHOICES[choice])
            trials.vote(kept)
            cast += 1
            output.document({"prompt": kept.prompt, "one": kept.one, "other": kept.other, "outcome": kept.outcome})
            output.note(f"A was {pair.left_name}, B was {pair.right_name}")
    output.note(f"{cast} votes; heft board shows who wins")
    return 0


def _show(pair: Pair, title: str) -> None:
    """On stderr, so that stdout holds the votes alone."""
    text = f"\n── {title}\n\nA:\n{pair.left.text.strip()}\n\nB:\n{pair.right.text.strip()}\n\n"
    sys.stderr.write(clean(text))
    sys.stderr.write("a or b is better, t equal, x both bad, s skip, q quit: ")
    sys.stderr.flush()


def _read() -> str:
    while True:
        line = sys.stdin.readline()
        word = line.strip().casefold()[:1]
        if not line or word == "q":
            return "q"
        if word in _CHOICES or word == "s":
            return word
        sys.stderr.write("a, b, t, x, s or q: ")
        sys.stderr.flush()
