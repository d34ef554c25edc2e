"""Between a row of the job table and a ``Job``: the one place that knows how each field is written down."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tui.jobs.job import Again, Event, Failure, Job, JobRequest, Kind, Needs, Progress, State, Want


def now() -> datetime:
    """The present moment, the one clock of the queue that other clocks may disagree with."""
    return datetime.now(UTC)


def now_text() -> str:
    """The present moment as it is stored: ISO 8601 in UTC."""
    return now().isoformat()


def to_json(value: Any) -> str:
    """Write a JSON column; raises ``TypeError`` for what JSON cannot hold."""
    return json.dumps(value, ensure_ascii=False)


def job_from_row(row: sqlite3.Row, folder: Path) -> Job:
    """Read one row."""
    failure = json.loads(row["failure"]) if row["failure"] else None
    return Job(
        id=row["id"],
        key=row["key"],
        kind=Kind(row["kind"]),
        state=State(row["state"]),
        model=row["model"],
        spec=json.loads(row["spec"]),
        needs=Needs(**json.loads(row["needs"])),
        after=tuple(json.loads(row["after"])),
        plan=row["plan"],
        priority=row["priority"],
        want=Want(row["want"]) if row["want"] else None,
        attempt=row["attempt"],
        deaths=row["deaths"],
        device=row["device"],
        progress=Progress(**json.loads(row["progress"])),
        waiting_because=row["waiting_because"],
        failure=_failure(failure) if failure else None,
        result=json.loads(row["result"]),
        created=datetime.fromisoformat(row["created"]),
        started=_moment(row["started"]),
        ended=_moment(row["ended"]),
        revision=row["revision"],
        folder=folder,
        again=_again(row["again"]),
    )


def _again(stored: str | None) -> Again | None:
    if not stored:
        return None
    table = json.loads(stored)
    return Again(**table | {"at": datetime.fromisoformat(table["at"])})


def again_json(again: Again | None) -> str | None:
    """Write down when a job tries again."""
    return None if again is None else to_json(asdict(again) | {"at": again.at.isoformat()})


def _failure(stored: dict[str, Any]) -> Failure:
    return Failure(
        stored["summary"], stored["hint"], stored["log"], stored.get("exit_code", 1), stored.get("passing", False)
    )


def event_from_row(row: sqlite3.Row) -> Event:
    """Read one row of the history."""
    at = datetime.fromisoformat(row["at"])
    return Event(row["seq"], row["job_id"], row["attempt"], at, State(row["state"]), row["note"])


def failure_json(failure: Failure | None, because_of: int | None = None) -> str | None:
    """Write a failure; ``because_of`` names the needed job that is to blame, so that a retry of it revives this one."""
    if failure is None:
        return None
    return to_json(asdict(failure) | ({} if because_of is None else {"because_of": because_of}))


def spec_file_of(job_id: int, key: str, plan: str, request: JobRequest, created: str) -> dict[str, Any]:
    """The content of ``spec.json`` for a job that was just submitted."""
    return {
        "id": job_id,
        "attempt": 0,
        "kind": str(request.kind),
        "model": request.model,
        "spec": request.spec,
        "after": list(request.after),
        "needs": asdict(request.needs),
        "key": key,
        "plan": plan,
        "priority": request.priority,
        "created": created,
    }


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
