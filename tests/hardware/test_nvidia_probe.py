"""NVIDIA GPUs read through the real bindings from a fake driver library: every reading can be missing."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

import pytest

from tests.fake_nvml import GB, FakeGpu, FakeProcess, eight_gpus

LOST = 15


def test_one_gpu_shows_every_reading(watch):
    gpu = FakeGpu(used=12 * GB, utilisation=73, temperature=61, power=412_500, clock=1755)
    seen = watch(gpu, driver="580.95.05").look()
    (row,) = seen.gpus
    assert (row.index, row.name, row.uuid[:12]) == (0, "NVIDIA H100 80GB HBM3", "GPU-00000000")
    assert (row.total, row.used, row.reserved) == (gpu.total, 12 * GB, gpu.reserved)
    assert row.free == gpu.total - 12 * GB - gpu.reserved
    assert (row.utilisation, row.temperature, row.power, row.power_limit) == (73.0, 61.0, 412.5, 700.0)
    assert (row.clock_mhz, row.compute_capability) == (1755, [9, 0])
    assert (row.error, row.mig, row.processes) == ("", False, [])
    assert (seen.driver, seen.gpu_note) == ("NVIDIA 580.95.05", "")


def test_eight_gpus_keep_their_order_and_a_lost_one_keeps_its_place(watch):
    seen = watch(*eight_gpus()).look()
    assert [gpu.index for gpu in seen.gpus] == list(range(8))
    assert [bool(gpu.error) for gpu in seen.gpus] == [False] * 7 + [True]
    assert "lost" in seen.gpus[7].error
    assert seen.gpus[0].processes[0].used == 44 * GB


def test_no_gpu_and_every_failed_start_are_said_in_words(watch):
    assert watch().look().gpu_note == "the NVIDIA driver is loaded, but it shows no GPU"
    for code, words in {
        18: "driver and library versions differ: reboot or reload the driver",
        9: "installed but not loaded",
        4: "may not talk to the NVIDIA driver",
        999: "unknown error",
        23: "does not answer",
    }.items():
        seen = watch(FakeGpu(), init=code).look()
        assert seen.gpus == [] and words in seen.gpu_note


def test_a_driver_that_comes_back_is_found_again(watch):
    watcher = watch(FakeGpu(), init=18)
    assert watcher.look().gpus == []
    watcher.show(FakeGpu())
    assert watcher.look().gpus == []  # a failed start is believed for a while
    watcher.wait(20)
    seen = watcher.look()
    assert len(seen.gpus) == 1 and seen.gpu_note == ""


def test_a_driver_that_is_reloaded_while_we_look(watch):
    watcher = watch(FakeGpu(), FakeGpu())
    assert len(watcher.look().gpus) == 2
    watcher.show(init=18)
    seen = watcher.look()
    assert seen.gpus == [] and "versions differ" in seen.gpu_note and seen.driver == ""


def test_a_machine_without_the_library(tmp_path):
    try:
        ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        pass
    else:
        pytest.skip("this machine has an NVIDIA driver")
    from tui.hardware.nvidia_probe import NvidiaProbe

    assert NvidiaProbe().read() == ((), "no NVIDIA driver on this machine")


@pytest.mark.parametrize("field", ["utilisation", "temperature", "power", "power_limit"])
def test_a_reading_that_is_not_supported_is_none_and_the_others_stay(watch, field):
    (row,) = watch(FakeGpu(utilisation=50, na=(field,))).look().gpus
    others = {"utilisation", "temperature", "power", "power_limit"} - {field}
    assert getattr(row, field) is None
    assert all(getattr(row, name) is not None for name in others)


def test_names_capability_processes_and_clock_may_be_missing_too(watch):
    busy = (FakeProcess(1, GB),)
    gpu = FakeGpu(na=("name", "uuid", "capability", "clock", "processes", "mig"), processes=busy)
    (row,) = watch(gpu).look().gpus
    assert (row.name, row.uuid, row.compute_capability, row.clock_mhz, row.processes) == ("GPU 0", "", None, None, [])
    assert row.total == gpu.total


def test_an_old_driver_counts_what_it_reserves_as_used(watch):
    gpu = FakeGpu(used=2 * GB, processes=(FakeProcess(77, GB),))
    (row,) = watch(gpu, old=True).look().gpus
    assert (row.used, row.reserved) == (2 * GB + gpu.reserved, 0)
    assert row.free == gpu.total - 2 * GB - gpu.reserved
    assert [process.pid for process in row.processes] == [77]


def test_a_gpu_without_memory_of_its_own_has_the_machines(watch):
    seen = watch(FakeGpu(name="NVIDIA GB10", na=("memory",))).look()
    (row,) = seen.gpus
    assert row.unified and row.total == seen.host.memory_total and row.free == seen.host.memory_available


def test_mig_slices_stand_in_for_their_gpu(watch):
    name = "NVIDIA H100 80GB HBM3 MIG 3g.40gb"
    small = FakeGpu(name=name, total=40 * GB, reserved=0, processes=(FakeProcess(88, 3 * GB),), used=3 * GB)
    seen = watch(FakeGpu(), FakeGpu(slices=(small, FakeGpu(name=name, total=40 * GB, reserved=0)))).look()
    assert [(gpu.index, gpu.parent, gpu.slice, gpu.mig) for gpu in seen.gpus] == [
        (0, None, None, False),
        (200, 1, 0, True),
        (201, 1, 1, True),
    ]
    assert seen.gpus[1].uuid.startswith("MIG-") and seen.gpus[1].uuid != seen.gpus[2].uuid
    assert (seen.gpus[1].free, seen.gpus[2].free) == (37 * GB, 40 * GB)
    assert seen.gpus[1].utilisation is None  # NVML does not give it for slices
    assert [process.pid for process in seen.gpus[1].processes] == [88] and seen.gpus[2].processes == []


def test_a_gpu_that_is_lost_while_we_look_keeps_its_name_and_comes_back(watch):
    watcher = watch(FakeGpu(), FakeGpu(name="NVIDIA L4"))
    before = watcher.look().gpus[1]
    watcher.show(FakeGpu(used=5 * GB), FakeGpu(name="NVIDIA L4", error=LOST))
    kept, lost = watcher.look().gpus
    assert kept.used == 5 * GB and kept.error == ""
    assert (lost.name, lost.uuid, lost.total) == ("NVIDIA L4", before.uuid, 0) and "reset it or reboot" in lost.error
    watcher.show(FakeGpu(), FakeGpu(name="NVIDIA L4"))
    assert [gpu.error for gpu in watcher.look().gpus] == ["", ""]


def test_slow_readings_are_kept_and_fast_ones_are_not(watch):
    watcher = watch(FakeGpu(utilisation=10, power=100_000))
    watcher.look()
    watcher.show(FakeGpu(utilisation=90, power=500_000, used=GB, processes=(FakeProcess(9, GB),)))
    (row,) = watcher.look().gpus
    assert (row.utilisation, row.used, row.power, row.processes) == (90.0, GB, 100.0, [])
    watcher.wait(3)
    (row,) = watcher.look().gpus
    assert (row.power, len(row.processes)) == (500.0, 1)


def test_processes_have_owners_commands_and_jobs(watch):
    mine = subprocess.Popen(["sleep", "60"])
    other = None
    try:
        processes = [FakeProcess(mine.pid, 4 * GB), FakeProcess(2**22 + 5, 6 * GB), FakeProcess(mine.pid, 1, True)]
        if os.getuid() == 0:
            other = subprocess.Popen(["sleep", "61"], user=65534)
            processes.append(FakeProcess(other.pid, None))
        watcher = watch(FakeGpu(used=12 * GB, processes=tuple(processes)))
        watcher.job(mine.pid, 7)
        rows = {process.pid: process for process in watcher.look().gpus[0].processes}
        assert (rows[mine.pid].command, rows[mine.pid].mine, rows[mine.pid].job_id) == ("sleep 60", True, 7)
        assert rows[mine.pid].used == 4 * GB  # it draws and computes: counted once, at its larger number
        unknown = rows[2**22 + 5]  # a pid of another container: nothing can be told about it
        assert (unknown.owner, unknown.command, unknown.mine, unknown.used) == ("", "", False, 6 * GB)
        if other is not None:
            assert rows[other.pid].mine is False and rows[other.pid].used is None
            assert rows[other.pid].owner in ("nobody", "65534")
    finally:
        for process in (mine, other):
            if process is not None:
                process.kill()
                process.wait()


def test_the_command_of_a_process_cannot_draw_on_the_screen(watch):
    hostile = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()", "\x1b[2Jgone\u202e"], stdin=-1)
    try:
        seen = watch(FakeGpu(processes=(FakeProcess(hostile.pid, GB),))).look()
        command = seen.gpus[0].processes[0].command
        assert "\x1b" not in command and "\u202e" not in command and "gone" in command
    finally:
        hostile.kill()
        hostile.communicate()


@pytest.mark.parametrize(
    ("visible", "hidden"),
    [
        ("1", [True, False, True]),
        ("2,0", [False, True, False]),
        ("GPU-00000002", [True, True, False]),
        ("", [True, True, True]),
        ("-1", [True, True, True]),
        ("0,nonsense,2", [False, True, True]),
    ],
)
def test_what_cuda_hides_is_marked(watch, visible, hidden):
    seen = watch(FakeGpu(), FakeGpu(), FakeGpu(), extra={"CUDA_VISIBLE_DEVICES": visible}).look()
    assert [gpu.hidden for gpu in seen.gpus] == hidden


def test_importing_and_making_a_probe_loads_no_library():
    code = "import sys; from tui.hardware.probe import Probe; Probe()"
    code += "; print([name in sys.modules for name in ('psutil', 'pynvml')])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert answer.strip() == "[False, False]"
