"""Who may start and why the others wait, without any process: rows and a look at the machine in, decisions out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tui.hardware.snapshot import Gpu, GpuProcess, Host, Snapshot
from tui.jobs.admission import STATE_FLOOR, Start, Surroundings, Volume, Wait, decide
from tui.jobs.job import Job, Kind, Needs, Progress, State
from tui.settings import DownloadSettings, Settings

GB = 1_000_000_000
NET = Needs(network=True)
_ids = itertools.count(1)


@pytest.fixture(autouse=True)
def count_from_one():
    global _ids
    _ids = itertools.count(1)


def job(kind=Kind.QUANTIZE, needs=None, state=State.QUEUED, device="", **fields) -> Job:
    blank = Job(
        id=next(_ids), key="", kind=kind, state=state, model="m", spec={}, needs=needs or Needs(), after=(), plan="",
        priority=0, want=None, attempt=0, deaths=0, device=device, progress=Progress(), waiting_because="",
        failure=None, result={}, created=datetime.now(UTC), started=None, ended=None, revision=1, folder=Path("/x"),
    )  # fmt: skip
    return replace(blank, **fields)


def cuda(gigabytes: float, device="cuda") -> Needs:
    return Needs(device=device, memory=int(gigabytes * GB))


def gpu(index=0, total=80.0, free=80.0, processes=(), **fields) -> Gpu:
    return Gpu(
        index, "NVIDIA H100", int(total * GB), int(free * GB), int((total - free) * GB), uuid=f"GPU-{index}",
        processes=tuple(processes), **fields,
    )  # fmt: skip


def machine(*gpus: Gpu, ram=64.0, available=64.0, note="", **fields) -> Surroundings:
    host = Host(memory_total=int(ram * GB), memory_available=int(available * GB))
    return Surroundings(snapshot=Snapshot(host=host, gpus=gpus, gpu_note=note), **fields)


def told(decisions) -> list[str]:
    """ "start 1 cuda:0" or "wait 2: reason"."""
    return [
        f"start {d.job.id} {d.device}".strip() if isinstance(d, Start) else f"wait {d.job.id}: {d.reason}"
        for d in decisions
    ]


def test_network_slots_in_order():
    queued = [job(Kind.DOWNLOAD, NET) for _ in range(4)]
    around = replace(machine(), settings=Settings(downloads=DownloadSettings(at_once=2)))
    taken = "2 of 2 network slots are taken by job 1 (download), job 2 (download)"
    assert told(decide(queued, [], around)) == ["start 1", "start 2", f"wait 3: {taken}", f"wait 4: {taken}"]


def test_running_downloads_hold_their_slots_and_need_no_device():
    running = job(Kind.DOWNLOAD, NET, State.RUNNING)
    quantizing = job(Kind.QUANTIZE, cuda(10), State.RUNNING, "cuda:0")
    around = replace(machine(gpu()), settings=Settings(downloads=DownloadSettings(at_once=1)))
    assert told(decide([job(Kind.DOWNLOAD, NET), job(Kind.DOWNLOAD)], [running, quantizing], around)) == [
        "wait 3: 1 of 1 network slots are taken by job 1 (download)",
        "start 4",
    ]


def test_the_reason_names_the_numbers_and_the_holder():
    around = machine(gpu(total=80, free=14.1, processes=[GpuProcess(4121, 44 * GB), GpuProcess(9, GB)]))
    assert told(decide([job(needs=cuda(19.2))], [], around)) == [
        "wait 1: GPU 0 has 14.1 GB of 19.2 GB needed; pid 4121 of another user holds 44.0 GB"
    ]


@pytest.mark.parametrize(
    "process, words",
    [
        (GpuProcess(5, 70 * GB, owner="alice"), "pid 5 of alice holds 70.0 GB"),
        (GpuProcess(5, 70 * GB, command="python", mine=True), "your process 5 (python) holds 70.0 GB"),
        (GpuProcess(5, 70 * GB, mine=True, job_id=1), "job 1 (serve) holds 70.0 GB"),
    ],
)
def test_the_holder_is_named_as_the_user_knows_it(process, words):
    host = job(Kind.SERVE, cuda(70), State.READY, "cuda:0")
    (decision,) = decide([job(needs=cuda(20))], [host], machine(gpu(free=10, processes=[process])))
    assert decision.reason == f"GPU 0 has 10.0 GB of 20.0 GB needed; {words}".replace(
        "10.0 GB of", ("10.0 GB of" if process.job_id else "0 B of")
    ) + ("" if process.job_id else "; running jobs will still take 10.0 GB")


def test_one_quantize_per_device_but_hosts_share_memory():
    queued = [job(needs=cuda(10)), job(needs=cuda(10)), job(Kind.SERVE, cuda(10)), job(Kind.EVALUATE, cuda(1))]
    assert told(decide(queued, [], machine(gpu()))) == [
        "start 1 cuda:0",
        "wait 2: job 1 (quantize) works on GPU 0; one at a time",
        "start 3 cuda:0",
        "wait 4: job 1 (quantize) works on GPU 0; one at a time",
    ]


def test_jobs_spread_over_gpus_and_a_named_gpu_is_kept():
    queued = [job(needs=cuda(10, "cuda:1")), job(needs=cuda(10)), job(needs=cuda(10, "cuda:1")), job(needs=cuda(5))]
    assert told(decide(queued, [], machine(gpu(0), gpu(1), gpu(2, free=20)))) == [
        "start 1 cuda:1",
        "start 2 cuda:0",
        "wait 3: job 1 (quantize) works on GPU 1; one at a time",
        "start 4 cuda:2",
    ]


def test_what_was_just_started_counts_before_the_driver_shows_it():
    queued = [job(Kind.SERVE, cuda(50)), job(Kind.SERVE, cuda(50))]
    assert told(decide(queued, [], machine(gpu(free=80)))) == [
        "start 1 cuda:0",
        "wait 2: GPU 0 has 30.0 GB of 50.0 GB needed; running jobs will still take 50.0 GB",
    ]


@pytest.mark.parametrize("shown", [GpuProcess(7, 30 * GB, mine=True, job_id=1), None])
def test_what_a_job_already_took_is_not_counted_twice(shown):
    """With 30 of its 50 GB taken it will still take 20, whether the driver names the process or only the sum."""
    loading = job(Kind.SERVE, cuda(50), State.RUNNING, "cuda:0")
    around = machine(gpu(free=50, processes=[shown] if shown else []))
    assert told(decide([job(Kind.SERVE, cuda(30))], [loading], around)) == ["start 2 cuda:0"]
    (decision,) = decide([job(Kind.SERVE, cuda(31))], [loading], around)
    assert "GPU 0 has 30.0 GB of 31.0 GB needed" in decision.reason


def test_a_large_job_is_not_starved_by_small_ones_behind_it():
    around = machine(gpu(free=40))
    queued = [job(Kind.SERVE, cuda(60)), job(Kind.SERVE, cuda(5)), job(Kind.DOWNLOAD, NET), job(needs=Needs("cpu"))]
    behind = "behind job 1 (serve), which waits for the memory of a GPU"
    assert told(decide(queued, [], around))[1:] == [f"wait 2: {behind}", "start 3", "start 4 cpu"]


def test_waiting_for_one_gpu_does_not_close_the_other():
    around = machine(gpu(0, free=5), gpu(1, free=40))
    queued = [job(Kind.SERVE, cuda(30, "cuda:0")), job(Kind.SERVE, cuda(2)), job(Kind.SERVE, cuda(2, "cuda:0"))]
    told_all = told(decide(queued, [], around))
    assert told_all[1] == "start 2 cuda:1"
    assert told_all[2] == "wait 3: behind job 1 (serve), which waits for the memory of a GPU"


def test_a_job_that_can_never_fit_holds_nobody_up():
    around = machine(gpu(total=24, free=24), ram=16, available=10)
    queued = [job(needs=cuda(48)), job(needs=cuda(5)), job(needs=Needs("cpu", 20 * GB)), job(needs=Needs("cpu", GB))]
    assert told(decide(queued, [], around)) == [
        "wait 1: GPU 0 has 24.0 GB in all, 48.0 GB needed: it will never fit",
        "start 2 cuda:0",
        "wait 3: the machine has 16.0 GB of 20.0 GB needed of RAM in all: it will never fit",
        "start 4 cpu",
    ]


def test_without_a_usable_gpu_the_reason_says_why():
    (decision,) = decide([job(needs=cuda(1))], [], machine(note="no NVIDIA driver is loaded"))
    assert decision.reason == "there is no GPU: no NVIDIA driver is loaded"
    (decision,) = decide([job(needs=cuda(1, "cuda:3"))], [], machine(gpu(0), gpu(1)))
    assert decision.reason == "there is no GPU 3; this machine has 2"
    (decision,) = decide([job(needs=cuda(1))], [], machine(gpu(error="GPU is lost")))
    assert decision.reason == "GPU 0 cannot be used: GPU is lost"
    (decision,) = decide([job(needs=cuda(1))], [], machine(gpu(hidden=True)))
    assert decision.reason == "GPU 0 cannot be used: CUDA_VISIBLE_DEVICES hides it"


def test_ram_counts_what_running_jobs_will_still_take():
    loading = job(Kind.SERVE, Needs("cpu", 8 * GB), State.RUNNING, "cpu")
    around = machine(ram=16, available=10, used={1: 3 * GB})
    assert told(decide([job(Kind.SERVE, Needs("cpu", 5 * GB))], [loading], around)) == ["start 2 cpu"]
    assert told(decide([job(Kind.SERVE, Needs("cpu", 6 * GB)), job(needs=Needs("cpu", 1))], [loading], around)) == [
        "wait 3: RAM: 5.00 GB of 6.00 GB needed; job 1 (serve) will still take 5.00 GB",
        "wait 4: behind job 3 (serve), which waits for RAM",
    ]


def test_disk_is_promised_and_too_little_of_it_holds_nobody_up():
    volumes = {"/a": Volume(1, 10 * GB, "/a"), "/b": Volume(1, 10 * GB, "/b"), "/c": Volume(2, 10 * GB, "/c")}
    running = job(
        Kind.DOWNLOAD, Needs(disk=6 * GB, disk_path="/a"), State.RUNNING, progress=Progress(2 * GB, 6 * GB, "B")
    )
    queued = [
        job(Kind.DOWNLOAD, Needs(disk=7 * GB, disk_path="/b")),
        job(Kind.DOWNLOAD, Needs(disk=5 * GB, disk_path="/b")),
        job(Kind.DOWNLOAD, Needs(disk=7 * GB, disk_path="/c")),
    ]
    assert told(decide(queued, [running], machine(volumes=volumes))) == [
        "wait 2: the disk of /b has 6.00 GB of 7.00 GB needed; 4.00 GB are promised to running jobs",
        "start 3",
        "start 4",
    ]


def test_a_download_that_was_cut_off_needs_room_for_its_rest_only():
    volumes = {"/a": Volume(1, 10 * GB, "/a")}
    cut_off = job(Kind.DOWNLOAD, Needs(disk=60 * GB, disk_path="/a"), progress=Progress(51 * GB, 60 * GB, "B"))
    assert told(decide([cut_off], [], machine(volumes=volumes))) == [f"start {cut_off.id}"]
    fresh = job(Kind.DOWNLOAD, Needs(disk=60 * GB, disk_path="/a"))
    assert "10.0 GB of 60.0 GB needed" in told(decide([fresh], [], machine(volumes=volumes)))[0]


def test_a_full_disk_stops_every_start_and_says_so():
    around = machine(state=Volume(1, STATE_FLOOR - 1, "/home"))
    assert told(decide([job(Kind.DOWNLOAD), job()], [], around)) == [
        f"wait {number}: the disk is full: 10.0 MB left on /home; nothing new starts" for number in (1, 2)
    ]


@pytest.mark.parametrize(
    "state, words",
    [
        (State.RUNNING, "needs job 1 (download), which is running"),
        (State.PAUSED, "needs job 1 (download), which is paused: resume that one"),
        (State.INTERRUPTED, "needs job 1 (download), which is interrupted: resume that one"),
        (State.DONE, ""),
    ],
)
def test_a_dependent_waits_for_what_it_needs(state, words):
    first = job(Kind.DOWNLOAD, state=state)
    (decision,) = decide([job(after=(1,))], [], machine(needed={1: first}))
    assert isinstance(decision, Wait) == bool(words)
    assert getattr(decision, "reason", "") == words


def test_a_job_that_the_runner_holds_back_waits_with_its_reason():
    assert told(decide([job()], [], machine(held={1: "killed by SIGKILL; it starts again in 3 s"}))) == [
        "wait 1: killed by SIGKILL; it starts again in 3 s"
    ]
