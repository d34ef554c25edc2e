"""Which files on this disk the queue uses, and when each build was last used.

The queue and the library meet here: a build in use is never deleted, nor is the half of a download that a job may go
on with.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from tui.catalog.build import Build
from tui.catalog.cache_trash import refs_of
from tui.catalog.leftovers import Duplicate, InUse, Leftover
from tui.jobs.job import Job, Kind, State

_LETS_GO = (State.DONE, State.CANCELLED)


@dataclass(frozen=True, slots=True)
class BuildUse:
    """A build, when it was last used (None when nothing tells), and the branches and tags that stand for it."""

    build: Build
    last_used: datetime | None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskUse:
    """Everything that Heft knows of on this disk."""

    builds: tuple[BuildUse, ...] = ()
    leftovers: tuple[Leftover, ...] = ()
    duplicates: tuple[Duplicate, ...] = ()
    removed: tuple[Build, ...] = ()
    """What lies in the trash, the newest first."""


def in_use(jobs: Sequence[Job]) -> InUse:
    """What the jobs use that run, wait, or can be tried again."""
    repos: dict[str, str] = {}
    folders: dict[Path, str] = {}
    by_id = {job.id: job for job in jobs}
    users = [job for job in jobs if job.state not in _LETS_GO]
    for job in users:
        who = f"job {job.id} ({job.kind}, {job.state})"
        if job.kind is Kind.DOWNLOAD and job.spec.get("repo"):
            repos[str(job.spec["repo"])] = who
        sources = [job.spec.get("path"), *(by_id[need].result.get("path") for need in job.after if need in by_id)]
        for folder in sources:
            if folder:
                folders[Path(str(folder))] = who
    return InUse(repos, folders, frozenset(job.id for job in users))


def build_use(build: Build, jobs: Sequence[Job]) -> BuildUse:
    """When ``build`` was last used: by a job that the queue remembers, else when its weights were last read."""
    times = [
        job.ended or job.started
        for job in jobs
        if job.kind is not Kind.DOWNLOAD and {job.spec.get("path"), job.spec.get("build")} & {str(build.path), build.id}
    ]
    known = [moment for moment in times if moment is not None]
    return BuildUse(build, max(known) if known else _last_read(build.path), _refs(build))


def _last_read(folder: Path) -> datetime | None:
    newest = 0.0
    for path in folder.glob("*.*"):
        with contextlib.suppress(OSError):
            newest = max(newest, path.stat().st_atime)
    return datetime.fromtimestamp(newest, UTC) if newest else None


def user_of(build: Build, jobs: Sequence[Job]) -> Job | None:
    """The job that runs or waits and works on ``build``, on what the job before it made, or on its repository."""
    by_id = {job.id: job for job in jobs}
    for job in jobs:
        if not (job.state.is_alive or job.state in (State.QUEUED, State.PAUSED)):
            continue
        made = [by_id[need].result.get("path") for need in job.after if need in by_id]
        used = {job.spec.get("path"), job.result.get("path"), job.spec.get("build"), *made} - {None, ""}
        fetches = job.kind is Kind.DOWNLOAD and build.source == "hub-cache" and job.spec.get("repo") == build.repo
        if fetches or used & {build.id, str(build.path)}:
            return job
    return None


def _refs(build: Build) -> tuple[str, ...]:
    return tuple(refs_of(build.path.parent.parent, build.revision)) if build.source == "hub-cache" else ()
