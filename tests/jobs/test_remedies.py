"""What is offered after a host died: numbers where it can be had, the reason where not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tui.catalog.build import Build
from tui.hardware.snapshot import Gpu, Host, Snapshot
from tui.jobs.job import JobRequest, Kind
from tui.jobs.remedies import memory_words, remedies
from tui.jobs.store import Store
from tui.paths import Paths
from tui.starter import starter_folder

GB = 10**9
HERE = Snapshot(1.0, host=replace(Host(), memory_total=64 * GB, memory_available=32 * GB))
ONE, TWO = Gpu(0, "H100", 80 * GB, 10 * GB, 70 * GB), Gpu(1, "H100", 80 * GB, 60 * GB, 20 * GB)


@pytest.fixture
def build() -> Build:
    return Build("heft-starter", starter_folder(), "heft-starter", "bfloat16", 20_000_000)


def host(paths: Paths, device: str, **spec: Any) -> Any:
    store = Store(paths)
    job = store.submit(JobRequest(Kind.SERVE, "heft-starter", {"build": "heft-starter", **spec}))
    claimed = store.claim(job.id, device)
    store.close()
    return claimed


def test_half_the_context_with_what_it_saves(paths: Paths, build: Build) -> None:
    shorter, _, _ = remedies(host(paths, "cpu", context=1024), build, [build], HERE)
    assert (shorter.context, shorter.build, shorter.off) == (512, "heft-starter", "")
    assert "512 tokens instead of 1,024" in shorter.words and "MB instead of" in shorter.words
    shortest, _, _ = remedies(host(paths, "cpu", context=512), build, [build], HERE)
    assert "short already" in shortest.off


def test_a_smaller_build_of_the_same_model_or_quantizing(paths: Paths, build: Build) -> None:
    small = replace(build, id="starter-4bit", precision="gptq-4bit-g128", bytes=9_000_000)
    smaller = replace(build, id="starter-2bit", precision="gptq-2bit-g128", bytes=5_000_000)
    foreign = replace(build, id="other", model="other", bytes=1_000)
    broken = replace(small, id="broken", bytes=19_000_000, problem="a shard is missing")
    job = host(paths, "cpu")
    assert remedies(job, build, [build, smaller, small, foreign, broken], HERE)[1].build == "starter-4bit"
    assert remedies(job, build, [build, foreign], HERE)[1].quantize
    assert "no smaller build" in remedies(job, smaller, [build, small, smaller], HERE)[1].off


def test_the_gpu_with_the_most_room_else_the_cpu_else_nothing(paths: Paths, build: Build) -> None:
    both = replace(HERE, gpus=(ONE, TWO))
    assert remedies(host(paths, "cuda:0"), build, [build], both)[2].device == "cuda:1"
    assert remedies(host(paths, "cuda:0"), build, [build], replace(HERE, gpus=(ONE,)))[2].device == "cpu"
    lost = replace(TWO, error="the GPU is lost")
    assert remedies(host(paths, "cuda:0"), build, [build], replace(HERE, gpus=(ONE, lost)))[2].device == "cpu"
    assert "no other device" in remedies(host(paths, "cpu"), build, [build], HERE)[2].off


def test_the_numbers_are_said(paths: Paths, build: Build) -> None:
    words = memory_words(host(paths, "cpu", context=1024), build, HERE)
    assert "context 1,024" in words and "32.0 GB free" in words
    assert Path(build.path).is_dir()
