"""The words of looking after this machine: jobs, builds, prune, rm, hardware, doctor."""

from __future__ import annotations

import argparse

from tui.cli import (
    doctor,
    hardware,
    jobs,
    library,
)
from tui.cli.arguments.readers import Commands, read, seconds
from tui.quantities import parse_bytes


def queue(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command of the queue."""
    command = commands.add_parser("jobs", parents=[common], help="the queue")
    command.set_defaults(run=jobs.list_jobs)
    verbs = command.add_subparsers(dest="verb", metavar="VERB")
    words = {
        "show": ("one job with its history", jobs.show),
        "cancel": ("stop it for good", jobs.cancel),
        "pause": ("stop it so that it can go on later", jobs.pause),
        "resume": ("let a paused or interrupted job go on", jobs.resume),
        "retry": ("try a failed or cancelled job again", jobs.retry),
        "logs": ("what it printed", jobs.logs),
        "wait": ("wait until it is over, or ready", jobs.wait),
    }
    for name, (text, run) in words.items():
        verb = verbs.add_parser(name, parents=[common], help=text)
        verb.add_argument("id", type=int)
        verb.set_defaults(run=run)
        if name == "logs":
            verb.add_argument("--follow", "-f", action="store_true")
        if name == "wait":
            verb.add_argument("--timeout", type=float, metavar="SECONDS")
    verb = verbs.add_parser("move", parents=[common], help="change the order of the jobs that wait")
    verb.add_argument("id", type=int)
    verb.add_argument("where", choices=["up", "down", "top", "bottom"])
    verb.set_defaults(run=jobs.move)
    verb = verbs.add_parser("priority", parents=[common], help="higher goes first among the jobs that wait (now: 0)")
    verb.add_argument("id", type=int)
    verb.add_argument("priority", type=int)
    verb.set_defaults(run=jobs.priority)
    verb = verbs.add_parser("when-free", parents=[common], help="start it when e.g. 24GB are free (0: when it can)")
    verb.add_argument("id", type=int)
    verb.add_argument("memory", type=read(parse_bytes), metavar="SIZE")
    verb.add_argument("--for", type=seconds, metavar="SECONDS", dest="free_for", help="on end (60 without it)")
    verb.set_defaults(run=jobs.when_free)
    verb = verbs.add_parser("clear", parents=[common], help="forget the jobs that are over")
    verb.set_defaults(run=jobs.clear)


def machine(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the commands of the disk, the hardware and the installation."""
    command = commands.add_parser("builds", parents=[common], help="what is on this disk")
    command.add_argument("--all", action="store_true", help="with last use, revisions, leftovers, duplicates, trash")
    command.set_defaults(run=library.list_builds)

    command = commands.add_parser("prune", parents=[common], help="delete leftovers that no job goes on with")
    command.add_argument("--dry-run", action="store_true", help="only say what would go")
    command.add_argument("--trash", action="store_true", help="and what was removed less than a day ago")
    command.set_defaults(run=library.prune)

    command = commands.add_parser("rm", parents=[common], help="remove a build (to the trash)")
    command.add_argument("build")
    command.add_argument("--undo", action="store_true", help="bring it back")
    command.set_defaults(run=library.remove)

    command = commands.add_parser("hardware", parents=[common], help="GPUs, memory, processes")
    command.add_argument("--watch", action="store_true", help="print again every second")
    command.set_defaults(run=hardware.hardware)

    command = commands.add_parser("doctor", parents=[common], help="what is wrong with this installation")
    command.add_argument("--quick", action="store_true", help="do not load the heavy libraries")
    words = "write a file for a bug report, without secrets"
    command.add_argument("--report", nargs="?", const="", metavar="FILE", help=words)
    command.set_defaults(run=doctor.doctor)
