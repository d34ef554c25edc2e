"""A short run of the chaos command; ``python -m tests.jobs.chaos --seconds 600 --seeds 1 2 3`` is a long one, and
with ``--mutants`` it must fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.jobs.chaos.promises import trace_problems
from tui.jobs.job import JobRequest, Kind, State

REPOSITORY = Path(__file__).parent.parent.parent


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_every_promise_holds_under_ten_seconds_of_blows(tmp_path):
    command = [sys.executable, "-m", "tests.jobs.chaos", "--seconds", "10", "--seeds", "3"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=230, cwd=REPOSITORY, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "every promise held" in done.stdout


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([(1, 10, 1), (1, 10, 2), (2, 11, 2), (2, 11, 3)], ""),
        ([(1, 10, 1), (2, 11, 2), (1, 10, 2), (2, 11, 3)], "at once"),
        ([(1, 10, 1), (1, 10, 3)], "torn"),
        ([(1, 10, 1), (1, 10, 2)], "lost"),
    ],
)
def test_the_trace_of_a_job_tells_what_went_wrong(store, steps, kind):
    """The check itself: what two workers, a skipped step and an early end look like."""
    job = store.submit(JobRequest(Kind.DOWNLOAD, "m", {"steps": 3}))
    store.claim(job.id, "")
    store.settle(job.id, 1, State.QUEUED, "")
    store.claim(job.id, "")
    store.finish(job.id, 2, {})
    assert kind in {found for found, _ in trace_problems(store.job(job.id), steps)} | {""}
    assert bool(trace_problems(store.job(job.id), steps)) == bool(kind)
