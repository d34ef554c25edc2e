"""A real job of a real store, run by a real worker process, without the runner in between."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui.catalog.build import Recipe
from tui.jobs.job import Job, JobRequest, Kind, State
from tui.jobs.job_folder import read_spec, write_spec
from tui.jobs.store import Store
from tui.paths import Paths

SMALL = Recipe(samples=16, sample_length=128)
"""Enough calibration for a model of a few million parameters, in a few seconds on one core."""


ONE_CORE = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
"""Threads that wait for each other crawl on a busy machine; these models are small."""


def home(paths: Paths) -> dict[str, str]:
    return {"HEFT_HOME": str(paths.config.parent), "PYTHONPATH": str(Path(__file__).parents[2])}


class WorkerJob:
    """Submits a job, claims it, and starts ``python -m tui.workers`` on it as the runner does."""

    def __init__(self, paths: Paths, kind: Kind, model: str, spec: dict[str, Any]) -> None:
        self.paths = paths
        self.store = Store(paths)
        self.id = self.store.submit(JobRequest(kind, model, spec)).id
        self.process: subprocess.Popen[bytes] | None = None
        self.elsewhere = paths.state / "elsewhere"
        """Where the worker is started; nothing may be written there."""
        self.elsewhere.mkdir(exist_ok=True)

    @property
    def job(self) -> Job:
        return self.store.job(self.id)

    @property
    def log(self) -> str:
        return self.job.log.read_text(encoding="utf-8", errors="replace") if self.job.log.exists() else ""

    def start(self, command: Sequence[str] = ("-m", "tui.workers"), **environment: str) -> subprocess.Popen[bytes]:
        job = self.store.claim(self.id, "cpu")
        assert job is not None
        write_spec(job.folder, read_spec(job.folder) | {"attempt": job.attempt, "device": "cpu"})
        with job.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, str(job.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.elsewhere,
                env={**os.environ, **home(self.paths), **ONE_CORE, **environment},
                start_new_session=True,
            )
        return self.process

    def run(self, command: Sequence[str] = ("-m", "tui.workers"), seconds: float = 280) -> Job:
        code = self.start(command).wait(seconds)
        assert code == 0, f"exit code {code}\n{self.log[-4000:]}"
        return self.job

    def again(self) -> None:
        """What the runner does with a job that died."""
        job = self.job
        assert self.store.died(job.id, job.attempt, "killed in a test") is State.QUEUED

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, 9)
            self.process.wait()
        self.store.close()


def quantize_spec(source: Path, recipe: Recipe, name: str) -> dict[str, Any]:
    return {"model": "tiny", "build": "", "path": str(source), "recipe": asdict(recipe), "name": name}


def quantize_job(
    paths: Paths, source: Path, recipe: Recipe = SMALL, name: str = "out", model: str = "tiny"
) -> WorkerJob:
    return WorkerJob(paths, Kind.QUANTIZE, model, quantize_spec(source, recipe, name))
