"""What a job is: its kinds, its states, the moves between them, and what a front end may know of it.

This module alone holds the table of allowed moves; ``store.py`` refuses every other move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """What a job does; each is one verb file in ``workers/``."""

    DOWNLOAD = "download"
    QUANTIZE = "quantize"
    SERVE = "serve"
    EVALUATE = "evaluate"
    COMPARE = "compare"
    BENCHMARK = "benchmark"
    EXPORT = "export"


class State(StrEnum):
    """Where a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    READY = "ready"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"

    @property
    def is_alive(self) -> bool:
        """A process works on it."""
        return self in (State.RUNNING, State.READY)

    @property
    def is_over(self) -> bool:
        """Nothing more will happen unless somebody retries it."""
        return self in (State.DONE, State.FAILED, State.CANCELLED, State.INTERRUPTED)


MOVES: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.RUNNING, State.PAUSED, State.CANCELLED, State.FAILED}),
    State.RUNNING: frozenset(
        {State.READY, State.DONE, State.FAILED, State.CANCELLED, State.PAUSED, State.QUEUED, State.INTERRUPTED}
    ),
    State.READY: frozenset({State.DONE, State.FAILED, State.CANCELLED, State.INTERRUPTED}),
    State.PAUSED: frozenset({State.QUEUED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELLED: frozenset({State.QUEUED}),
    State.INTERRUPTED: frozenset({State.QUEUED, State.CANCELLED}),
}


class Want(StrEnum):
    """What a front end asked the runner to do with a job that has a process."""

    CANCEL = "cancel"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is: ``done`` of ``total`` in ``unit`` ("B", "layers"), ``rate`` in units per second, ``eta`` in
    seconds; ``total``, ``rate`` and ``eta`` are None where they are not known. ``message`` says the present step."""

    done: float = 0
    total: float | None = None
    unit: str = ""
    rate: float | None = None
    eta: float | None = None
    message: str = ""
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def fraction(self) -> float | None:
        """Share done between 0 and 1, or None when the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job ended badly: what happened, what to do, the path of the log, and the exit code that says it.
    ``passing`` marks trouble that may go away by itself (a hub that does not answer), never a refusal."""

    summary: str
    hint: str = ""
    log: str = ""
    exit_code: int = 1
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """A job that failed for a passing reason and tries again by itself: the ``tries``-th of ``limit`` times, at the
    moment ``at``, which was ``seconds`` away; ``done`` is how far it was."""

    tries: int
    limit: int
    at: datetime
    seconds: float
    done: float = 0


@dataclass(frozen=True, slots=True)
class Needs:
    """What a job asks of the machine before it may start.

    ``device`` is "none" (no compute), "cpu", "cuda" (any GPU) or "cuda:N"; ``memory`` bytes on that device (RAM for
    "cpu"), ``disk`` bytes on the volume of ``disk_path``; ``network`` for jobs that share the network slots. With
    ``free`` it waits besides until so many bytes of that device have been free for ``free_for`` seconds on end.
    """

    device: str = "none"
    memory: int = 0
    disk: int = 0
    disk_path: str = ""
    network: bool = False
    free: int = 0
    free_for: float = 0.0


@dataclass(frozen=True, slots=True)
class WhenFree:
    """A wish to start only when ``memory`` bytes have been free on one device for ``seconds`` on end."""

    memory: int
    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class JobRequest:
    """A job that somebody asks for. ``key`` makes the submit idempotent; ``after`` lists jobs that go before it."""

    kind: Kind
    model: str
    spec: dict[str, Any]
    needs: Needs = Needs()
    after: tuple[int, ...] = ()
    key: str = ""
    plan: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the queue, as it was when it was read. Timestamps are aware datetimes in UTC."""

    id: int
    key: str
    kind: Kind
    state: State
    model: str
    spec: dict[str, Any]
    needs: Needs
    after: tuple[int, ...]
    plan: str
    priority: int
    want: Want | None
    attempt: int
    deaths: int
    device: str
    progress: Progress
    waiting_because: str
    failure: Failure | None
    result: dict[str, Any]
    created: datetime
    started: datetime | None
    ended: datetime | None
    revision: int
    folder: Path
    again: Again | None = None

    @property
    def log(self) -> Path:
        """The file that everything the job prints goes to."""
        return self.folder / "log"


def move_is_allowed(old: State, new: State) -> bool:
    """Whether the table of moves has ``old -> new``."""
    return new in MOVES[old]


@dataclass(frozen=True, slots=True)
class Event:
    """One step in a job's history, ordered by ``seq`` and never by the clock."""

    seq: int
    job_id: int
    attempt: int
    at: datetime
    state: State
    note: str


def state_seconds(history: Sequence[Event]) -> list[float | None]:
    """For each step of a history, oldest first, how many seconds its state lasted; None for the last one. A clock that
    was set back in between makes 0, not less."""
    ends = [event.at for event in history[1:]]
    spans = [(end - event.at).total_seconds() for event, end in zip(history, ends, strict=False)]
    return [*(max(0.0, span) for span in spans), *([None] if history else [])]
