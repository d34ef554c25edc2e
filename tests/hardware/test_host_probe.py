"""The host: what control groups leave, rates over time, disks of folders that are not there yet."""

from __future__ import annotations

import os
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from tui.hardware.host_probe import (
    HostProbe,
    bounded_memory,
    computes_bfloat16,
    cpu_name,
    process_facts,
    read_disks,
    usable_processors,
)
from tui.hardware.probe import Probe
from tui.hardware.snapshot import Snapshot
from tui.paths import Paths

GB = 10**9


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_without_limits_the_machines_own_numbers_hold(tmp_path):
    assert bounded_memory(tmp_path, 64 * GB, 40 * GB) == (64 * GB, 40 * GB)


def test_a_version_2_group_bounds_memory_and_its_cache_counts_as_free(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/user.slice/job\n",
            "sys/fs/cgroup/user.slice/job/memory.max": f"{8 * GB}\n",
            "sys/fs/cgroup/user.slice/job/memory.current": f"{5 * GB}\n",
            "sys/fs/cgroup/user.slice/job/memory.stat": f"anon {3 * GB}\ninactive_file {2 * GB}\n",
        },
    )
    assert bounded_memory(root, 64 * GB, 40 * GB) == (8 * GB, 5 * GB)


def test_the_tightest_group_above_counts(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/memory.max": f"{4 * GB}\n",
            "sys/fs/cgroup/a/memory.current": f"{1 * GB}\n",
            "sys/fs/cgroup/a/b/memory.max": "max\n",
            "sys/fs/cgroup/a/b/memory.current": "1\n",
        },
    )
    assert bounded_memory(root, 64 * GB, 40 * GB) == (4 * GB, 3 * GB)


def test_a_container_finds_its_own_group_at_the_mount_point(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/../../docker/abc\n",
            "sys/fs/cgroup/memory.max": f"{6 * GB}\n",
            "sys/fs/cgroup/memory.current": f"{2 * GB}\n",
        },
    )
    assert bounded_memory(root, 64 * GB, 40 * GB) == (6 * GB, 4 * GB)


def test_version_1_groups_and_their_no_limit(tmp_path):
    files = {
        "proc/self/cgroup": "4:memory:/jobs/17\n1:cpu,cpuacct:/\n0::/\n",
        "sys/fs/cgroup/memory/jobs/17/memory.limit_in_bytes": "9223372036854771712\n",
        "sys/fs/cgroup/memory/jobs/17/memory.usage_in_bytes": f"{3 * GB}\n",
    }
    assert bounded_memory(write(tmp_path, files), 64 * GB, 40 * GB) == (64 * GB, 40 * GB)
    files["sys/fs/cgroup/memory/jobs/17/memory.limit_in_bytes"] = f"{16 * GB}\n"
    files["sys/fs/cgroup/memory/jobs/17/memory.stat"] = f"total_inactive_file {GB}\n"
    assert bounded_memory(write(tmp_path, files), 64 * GB, 40 * GB) == (16 * GB, 14 * GB)


def test_available_is_never_more_than_the_machine_has_free(tmp_path):
    files = {
        "proc/self/cgroup": "0::/\n",
        "sys/fs/cgroup/memory.max": f"{32 * GB}",
        "sys/fs/cgroup/memory.current": "0",
    }
    assert bounded_memory(write(tmp_path, files), 64 * GB, 5 * GB) == (32 * GB, 5 * GB)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"sys/fs/cgroup/cpu.max": "100000 100000"}, 1),
        ({"sys/fs/cgroup/cpu.max": "50000 100000"}, 1),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, None),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "90000", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000"}, 1),
    ],
)
def test_processor_quotas(tmp_path, files, expected):
    root = write(tmp_path, {"proc/self/cgroup": "1:cpu:/\n0::/\n", **files})
    assert usable_processors(root) == (expected or len(os.sched_getaffinity(0)))


def test_the_processors_name_comes_from_the_kernel(tmp_path):
    info = write(tmp_path, {"cpuinfo": "processor : 0\nmodel name\t: AMD EPYC 9654\x1b[31m 96-Core\n"}) / "cpuinfo"
    assert cpu_name(info) == "AMD EPYC 9654\ufffd[31m 96-Core"
    assert cpu_name(tmp_path / "nothing")  # the platform's word for it


def test_bfloat16_instructions_are_recognised(tmp_path):
    with_it = write(tmp_path, {"a": "flags\t\t: fpu avx2 avx512f avx512_bf16\n"}) / "a"
    without = write(tmp_path, {"b": "flags\t\t: fpu avx2 fma\n"}) / "b"
    assert computes_bfloat16(with_it) and not computes_bfloat16(without) and not computes_bfloat16(tmp_path / "c")


def test_rates_and_percentages_are_over_the_time_between_two_looks():
    times = namedtuple("times", "user nice system idle iowait irq softirq steal guest guest_nice")
    now = [10.0]
    probe = HostProbe(clock=lambda: now[0])

    def look(user: float, idle: float, received: int) -> tuple[float, float]:
        probe._update_cpu(now[0], times(user, 0, 0, idle, 0, 0, 0, 0, user, 0))
        probe._update_network(now[0], SimpleNamespace(bytes_recv=received, bytes_sent=0))
        return probe._cpu_percent, probe._network_rates[0]

    assert look(100, 900, 5000) == (0.0, 0.0)
    now[0] += 2
    assert look(103, 901, 9000) == (75.0, 2000.0)
    now[0] += 0.1
    assert look(103, 901, 900_000) == (75.0, 2000.0)  # too short a span to say anything new
    now[0] += 2
    assert look(103, 905, 100) == (0.0, 0.0)  # a counter that went back is not a negative rate


def test_disks_of_folders_that_are_not_there_yet(tmp_path):
    (disk,) = read_disks([("builds", tmp_path / "not" / "yet")])
    real = os.statvfs(tmp_path)
    assert (disk.label, disk.path) == ("builds", str(tmp_path / "not" / "yet"))
    assert disk.total == real.f_blocks * real.f_frsize and 0 < disk.free <= disk.total


def test_facts_of_this_process_and_of_none():
    owner, command, mine = process_facts(os.getpid())
    assert owner and "python" in command.lower() and mine
    assert process_facts(2**22 + 1) == ("", "", False)


def test_a_snapshot_of_this_machine(paths: Paths):
    probe = Probe(paths)
    seen = probe.snapshot()
    assert seen.host.memory_total > seen.host.memory_available > 0
    assert seen.host.cpu_count >= 1 and seen.host.hostname and seen.host.cpu_name
    assert [disk.label for disk in seen.disks] == ["builds", "downloads", "state"]
    assert seen.gpus or seen.gpu_note
    probe.close()


def test_a_broken_sensor_leaves_the_others_standing(paths: Paths):
    class Broken(HostProbe):
        def read(self):
            raise OSError("no /proc")

    class BrokenGpus:
        driver = ""

        def read(self):
            raise ValueError("nonsense from the driver")

        def close(self):
            raise ValueError("nonsense from the driver")

    seen = Probe(paths, host=Broken(), nvidia=BrokenGpus()).snapshot()
    assert seen.host == Snapshot().host and seen.gpus == () and seen.gpu_note == "the GPUs could not be read"
    assert len(seen.disks) == 3
    Probe(host=Broken(), nvidia=BrokenGpus()).close()
