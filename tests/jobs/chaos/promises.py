"""What must hold after the storm, whatever happened in it. Each broken promise has a kind, so it can be counted."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

from tui.jobs.job import Event, Job, Kind, State, move_is_allowed
from tui.jobs.liveness import is_locked, job_is_alive, processes_of
from tui.jobs.store import Store
from tui.paths import Paths

SLOTS = 2
"""Network slots, the default of ``downloads.at_once``."""

KINDS = ("lost", "doubled", "at once", "torn", "caps", "order", "unfinished", "left over")
"""An acknowledged job that is not there or did not do its work; that is there twice; two processes at the same work;
steps skipped or done behind a checkpoint, a late writer believed; too many on the network or a device; a history or an
order that the rules do not have; work that never ended; processes and locks that stayed."""

Broken = tuple[str, str]


def read_notes(chaos: Path) -> list[list[Any]]:
    """What the front ends noted; the last line of one that was killed may be torn."""
    notes = []
    for file in sorted(chaos.glob("notes.*")):
        for line in file.read_text().splitlines():
            try:
                notes.append(json.loads(line))
            except ValueError:
                continue
    return notes


def broken_promises(chaos: Path, paths: Paths, undone: str) -> tuple[list[Broken], Counter[str]]:
    """Everything that should have held and did not, and what there was."""
    notes = read_notes(chaos)
    store = Store(paths)
    jobs = {job.id: job for job in store.jobs()}
    histories = {job_id: store.history(job_id) for job_id in jobs}
    found: list[Broken] = [("unfinished", undone)] if undone else []
    found += acknowledged_problems(notes, jobs)
    for job in jobs.values():
        found += ending_problems(job, jobs, notes)
        found += trace_problems(job, trace_of(job.folder))
        found += history_problems(job.id, histories[job.id])
        if job_is_alive(job.folder) or processes_of(job.folder):
            found.append(("left over", f"job {job.id} left a process or a lock: {processes_of(job.folder)}"))
    if is_locked(paths.runner_lock):
        found.append(("left over", "a runner is left"))
    found += slot_problems(jobs, histories)
    violations = chaos / "violations"
    found += [("at once", line) for line in violations.read_text().splitlines()] if violations.exists() else []
    store.close()
    integrity = sqlite3.connect(paths.database).execute("PRAGMA integrity_check").fetchone()[0]
    if integrity != "ok":
        found.append(("lost", f"integrity: {integrity}"))
    facts = Counter(str(job.state) for job in jobs.values())
    facts["acknowledged"] = len({words[1] for words in notes if words[0] == "submitted"})
    facts["attempts"] = sum(job.attempt for job in jobs.values())
    facts["refused"] = sum(1 for words in notes if words[0] == "refused")
    facts["databases set aside"] = sum(1 for path in paths.state.glob("*.damaged-*") if path.suffix[1:].isdigit() or 1)
    return found, facts


def acknowledged_problems(notes: list[list[Any]], jobs: dict[int, Job]) -> list[Broken]:
    """An acknowledged job is there once, unless somebody cleared it; nobody who came too late was believed."""
    by_key = Counter(job.key for job in jobs.values())
    cleared = {words[1] for words in notes if words[0] == "cleared"}
    found: list[Broken] = []
    for words in notes:
        if words[0] == "submitted":
            count, job = by_key[words[1]], jobs.get(words[2])
            if count > 1 or (job is not None and job.key != words[1]):
                found.append(("doubled", f"acknowledged job {words[2]} ({words[1]}) is there {count} times"))
            elif count == 0 and words[2] not in cleared:
                found.append(("lost", f"acknowledged job {words[2]} ({words[1]}) is gone"))
        elif words[:2] == ["was", "cancel"] and words[3] == "cancelled" and words[2] in jobs:
            if jobs[words[2]].state is not State.CANCELLED:
                found.append(("order", f"job {words[2]} was cancelled and is {jobs[words[2]].state}"))
        elif words[0] == "too late" and words[3]:
            found.append(("torn", f"attempt {words[2]} of job {words[1]} was given up and its outcome was taken"))
    return found


def ending_problems(job: Job, jobs: dict[int, Job], notes: list[list[Any]]) -> list[Broken]:
    """A job ends done, or cancelled by somebody, or failed because of one that it needs."""
    wanted = any(words[:3] == ["wanted", "cancel", job.id] for words in notes)
    cleared = {words[1] for words in notes if words[0] == "cleared"}
    excused = job.state is State.CANCELLED and wanted
    orphaned = job.state is State.FAILED and any(
        needed in cleared or (needed in jobs and jobs[needed].state in (State.CANCELLED, State.FAILED))
        for needed in job.after
    )
    if job.state is State.DONE or excused or orphaned:
        return []
    return [("unfinished", f"job {job.id} ended as {job.state}: {job.failure}")]


def trace_of(folder: Path) -> list[tuple[int, int, int]]:
    """Attempt, pid and step of everything that a job's workers did, in that order."""
    path = folder / "trace"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(a), int(b), int(c)) for a, b, c in (line.split() for line in lines if line.count(" ") == 2)]


