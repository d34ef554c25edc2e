"""Between rows of the file of trials and the frozen shapes that leave it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from datetime import UTC, datetime

from tui.compare.ballot import Vote
from tui.compare.trial import Attempt, AttemptState, Order, Place, Standing, Trial

ATTEMPT_COLUMNS = frozenset(item.name for item in fields(Attempt)) - {"id", "place", "number", "revision"}
"""What may change about an attempt."""


def attempt_of(row: sqlite3.Row) -> Attempt:
    """The attempt in ``row``."""
    values = {name: row[name] for name in ATTEMPT_COLUMNS}
    values |= {
        "id": row["id"],
        "number": row["number"],
        "revision": row["revision"],
        "place": Place(row["contestant"], row["prompt"], row["turn"], row["repeat"]),
        "state": AttemptState(row["state"]),
        "counted": bool(row["counted"]),
        "quality": json.loads(row["quality"]),
    }
    return Attempt(**values)


def standing_of(row: sqlite3.Row) -> Standing:
    """The standing in ``row``."""
    return Standing(**{item.name: row[item.name] for item in fields(Standing)})


def trial_of(row: sqlite3.Row, standings: Sequence[Standing]) -> Trial:
    """The trial in ``row``."""
    return Trial(
        id=row["id"],
        order=Order.from_table(json.loads(row["spec"])),
        title=row["title"],
        created=_moment(row["created"]),
        updated=_moment(row["updated"]),
        job=row["job"],
        host=row["host"],
        replay_of=row["replay_of"],
        standings=tuple(standings),
        answered=row["answered"],
        failed=row["failed"],
        cost=row["cost"],
    )


def vote_of(row: sqlite3.Row) -> Vote:
    """The vote in ``row``."""
    values = {item.name: row[item.name] for item in fields(Vote)}
    return Vote(**values | {"facts": json.loads(row["facts"])})


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
