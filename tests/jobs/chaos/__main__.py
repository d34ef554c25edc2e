"""Random blows against a real queue, and the promises that must hold afterwards.

    python -m tests.jobs.chaos --seconds 60 --seeds 3            # what CI runs
    python -m tests.jobs.chaos --seconds 600 --seeds 1 2 3 4 --app   # a long one
    python -m tests.jobs.chaos --mutants                         # the same must fail without a safeguard

Front ends (real processes, each on a terminal of its own) submit, cancel, pause, resume, move and clear; a hostile hand
kills, stops and hangs up runner, workers, their children and front ends, fills the disk, damages the database, sets
clocks, and now and then ends everything at once, as a reboot does. Besides, every process may die at named points:
before and after a commit, a rename, a fork, an outcome. Each submit is noted outside the database after it was
acknowledged. Then calm returns, and every promise is checked. Exit code 0: all held (with ``--mutants``: all failed).
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.jobs.chaos.promises import KINDS, Broken, broken_promises
from tests.jobs.chaos.world import REPOSITORY, World, environment_of, settle

MUTANTS = ("no-lock", "no-attempt-guard", "torn-rename", "no-sweep", "no-spec")
RATE = 0.01
"""Chance to die at a named point, each time one is passed."""


@dataclass
class Storm:
    """What one run did and found."""

    blows: Counter[str]
    deaths: Counter[str]
    facts: Counter[str]
    broken: list[Broken]
    seconds: float = 0.0
    places: str = ""

    @property
    def kills(self) -> int:
        """Processes that were killed, stopped, hung up or told to go, at random or at a named point."""
        other = ("clock jump", "disk full", "no open files", "database damaged", "read-only")
        return sum(count for what, count in self.blows.items() if not what.startswith(other)) + sum(
            self.deaths.values()
        )


def storm(folder: Path, seed: int, seconds: float, mutant: str, own_volume: bool, *, app: bool = False) -> Storm:
    """One seed: the blows, the calm, the check. Notes lie outside the volume that may be full."""
    home = Path(tempfile.mkdtemp(prefix=f"home-{seed}-", dir=folder / "volume"))
    chaos = Path(tempfile.mkdtemp(prefix=f"notes-{seed}-", dir=folder))
    begun = time.monotonic()
    environment = environment_of(home, chaos, RATE, mutant)
    longest_stop = max(3.0, min(30.0, seconds / 10))
    world = World(
        home, chaos, random.Random(seed), environment, folder / "volume" if own_volume else None, longest_stop
    )
    world.add_front()
    world.add_front()
    if app:
        world.add_app()
    end = begun + seconds
    while time.monotonic() < end:
        time.sleep(world.dice.uniform(0.02, 0.25))
        world.hurt()
        if mutant and (chaos / "violations").exists():
            break
    undone = world.calm(30 if mutant else 90 + seconds / 2)
    broken, facts = broken_promises(chaos, world.paths, undone)
    deaths_file = chaos / "deaths"
    deaths = Counter(deaths_file.read_text().splitlines()) if deaths_file.exists() else Counter[str]()
    if not broken or mutant:
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(chaos, ignore_errors=True)
    return Storm(world.tally, deaths, facts, broken, time.monotonic() - begun, f"{home} {chaos}")


def line_of(seed: int, done: Storm) -> str:
    """One row of the table."""
    counts = Counter(kind for kind, _ in done.broken)
    cells = [seed, f"{done.seconds:.0f}", done.kills, sum(done.deaths.values()), done.facts["acknowledged"]]
    cells += [done.facts["attempts"], *(counts[kind] for kind in KINDS)]
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


HEADS = ["seed", "s", "kills", "at points", "jobs", "attempts", *KINDS]
WIDTHS = [max(4, len(head)) for head in HEADS]


def run_seeds(options: argparse.Namespace) -> int:
    """Every seed, a row each, and the sums."""
    print(" ".join(f"{head:>{width}}" for head, width in zip(HEADS, WIDTHS, strict=True)), flush=True)
    failed, blows, deaths = 0, Counter[str](), Counter[str]()
    for seed in options.seeds:
        done = storm(options.folder, seed, options.seconds, options.mutant, options.own_volume, app=options.app)
        print(line_of(seed, done), flush=True)
        blows += done.blows
        deaths += done.deaths
        for kind, words in done.broken[:20]:
            print(f"     {kind}: {words}")
        if done.broken:
            failed += 1
            print(f"     in {done.places}")
    print("\nblows: " + ", ".join(f"{what} {count}" for what, count in sorted(blows.items())))
    print(
        "deaths at named points: " + (", ".join(f"{what} {count}" for what, count in sorted(deaths.items())) or "none")
    )
    print("every promise held" if not failed else f"{failed} of {len(options.seeds)} seeds broke a promise")
    return 1 if failed else 0


def run_mutants(options: argparse.Namespace) -> int:
    """Take one safeguard out at a time; the same storm must notice."""
    survived = []
    for mutant in MUTANTS if options.mutants == "all" else options.mutants.split(","):
        words = ""
        for seed in options.seeds:
            done = storm(options.folder, seed, options.seconds, mutant, options.own_volume)
            if done.broken:
                kinds = Counter(kind for kind, _ in done.broken)
                sums = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
                words = f"red after {done.kills} kills, seed {seed} ({sums}); first: {done.broken[0][1][:110]}"
                break
        print(f"{mutant:18} {words or 'SURVIVED'}", flush=True)
        survived += [] if words else [mutant]
    print("every mutant was found" if not survived else f"not found: {', '.join(survived)}")
    return 1 if survived else 0


def with_own_volume(arguments: list[str]) -> int | None:
    """Run this again where we may mount a volume of our own, which can be filled; None where nobody may."""
    folder = _folder()
    script = 'mount -t tmpfs -o size=64m tmpfs "$0/volume" || exit 99; exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", script, str(folder), sys.executable, "-m", "tests.jobs.chaos"]
    try:
        code = subprocess.run(
            [*command, *arguments, "--own-volume", "--folder", str(folder)], cwd=REPOSITORY, check=False
        ).returncode
    except FileNotFoundError:
        code = 99
    if code in (0, 99):
        shutil.rmtree(folder, ignore_errors=True)
    if code == 99:
        print("this machine lets nobody mount a volume: no full disk and no read-only volume in this run", flush=True)
        return None
    return code


def _folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="heft-chaos-"))
    (folder / "volume").mkdir()
    return folder


def main() -> int:
    """See the top of the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--mutants", nargs="?", const="all", metavar="NAME,NAME")
    parser.add_argument("--app", action="store_true", help="the real app is there, too, and dies with the others")
    parser.add_argument("--mutant", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--own-volume", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--settle", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.settle:
        print(settle(options.settle))
        return 0
    if options.folder is None:
        code = with_own_volume(sys.argv[1:])
        if code is not None:
            return code
        options.folder = _folder()
    os.environ["HEFT_HOME"] = str(options.folder / "nobody")
    return run_mutants(options) if options.mutants else run_seeds(options)


if __name__ == "__main__":
    sys.exit(main())
