"""Follows jobs from the queue until they are over; leaving does not stop them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from tui.cli.facts import job_facts
from tui.cli.output import Output
from tui.jobs.job import Job, Kind, State
from tui.quantities import bytes_text, duration_text
from tui.workbench import Workbench

INTERVAL = 0.2
"""Seconds between two looks at the queue."""


def progress_text(job: Job) -> str:
    """A job's progress in one line: share, amount, rate and time left."""
    progress = job.progress
    parts = []
    if progress.fraction is not None:
        parts.append(f"{progress.fraction:4.0%}")
    if progress.unit == "B" and progress.total:
        parts.append(f"{bytes_text(progress.done)} of {bytes_text(progress.total)}")
        if progress.rate is not None:
            parts.append(f"{bytes_text(progress.rate)}/s")
    elif progress.total:
        parts.append(f"{progress.done:g} of {progress.total:g} {progress.unit}".strip())
    if progress.eta is not None:
        parts.append(f"{duration_text(progress.eta)} left")
    if progress.message:
        parts.append(progress.message)
    return ", ".join(parts)


def state_text(job: Job) -> str:
    """A job's state with what belongs to it: why it waits, how far it is, why it failed."""
    if job.state is State.QUEUED:
        return f"waits: {job.waiting_because.removeprefix('waits ')}" if job.waiting_because else "queued"
    if job.state.is_alive and job.waiting_because:
        return job.waiting_because
    if job.state is State.RUNNING:
        return progress_text(job) or "running"
    if job.state in (State.FAILED, State.INTERRUPTED) and job.failure:
        return f"{job.state}: {job.failure.summary}"
    return str(job.state)


def is_settled(job: Job) -> bool:
    """Nothing is left to wait for: over, or a host that answers."""
    return job.state.is_over or (job.kind is Kind.SERVE and job.state is State.READY)


def follow(bench: Workbench, jobs: Sequence[Job], output: Output, timeout: float | None = None) -> int:
    """Print what happens to ``jobs`` until the last is settled; returns the exit code of its ending.

    Ctrl-C detaches: the jobs go on, and the exit code is 130. ``timeout`` seconds make it 1.
    """
    last = jobs[-1].id
    told: dict[int, str] = {}
    watched = {job.id for job in jobs}
    deadline = time.monotonic() + timeout if timeout is not None else None
    revision = 0
    try:
        while True:
            bench.keep_running()
            changed, removed, revision = bench.changed_since(revision)
            for job in changed:
                if job.id in watched:
                    _tell(job, told, output, many=len(watched) > 1)
            now = next((job for job in changed if job.id == last), None)
            if now is not None and is_settled(now):
                return _ending(now, output)
            if last in removed:
                output.note(f"job {last} was cleared from the queue")
                return 1
            if deadline is not None and time.monotonic() > deadline:
                output.note(f"job {last} is not over yet")
                return 1
            time.sleep(INTERVAL)
    except KeyboardInterrupt:
        output.note(f"\ndetached; it goes on. heft jobs wait {last} follows it, heft jobs cancel {last} stops it")
        return 130


def _tell(job: Job, told: dict[int, str], output: Output, many: bool) -> None:
    output.document(job_facts(job))
    line = f"job {job.id} {job.kind} {job.model}: {state_text(job)}"
    news = re.sub(r"\d+", "0", line) if job.state is State.QUEUED else line
    if told.get(job.id) == news:  # a wait that counts down is told once
        return
    told[job.id] = news
    if job.state is State.RUNNING or (job.state is State.QUEUED and many):
        output.status(line)
    elif not output.as_json:
        output.status("")
        output.note(line)


def _ending(job: Job, output: Output) -> int:
    if job.state in (State.DONE, State.READY):
        return 0
    if job.failure is not None:
        if job.failure.hint:
            output.note(f"      {job.failure.hint}")
        if job.failure.log:
            output.note(f"      log: {job.failure.log}")
        return job.failure.exit_code
    return 1
