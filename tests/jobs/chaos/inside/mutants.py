"""The program with one of its safeguards taken out, to prove that the chaos test can fail."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any


def no_lock() -> None:
    """Liveness without the lock: whoever asks gets it, and nobody seems to hold it."""
    from tui.jobs import ending, liveness, worker_process

    def take_lock(path: Path) -> int:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    liveness.take_lock = take_lock
    liveness.is_locked = lambda path: False
    liveness.job_is_alive = worker_process.job_is_alive = ending.job_is_alive = lambda folder: False


def no_attempt_guard() -> None:
    """Outcomes are taken from whoever brings them."""
    from tui.jobs.transition import Queue

    def attempted(self: Any, job_id: int, attempt: int) -> Any:
        job = self.find(job_id)
        return job if job is not None and job.state.is_alive else None

    Queue.attempted = attempted  # type: ignore[method-assign]


def torn_rename() -> None:
    """Files of a job are written in place instead of beside and renamed."""
    import points

    from tui.jobs import job_folder

    def write(path: Path, content: dict[str, Any], *, durable: bool, room: int = 0) -> None:
        text = json.dumps(content, ensure_ascii=False)
        with path.open("w", encoding="utf-8") as file:
            file.write(text[: len(text) // 2])
            file.flush()
            points.at("file half written", likely=5)
            file.write(text[len(text) // 2 :])

    job_folder._write = write


def no_sweep() -> None:
    """What a job leaves behind is left."""
    from tui.jobs import ending

    ending.processes_of = lambda folder: []


def no_transaction() -> None:
    """A job is in the queue before its folder is written."""
    from tui.jobs import transition

    original = transition.write_spec

    def write_spec(folder: Path, spec: dict[str, Any]) -> None:
        if not (folder / "spec.json").exists():
            return  # "the runner will write it"
        original(folder, spec)

    transition.write_spec = write_spec


MUTANTS: dict[str, Callable[[], None]] = {
    "no-lock": no_lock,
    "no-attempt-guard": no_attempt_guard,
    "torn-rename": torn_rename,
    "no-sweep": no_sweep,
    "no-spec": no_transaction,
}


def apply(names: str) -> None:
    """Take the named safeguards out."""
    wanted: Iterable[str] = (name for name in names.split(",") if name)
    for name in wanted:
        MUTANTS[name]()
