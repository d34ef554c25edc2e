from __future__ import annotations

from dataclasses import replace

import pytest

from tui.hardware.snapshot import Disk, Gpu, GpuProcess, Host, Snapshot
from tui.ui.lines.hardware_lines import disk_lines, hardware_lines, hardware_title
from tui.ui.lines.meters import pair_text
from tui.ui.lines.span import plain, width_of

GB = 10**9
HOST = Host("box", "AMD EPYC", 16, 31.0, 2.5, 128 * GB, 90 * GB, 8 * GB, GB, 1.2e6, 3e5)
GPU = Gpu(
    0, "NVIDIA H200", 150 * GB, 52 * GB, 98 * GB, utilisation=54.0, temperature=41.0, power=312.0, power_limit=700.0,
    processes=(GpuProcess(4121, 44 * GB, "alice", "python train.py"), GpuProcess(77, 12 * GB, "me", "x", True, 3)),
)  # fmt: skip
SNAPSHOT = Snapshot(1.0, HOST, (GPU,), (Disk("builds", "/data", 500 * GB, 120 * GB),))


def text(snapshot: Snapshot, width: int = 60) -> str:
    return "\n".join(plain(row) for row in hardware_lines(snapshot, width, {"cpu": [1.0, 2.0]}))


@pytest.mark.parametrize("width", [38, 44, 60, 120])
def test_no_line_is_wider_than_the_pane(width: int) -> None:
    assert all(width_of(row) <= width for row in hardware_lines(SNAPSHOT, width, {}))


def test_a_gpu_shows_memory_load_sensors_and_who_holds_it() -> None:
    shown = text(SNAPSHOT)
    for part in ("H200", "98 / 150 GB", "54%", "41°C", "312/700 W", "4121 alice python train.py", "44.0 GB", "job 3"):
        assert part in shown
    assert next(row for row in shown.split("\n") if "job 3" in row).strip().startswith("◆")


def test_readings_that_the_driver_does_not_give_are_dashes() -> None:
    bare = Gpu(1, "NVIDIA T4", 16 * GB, 16 * GB, 0)
    shown = text(Snapshot(1.0, HOST, (bare,)))
    assert "—" in shown and "0%" not in shown.split("CPU")[0]


def test_without_a_gpu_it_says_why_and_what_that_means() -> None:
    shown = text(Snapshot(1.0, HOST, gpu_note="The NVIDIA driver is not loaded"), 200)
    assert "No GPU: the NVIDIA driver is not loaded. Models run on the CPU." in shown
    assert hardware_title(Snapshot(1.0, HOST)) == "CPU 31%"
    assert hardware_title(SNAPSHOT) == "GPU 54%"


def test_a_pair_of_sizes_has_one_unit() -> None:
    assert pair_text(1.6 * GB, 25.3 * GB) == "1.6 / 25.3 GB"
    assert pair_text(512e6, 150 * GB) == "1 / 150 GB"


def test_a_volume_that_holds_two_of_our_folders_is_shown_once() -> None:
    disks = (Disk("builds", "/a", 500 * GB, 120 * GB), Disk("downloads", "/b", 500 * GB, 120 * GB))
    assert text(Snapshot(1.0, HOST, disks=disks)).count("120 GB free") == 1


def eight(metric: str = "utilisation", width: int = 76, height: int = 20) -> list[str]:
    gpus = tuple(replace(GPU, index=number, utilisation=10.0 * number) for number in range(7))
    lost = Gpu(7, "NVIDIA H200", 0, 0, 0, error="the GPU is lost")
    machine = Snapshot(1.0, HOST, (*gpus, lost), driver="NVIDIA 580.95")
    return [plain(row) for row in hardware_lines(machine, width, {}, 300, metric=metric, height=height)]


def test_eight_gpus_get_a_line_each_where_blocks_have_no_room() -> None:
    rows = eight()
    assert [row[:1] for row in rows[1:9]] == list("01234567") and "H200" in rows[0]
    assert "98 / 150 GB" in rows[1] and "60%" in rows[7] and "41°C" in rows[7] and "312 W" in rows[7]
    assert "lost" in rows[8]
    assert sum("4121 alice python train.py" in row for row in rows) == 7
    assert all(len(row) <= 76 for row in rows)


def test_wide_panes_put_two_gpus_beside_each_other() -> None:
    rows = eight(width=190, height=60)
    assert any("GPU 0" in row and "GPU 1" in row for row in rows)
    assert "NVIDIA 580.95" in rows[-1]


@pytest.mark.parametrize(("metric", "words"), [("memory", "65%"), ("power", "312 W"), ("temperature", "41°C")])
def test_histories_can_show_another_reading(metric: str, words: str) -> None:
    shown = text(SNAPSHOT)
    assert words not in next(row for row in shown.split("\n") if row.startswith("use"))
    history = {f"gpu 0 {metric}": [1.0, 2.0]}
    rows = [plain(row) for row in hardware_lines(SNAPSHOT, 60, history, 300, metric=metric)]
    assert any(words in row and "▁" in row for row in rows) and metric in rows[-1]


def test_slices_hidden_gpus_and_unseen_processes_are_told() -> None:
    piece = replace(GPU, index=101, mig=True, parent=0, slice=1, processes=(GpuProcess(4121, 5 * GB),))
    far = replace(GPU, hidden=True, hidden_because="not given to you: CUDA_VISIBLE_DEVICES", processes=())
    shown = text(Snapshot(1.0, HOST, (piece, far)), 90)
    assert "GPU 0 slice 1" in shown and "MIG" in shown and "101" not in shown
    assert "4121 outside this container" in shown
    assert "not given to you" in shown


@pytest.mark.parametrize("width", [38, 44, 60, 74, 200])
def test_several_volumes_are_told_apart_by_whole_names(width: int) -> None:
    disks = tuple(Disk(name, f"/{name}", 500 * GB, free * GB) for name, free in (("builds", 9), ("downloads", 120)))
    rows = [plain(row) for row in disk_lines((*disks, Disk("state", "/s", 500 * GB, 9 * GB)), width)]
    assert [len(row) for row in rows] == [width] * 2
    assert "builds, state" in rows[0] and rows[0].endswith("9.00 GB free")
    assert "downloads" in rows[1] and rows[1].endswith("120 GB free")
    assert ("━" in rows[0]) == (width >= 44), "the name is worth more than a bar of a few cells"
