"""A front end under fire: it asks for things until it is killed, and notes each wish and each acknowledgement outside
the database. The notes are what the promises are held against afterwards."""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tui.errors import HeftError
from tui.jobs.job import Failure, Job, JobRequest, Kind, Needs, State
from tui.jobs.launch import ensure_runner
from tui.jobs.store import Store
from tui.paths import Paths

Note = Callable[..., None]


def work(name: str, seed: int) -> None:
    """Ask for ever."""
    dice = random.Random(seed)
    paths = Paths.from_environment()
    with (Path(os.environ["HEFT_CHAOS"]) / f"notes.{name}").open("a") as notes:

        def note(*words: object) -> None:
            notes.write(json.dumps(words) + "\n")
            notes.flush()

        store: Store | None = None
        while True:
            try:
                store = store or Store(paths)
                ensure_runner(paths)
                ask_something(store, dice, name, note)
            except HeftError as error:
                note("refused", type(error).__name__, error.summary)
            except OSError as error:  # a full disk under a front end's own files
                note("refused", type(error).__name__, str(error))
            time.sleep(dice.uniform(0.02, 0.25))


def ask_something(store: Store, dice: random.Random, name: str, note: Note) -> None:
    """One wish, or the lie of a worker that had been given up."""
    jobs = store.jobs()
    unfinished = [job for job in jobs if not job.state.is_over]
    chance = dice.random()
    if chance < 0.05:
        come_too_late(store, jobs, note)
    elif chance < 0.08 and (over := [job for job in jobs if job.state.is_over]):
        note("cleared", over[0].id)
        store.clear([over[0].id])
    elif chance < 0.13 and (waiting := [job for job in jobs if job.state in (State.QUEUED, State.PAUSED)]):
        store.move(dice.choice(waiting).id, dice.choice(["up", "down", "top", "bottom"]))
    elif len(unfinished) < 12 and chance < 0.72:
        submit(store, dice, unfinished, f"{name}-{time.monotonic_ns()}", note)
    elif unfinished:
        job = dice.choice(unfinished)
        verb = dice.choice(["cancel", "pause", "resume", "resume", "resume"])
        note("wanted", verb, job.id)
        note("was", verb, job.id, str(getattr(store, verb)(job.id).state))


def submit(store: Store, dice: random.Random, unfinished: list[Job], key: str, note: Note) -> None:
    """A job of some kind, now and then asked for twice, now and then one that needs another."""
    spec = {"steps": dice.randint(3, 40), "seconds": dice.uniform(0.005, 0.03)}
    spec["misbehave"] = dice.choices(["", "leave_child", "with_child"], [88, 4, 8])[0]
    needs = dice.choice([Needs(), Needs(network=True), Needs(device="cpu", memory=1000)])
    after = (dice.choice(unfinished).id,) if unfinished and dice.random() < 0.2 else ()
    request = JobRequest(dice.choice([Kind.DOWNLOAD, Kind.QUANTIZE]), "m", spec, needs, after, key)
    note("submitted", key, store.submit(request).id)
    if dice.random() < 0.1:
        note("submitted", key, store.submit(request).id)


def come_too_late(store: Store, jobs: list[Job], note: Note) -> None:
    """What a worker would write whose attempt was given up long ago (a frozen node of a shared file system)."""
    for job in jobs:
        if job.state.is_alive and job.attempt > 1:
            old = job.attempt - 1
            taken = store.finish(job.id, old, {"from": "the dead"}) or store.fail(job.id, old, Failure("too late"))
            note("too late", job.id, old, taken)
            return


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]))
