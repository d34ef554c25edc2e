"""Runs the ``heft`` command as a person would: its own process, its own home, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.jobs.store import Store
from tui.paths import Paths

ROOT = Path(__file__).parent.parent
CLOSED_HUB = "http://127.0.0.1:9"
"""A hub address where nothing listens: what a machine without a network sees, at once."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, stdout, stderr and the JSON documents on stdout."""

    code: int
    out: str
    err: str

    @property
    def documents(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def document(self) -> Any:
        assert self.documents, f"exit {self.code}: {self.err}"
        return self.documents[-1]


class Heft:
    """One user's Heft under ``home``."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        foreign = ("HF_", "HEFT_", "XDG_", "OPENAI_", "ANTHROPIC_")
        self.environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(foreign)},
            "HEFT_HOME": str(home),
            "HF_ENDPOINT": CLOSED_HUB,
            "HEFT_RUNNER_IDLE": "5",
            "PYTHONPATH": str(ROOT),
            **environment,
        }

    def __call__(self, *words: str, stdin: str = "", seconds: float = 240) -> Ended:
        done = subprocess.run(
            [sys.executable, "-m", "tui", *words],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=seconds,
            cwd=self.home.parent,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def json(self, *words: str, code: int = 0, stdin: str = "", seconds: float = 240) -> Any:
        """Run with ``--json``, require the exit code, and return the last document."""
        ended = self(*words, "--json", stdin=stdin, seconds=seconds)
        assert ended.code == code, f"{' '.join(words)}: exit {ended.code}\n{ended.out[-2000:]}\n{ended.err[-4000:]}"
        return ended.document

    def end_everything(self) -> None:
        """Cancel what still runs, so that no test leaves a process behind."""
        paths = Paths.from_environment({"HEFT_HOME": str(self.home)})
        if not paths.database.exists():
            return
        store = Store(paths, durable=False)  # nearly always there is nothing to do, and a process for that takes longer
        left = [job.id for job in store.jobs() if not job.state.is_over]
        store.close()
        for number in left:
            self("jobs", "cancel", str(number))