def trace_problems(job: Job, lines: list[tuple[int, int, int]]) -> list[Broken]:
    """Steps lost, done behind a checkpoint, or by two processes at once."""
    found: list[Broken] = []
    last_attempt, last_pid, last_step = 0, 0, 0
    for attempt, pid, step in lines:
        if attempt < last_attempt or (attempt == last_attempt and pid != last_pid):
            found.append(("at once", f"job {job.id}: attempt {attempt} ({pid}) after {last_attempt} ({last_pid})"))
        allowed = (last_step + 1,) if attempt == last_attempt else (last_step, last_step + 1)
        if step not in allowed:
            found.append(("torn", f"job {job.id}: step {step} of attempt {attempt} after step {last_step}"))
        last_attempt, last_pid, last_step = attempt, pid, step
    if job.state is State.DONE and (last_step != job.spec["steps"] or last_attempt > job.attempt):
        found.append(("lost", f"job {job.id} is done at step {last_step} of {job.spec['steps']}"))
    return found


def history_problems(job_id: int, events: list[Event]) -> list[Broken]:
    """A history that is no path through the table of moves; one of a rebuilt database begins in the middle."""
    states = [event.state for event in events]
    rebuilt = bool(events) and "rebuilt" in events[0].note
    begins = rebuilt or states[:1] == [State.QUEUED]
    legal = begins and all(move_is_allowed(old, new) for old, new in pairwise(states))
    return [] if legal else [("order", f"job {job_id} went {' -> '.join(states)}")]


def slot_problems(jobs: dict[int, Job], histories: dict[int, list[Event]]) -> list[Broken]:
    """More jobs at once on the network, or quantizing on the CPU, than there may be, and jobs that began before what
    they need was done; all told by the order of events, never by a clock."""
    running: set[int] = set()
    done: set[int] = set()
    found: list[Broken] = []
    for event in sorted((event for events in histories.values() for event in events), key=lambda event: event.seq):
        (running.add if event.state.is_alive else running.discard)(event.job_id)
        (done.add if event.state is State.DONE else done.discard)(event.job_id)
        network = [job_id for job_id in running if jobs[job_id].needs.network]
        cpu = [
            job_id for job_id in running if jobs[job_id].needs.device == "cpu" and jobs[job_id].kind is Kind.QUANTIZE
        ]
        if len(network) > SLOTS or len(cpu) > 1:
            found.append(("caps", f"at event {event.seq}: on the network {network}, on the CPU {cpu}"))
        early = [job_id for job_id in jobs[event.job_id].after if job_id in jobs and job_id not in done]
        if event.state is State.RUNNING and early and "rebuilt" not in event.note:
            found.append(("order", f"job {event.job_id} began before {early}, which it needs"))
    return found
