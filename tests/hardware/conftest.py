"""A child process that sees the fake GPUs through the real NVML bindings, and looks when it is told to."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import fake_nvml

CHILD = """
import dataclasses, json, sys
from tui.hardware.nvidia_probe import NvidiaProbe
from tui.hardware.probe import Probe
now = [1000.0]
jobs = {}
nvidia = NvidiaProbe.from_environment()
nvidia.clock = lambda: now[0]
probe = Probe(jobs=lambda: jobs, nvidia=nvidia)
for line in sys.stdin:
    words = line.split()
    if words[0] == "wait":
        now[0] += float(words[1])
    elif words[0] == "job":
        jobs[int(words[1])] = int(words[2])
    print(json.dumps(dataclasses.asdict(probe.snapshot()) if words[0] == "look" else {}), flush=True)
"""


class Watcher:
    """``look`` returns a snapshot as a table, ``wait`` moves the probe's clock, ``show`` changes the machine."""

    def __init__(self, environment: Mapping[str, str], description: Path) -> None:
        self.description = description
        self._child = subprocess.Popen(
            [sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def _ask(self, line: str) -> Any:
        assert self._child.stdin is not None and self._child.stdout is not None
        self._child.stdin.write(line + "\n")
        self._child.stdin.flush()
        answer = self._child.stdout.readline()
        assert answer, "the child died"
        return json.loads(answer)

    def look(self) -> SimpleNamespace:
        return json.loads(json.dumps(self._ask("look")), object_hook=lambda table: SimpleNamespace(**table))

    def wait(self, seconds: float) -> None:
        self._ask(f"wait {seconds}")

    def job(self, pid: int, job_id: int) -> None:
        self._ask(f"job {pid} {job_id}")

    def show(self, *gpus: fake_nvml.FakeGpu, **options: Any) -> None:
        fake_nvml.describe(self.description, gpus, **options)

    def close(self) -> None:
        self._child.kill()
        self._child.communicate()


@pytest.fixture(scope="session")
def nvml_library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not fake_nvml.compiler():
        pytest.skip("no C compiler, so the fake driver library cannot be built")
    return fake_nvml.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def watch(nvml_library: Path, tmp_path: Path) -> Iterator[Any]:
    """``watch(*gpus, environment={}, **options)`` starts a process that sees those GPUs."""
    watchers: list[Watcher] = []

    def start(*gpus: fake_nvml.FakeGpu, extra: Mapping[str, str] | None = None, **options: Any) -> Watcher:
        description = fake_nvml.describe(tmp_path / "gpus.txt", gpus, **options)
        watcher = Watcher({**fake_nvml.environment(nvml_library, description), **(extra or {})}, description)
        watchers.append(watcher)
        return watcher

    yield start
    for watcher in watchers:
        watcher.close()


def uuids(gpus: Sequence[Any]) -> list[str]:
    return [gpu.uuid for gpu in gpus]
