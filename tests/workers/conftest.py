"""A local hub and claimed jobs for the workers' tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.local_hub import LocalHub
from tui.jobs.job import Job, JobRequest, Kind
from tui.jobs.job_folder import read_spec, write_spec
from tui.jobs.store import Store
from tui.paths import Paths
from tui.workers.reporter import Reporter


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    """A hub that this process's environment points to."""
    with LocalHub() as local:
        for name, value in local.environment.items():
            monkeypatch.setenv(name, value)
        yield local


@pytest.fixture
def store(paths: Paths) -> Iterator[Store]:
    opened = Store(paths, durable=False)
    yield opened
    opened.close()


@pytest.fixture
def claimed(store: Store) -> Callable[..., Job]:
    """``claimed(kind, spec)`` is a job as the runner hands it to a worker."""

    def make(kind: Kind, spec: dict[str, Any], after: tuple[int, ...] = ()) -> Job:
        job = store.submit(JobRequest(kind, str(spec.get("model", "test")), spec, after=after))
        job = store.claim(job.id, "none") or job
        write_spec(job.folder, read_spec(job.folder) | {"attempt": job.attempt})
        return job

    return make


@pytest.fixture
def reporter(store: Store, claimed: Callable[..., Job], paths: Paths) -> Iterator[Callable[..., Reporter]]:
    """``reporter(kind, spec)`` is the reporter of a fresh claimed job."""
    made: list[Reporter] = []

    def make(kind: Kind, spec: dict[str, Any], after: tuple[int, ...] = ()) -> Reporter:
        made.append(Reporter(store, claimed(kind, spec, after), paths))
        return made[-1]

    yield make
    for each in made:
        each.close()
