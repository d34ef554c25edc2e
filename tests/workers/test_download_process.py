"""Downloads in a worker process: killed, stopped, out of disk, and used afterwards by the real library."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.local_hub import LocalHub, Synthetic, safetensors
from tests.patience import patient
from tests.workers.worker_job import WorkerJob
from tui.jobs.job import Kind, State
from tui.paths import Paths
from tui.starter import starter_folder

REPO = "org/model"
SIZE = 150_000_000
DATA = "GET /cdn/"
TOKEN = "hf_aTokenThatMustNotLeak"

Until = Callable[..., object]


@pytest.fixture
def job(hub: LocalHub, paths: Paths) -> Iterator[WorkerJob]:
    hub.add_repo(REPO, {"config.json": b"{}", "model.safetensors": safetensors(SIZE)})
    made = WorkerJob(paths, Kind.DOWNLOAD, REPO, {"model": REPO, "repo": REPO, "revision": "", "name": ""})
    yield made
    made.close()


def test_kill_9_twice_in_the_middle_costs_less_than_what_was_in_the_air(
    hub: LocalHub, job: WorkerJob, until: Until
) -> None:
    hub.fault(DATA, "slow", rate=30_000_000)
    for _ in range(2):
        before = hub.bytes_sent(DATA)
        process = job.start()
        until(lambda start=before: hub.bytes_sent(DATA) > start + 25_000_000, 30, "25 MB more")
        process.kill()
        process.wait()
        job.again()
    hub.faults.clear()
    finished = job.run()
    assert finished.state is State.DONE
    assert finished.attempt == 3
    assert hub.bytes_sent(DATA) - SIZE < 2 * 4 * 7_000_000  # 2 MiB buffer and the sockets' own, of 4 connections
    assert finished.progress.details["received"] < SIZE - 30_000_000
    assert (finished.progress.done, finished.progress.total) == (SIZE + 2, SIZE + 2)


def test_a_job_that_goes_on_keeps_its_commit_and_needs_no_listing(hub: LocalHub, job: WorkerJob, until: Until) -> None:
    first = hub.repos[REPO].refs["main"]
    hub.fault(DATA, "slow", rate=30_000_000)
    process = job.start()
    until(lambda: hub.bytes_sent(DATA) > 40_000_000, 30)
    process.kill()
    process.wait()
    hub.faults.clear()
    hub.add_repo(REPO, {"config.json": b"{}", "model.safetensors": safetensors(SIZE, seed=5)})
    hub.fault("GET /api/models/", "refuse")
    job.again()
    finished = job.run()
    assert finished.result["revision"] == first
    assert finished.progress.details["received"] < SIZE - 3_000_000


def test_a_stop_ends_the_process_within_a_second_although_every_socket_is_silent(
    hub: LocalHub, job: WorkerJob, until: Until
) -> None:
    hub.fault(DATA, "stall", after=8_000_000)
    process = job.start()
    until(lambda: hub.bytes_sent(DATA) >= 32_000_000, 30, "four connections that got 8 MB each")
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 143
    assert time.monotonic() - begun < patient(1.5)
    assert job.job.state is State.RUNNING  # the runner settles it
    assert "stopped; what is done is kept" in job.log
    hub.faults.clear()
    job.again()
    finished = job.run()
    assert finished.progress.details["received"] <= SIZE + 2 - 32_000_000 + 4 * 5_000_000


def test_a_stop_is_heard_while_the_hub_is_silent(hub: LocalHub, job: WorkerJob, until: Until) -> None:
    hub.fault("GET /api/", "hang")
    process = job.start()
    until(lambda: hub.matching("GET /api/"), 30)
    begun = time.monotonic()
    process.terminate()
    assert process.wait(10) == 143
    assert time.monotonic() - begun < patient(2)
    assert job.job.failure is None


def test_a_full_disk_is_no_failure_and_the_job_goes_on_when_there_is_room(hub: LocalHub, job: WorkerJob) -> None:
    full = """
