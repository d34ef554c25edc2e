"""Filling a new job database from the job folders, after the old one was damaged or lost.

Nothing that a person asked for is forgotten: jobs that had come to rest keep their outcome, jobs whose lock is held
are still running and are adopted, everything else queues again.
"""

from __future__ import annotations

import errno
import sqlite3
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui.jobs.job import Kind, Needs, State
from tui.jobs.job_folder import read_outcome, read_spec
from tui.jobs.liveness import job_is_alive
from tui.jobs.rows import now_text, to_json

_OF_THIS_PROCESS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)
"""Troubles of whoever reads, not of what is read: the next one who opens the queue may read the job."""


def rebuild(connection: sqlite3.Connection, folders: Path) -> None:
    """Insert one row per readable job folder; ids, keys and order stay, history begins anew.

    Raises ``OSError`` when this process, not the folder, is at fault (no open files to spare): nothing is inserted.
    """
    numbered = sorted((int(folder.name), folder) for folder in folders.glob("[0-9]*") if folder.name.isdigit())
    if not numbered:
        return
    # Front ends remember revisions of the lost file; starting above them makes every row news.
    connection.execute("UPDATE counter SET value = ?", (time.time_ns() // 1_000_000,))
    for job_id, folder in numbered:
        try:
            row = _row(job_id, folder)
        except OSError as error:
            if error.errno in _OF_THIS_PROCESS:
                raise
            continue
        except (ValueError, KeyError, TypeError):
            continue
        columns = ", ".join(row)
        marks = ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT OR IGNORE INTO job ({columns}) VALUES ({marks})", row)
    # Ids are never given twice, not even those of folders that could not be read.
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'job'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('job', ?)", (numbered[-1][0],))


def _row(job_id: int, folder: Path) -> dict[str, Any]:
    spec, outcome = read_spec(folder), read_outcome(folder)
    kind = Kind(spec["kind"])
    state = _state(kind, outcome, folder)
    return {
        "id": job_id,
        "key": spec["key"],
        "kind": kind,
        "state": state,
        "told": state,
        "model": spec["model"],
        "spec": to_json(spec["spec"]),
        "needs": to_json(asdict(Needs(**spec["needs"]))),
        "after": to_json(spec["after"]),
        "plan": spec["plan"],
        "priority": spec["priority"],
        "attempt": int(spec["attempt"]),
        "device": outcome.get("device", spec.get("device", "")),
        "failure": outcome.get("failure"),
        "result": to_json(outcome.get("result", {})),
        "note": "rebuilt from its folder",
        "created": spec["created"],
        "started": outcome.get("started", now_text() if state.is_alive else None),
        "ended": outcome.get("ended"),
    }


def _state(kind: Kind, outcome: dict[str, Any], folder: Path) -> State:
    state = State(outcome["state"]) if outcome else State.QUEUED
    if job_is_alive(folder):
        return State.READY if state is State.READY else State.RUNNING if state is State.QUEUED else state
    if state is State.READY or (state is State.QUEUED and kind is Kind.SERVE and (folder / "lock").exists()):
        return State.INTERRUPTED
    return state
