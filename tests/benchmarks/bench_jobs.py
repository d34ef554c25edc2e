"""What the queue costs: ``python tests/benchmarks/bench_jobs.py``. Prints medians; not a test, and never timed as one.

Measures the store with 200 jobs (submit, changed_since at rest and after one change, data_version, report), one tick of
a runner with nothing due, a round of admission, and the processor time and memory of an idle runner process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tui.hardware.snapshot import Gpu, Host, Snapshot
from tui.jobs.admission import Surroundings, decide
from tui.jobs.job import JobRequest, Kind, Needs, Progress
from tui.jobs.launch import ensure_runner
from tui.jobs.liveness import is_locked, marked_jobs
from tui.jobs.rounds import Runner
from tui.jobs.store import Store
from tui.jobs.surroundings import Machine
from tui.paths import Paths


def median(what: str, call: Callable[[], object], times: int) -> None:
    """Print the median of ``times`` calls in microseconds."""
    taken = []
    for _ in range(times):
        began = time.perf_counter_ns()
        call()
        taken.append(time.perf_counter_ns() - began)
    print(f"{what:<58}{statistics.median(taken) / 1000:12.1f} us")


def measure_store(paths: Paths) -> None:
    """The store with 200 jobs."""
    store = Store(paths)
    numbers = iter(range(10**6))
    request = lambda: JobRequest(Kind.DOWNLOAD, "m", {"n": next(numbers)}, Needs(network=True))  # noqa: E731
    median("submit (FULL sync, with folder)", lambda: store.submit(request()), 200)
    jobs = store.jobs()
    median("claim and finish (two FULL commits)", lambda: _finish(store, jobs.pop().id), 150)
    revision = store.changed_since(0)[2]
    median("data_version", store.data_version, 2000)
    median("changed_since, nothing changed", lambda: store.changed_since(revision), 2000)
    median("changed_since(0), 200 jobs", lambda: store.changed_since(0), 20)
    running = store.claim(jobs.pop().id, "")
    assert running is not None
    median("report", lambda: store.report(running.id, 1, Progress(1, 2, "B")), 500)

    def change() -> None:
        store.report(running.id, 1, Progress(time.time(), None, "B"))
        store.changed_since(store.changed_since(0)[2] - 1)

    median("report and changed_since with one change", change, 50)
    median("ensure_runner's question (is_locked)", lambda: is_locked(paths.runner_lock), 500)
    median("scan of /proc for job marks", lambda: marked_jobs(paths.jobs), 10)
    store.finish(running.id, 1, {})
    for job in store.unfinished():
        store.cancel(job.id)
    runner = Runner(paths, store, Machine(paths), print)
    median("one tick of a runner at rest", runner.tick, 200)
    store.close()


def _finish(store: Store, job_id: int) -> None:
    store.claim(job_id, "")
    store.finish(job_id, 1, {})


def measure_admission(paths: Paths) -> None:
    """One round with 100 queued jobs on 8 GPUs."""
    store = Store(paths)
    for _ in range(100):
        store.submit(JobRequest(Kind.SERVE, "m", {}, Needs("cuda", 90 * 10**9)))
    queued = store.unfinished()
    gpus = tuple(Gpu(index, "H100", 80 * 10**9, 60 * 10**9, 20 * 10**9) for index in range(8))
    around = Surroundings(Snapshot(host=Host(), gpus=gpus))
    median("admission of 100 queued jobs on 8 GPUs", lambda: decide(queued, [], around), 50)
    for job in queued:
        store.cancel(job.id)
    store.close()


def measure_idle_runner(paths: Paths, seconds: float) -> None:
    """A real runner with nothing to do."""
    os.environ["HEFT_RUNNER_IDLE"] = str(seconds + 30)
    ensure_runner(paths)
    while not is_locked(paths.runner_lock) or not paths.runner_lock.read_text().strip():
        time.sleep(0.05)
    time.sleep(2)
    process = Path("/proc") / paths.runner_lock.read_text().strip()
    before = _processor_seconds(process)
    time.sleep(seconds)
    used = _processor_seconds(process) - before
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    rollup = dict(line.split(":", 1) for line in (process / "smaps_rollup").read_text().splitlines()[1:])
    print(f"idle runner: {100 * used / seconds:.2f} % of one core over {seconds:.0f} s", end="; ")
    print(f"RSS {int(status['VmRSS'].split()[0]) / 1000:.1f} MB, PSS {int(rollup['Pss'].split()[0]) / 1000:.1f} MB")
    os.kill(int(process.name), 15)


def _processor_seconds(process: Path) -> float:
    words = (process / "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure everything in a fresh home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20, help="how long to watch the idle runner")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="heft-bench-") as home:
        os.environ["HEFT_HOME"] = home
        paths = Paths.from_environment().prepare()
        measure_store(paths)
        measure_admission(paths)
        measure_idle_runner(paths, options.seconds)


if __name__ == "__main__":
    main()