import errno, sys
from tui.workers import transfer_parts
from tui.workers.__main__ import main
real, room = transfer_parts.os.pwrite, [40_000_000]
def pwrite(descriptor, data, position):
    room[0] -= len(data)
    if room[0] < 0:
        raise OSError(errno.ENOSPC, "No space left on device")
    return real(descriptor, data, position)
transfer_parts.os.pwrite = pwrite
code = main(sys.argv[1:])
sys.stdout.flush()
transfer_parts.os._exit(code)
"""
    process = job.start(("-c", full))
    assert process.wait(60) == os.EX_TEMPFAIL
    stands = job.job
    assert (stands.state, stands.failure) == (State.RUNNING, None)
    assert "the disk is full" in job.log
    job.again()
    assert job.run().progress.details["received"] < SIZE - 30_000_000


def test_the_last_of_the_disk_is_left_to_others_and_each_file_tells_how_far_it_is(
    hub: LocalHub, job: WorkerJob, until: Until
) -> None:
    nearly_full = """
import sys
from tui.workers import __main__ as door, download
room = [10**12]
download.ROOM_SECONDS = 0.1
download.free_space = lambda place: room[0]
listing_of = download._at_work
def at_work(files):
    room[0] = 49_000_000 if any(file.done > 20_000_000 for file in files) else room[0]
    return listing_of(files)
download._at_work = at_work
code = door.main(sys.argv[1:])
sys.stdout.flush()
download.os._exit(code)
"""
    hub.fault(DATA, "slow", rate=20_000_000)
    process = job.start(("-c", nearly_full))
    until(lambda: "model.safetensors" in str(job.job.progress.details.get("now")), 30, "a file at work")
    name, done, size = job.job.progress.details["now"][-1]
    assert (name, size) == ("model.safetensors", SIZE) and 0 <= done < SIZE
    assert process.wait(60) == os.EX_TEMPFAIL
    assert job.job.failure is None and "only 49.0 MB are left on the disk of" in job.log
    hub.faults.clear()
    job.again()
    assert job.run().progress.details["received"] <= SIZE - 20_000_000


def test_a_refusal_reaches_the_row_in_words_and_the_token_reaches_nothing(hub: LocalHub, paths: Paths) -> None:
    hub.tokens[TOKEN] = "ann"
    hub.add_repo("org/gated", {"model.safetensors": Synthetic(1000)}, gated="auto")
    gated = WorkerJob(paths, Kind.DOWNLOAD, "org/gated", {"model": "org/gated", "repo": "org/gated", "revision": ""})
    try:
        ended = gated.run(("-X", "dev", "-m", "tui.workers"))  # any stray warning would be in the log
        assert ended.failure is not None and ended.failure.exit_code == 4
        gated.store.retry(gated.id)
        assert gated.start(HF_TOKEN=TOKEN).wait(60) == 0
        ended = gated.job
        assert ended.failure is not None
        assert ended.failure.summary == "org/gated is gated, and your token has no access to it yet"
        assert f"{hub.url}/org/gated" in ended.failure.hint
        assert ended.failure.log == str(ended.log)
        written = "".join(
            path.read_text(errors="replace")
            for path in paths.state.rglob("*")
            if path.is_file() and path.stat().st_size
        )
        assert TOKEN not in written
        assert any(request.headers.get("authorization") == f"Bearer {TOKEN}" for request in hub.requests)
    finally:
        gated.close()


@pytest.mark.slow
def test_transformers_loads_it_offline(hub: LocalHub, paths: Paths) -> None:
    hub.add_repo("heft/starter", starter_folder())
    pulled = WorkerJob(paths, Kind.DOWNLOAD, "heft/starter", {"model": "s", "repo": "heft/starter", "revision": ""})
    try:
        result = pulled.run().result
    finally:
        pulled.close()
    program = """
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained("heft/starter")
tokenizer = AutoTokenizer.from_pretrained("heft/starter")
print(tokenizer.decode(model.generate(**tokenizer("What is", return_tensors="pt"), max_new_tokens=4)[0]))
"""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(paths.hub_cache), "OMP_NUM_THREADS": "1"}
    asked = len(hub.requests)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert "What is" in ended.stdout
    assert len(hub.requests) == asked
    assert Path(result["path"]).is_dir()
