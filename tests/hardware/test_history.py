"""The past of the readings, and its picture in text."""

from __future__ import annotations

import pytest

from tui.hardware.history import LEVELS, History, readings, sparkline
from tui.hardware.snapshot import Gpu, Host, Snapshot


def at(seconds: float, cpu: float = 0.0, **gpu) -> Snapshot:
    gpus = (Gpu(index=0, name="x", total=100, free=40, used=60, **gpu),) if gpu else ()
    return Snapshot(taken=1_000_000.0 + seconds, host=Host(cpu_percent=cpu), gpus=gpus)


def filled(seconds: int, value=float) -> History:
    history = History()
    for second in range(seconds):
        history.add(at(second, value(second)))
    return history


def test_a_minute_comes_back_second_by_second():
    history = filled(100)
    assert history.series("cpu", 60) == [float(second) for second in range(40, 100)]


def test_a_narrow_series_holds_means():
    assert filled(60).series("cpu", 6) == [4.5, 14.5, 24.5, 34.5, 44.5, 54.5]


def test_what_was_not_read_is_none():
    history = filled(20)
    series = history.series("cpu", 60)
    assert series[:40] == [None] * 40 and None not in series[40:]
    assert history.series("gpu 0 power", 10) == [None] * 10


def test_a_pause_stays_a_hole():
    history = filled(20)
    for second in range(50, 60):
        history.add(at(second, 1.0))
    series = history.series("cpu", 60)
    assert series[20:50] == [None] * 30 and series[50:] == [1.0] * 10


def test_an_hour_is_kept_coarsely_and_the_memory_is_bounded():
    history = filled(2 * 3600, lambda second: 0.0 if second < 5400 else 80.0)
    hour = history.series("cpu", 60, 3600)
    assert hour[:28] == [0.0] * 28 and hour[-28:] == [80.0] * 28
    assert sum(len(level.points) for level in history._levels) <= sum(count for _, count in LEVELS)


@pytest.mark.parametrize("seconds", [60, 180, 300, 900, 1200, 3600])
@pytest.mark.parametrize("width", [7, 30, 60, 120])
def test_every_span_and_width_is_without_holes(seconds, width):
    series = filled(4000, lambda second: 50.0).series("cpu", width, seconds)
    assert len(series) == width and series.count(None) <= 1 and set(series) - {None} == {50.0}


def test_spans_are_held_to_a_minute_and_an_hour():
    history = filled(4000)
    assert history.series("cpu", 10, 1) == history.series("cpu", 10, 60)
    assert history.series("cpu", 10, 1e9) == history.series("cpu", 10, 3600)


def test_a_clock_that_is_set_back_starts_anew():
    history = filled(30)
    history.add(at(-5000, 7.0))
    assert [value for value in history.series("cpu", 60) if value is not None] == [7.0]


def test_several_looks_within_a_second_are_averaged():
    history = History()
    for value in (10.0, 20.0, 60.0):
        history.add(at(5 + value / 1000, value))
    assert history.series("cpu", 60)[-1] == pytest.approx(30.0)


def test_readings_leave_out_what_a_gpu_does_not_give():
    found = readings(at(0, utilisation=30.0, power=None))
    assert found["gpu 0 memory"] == 60.0 and found["gpu 0 utilisation"] == 30.0 and "gpu 0 power" not in found
    lost = Snapshot(gpus=(Gpu(index=1, name="x", total=0, free=0, used=0, error="lost"),))
    assert not [name for name in readings(lost) if name.startswith("gpu")]
    history = History()
    history.add(at(0, utilisation=1.0))
    assert "gpu 0 utilisation" in history.names()


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ([0, 12.5, 25, 37.5, 50, 62.5, 75, 87.6, 100], 9, "▁▁▂▃▄▅▆██"),
        ([100], 4, "   █"),
        ([], 3, "   "),
        ([-5, 500], 2, "▁█"),
        ([None, 100, None], 3, " █ "),
        ([0, 0, 100, 100], 2, "▁█"),
        ([float("nan"), 50], 2, " ▄"),
        ([1, 2], 0, ""),
    ],
)
def test_sparkline(values, width, expected):
    assert sparkline(values, width, 0, 100) == expected


def test_a_flat_range_draws_the_lowest_bar():
    assert sparkline([5, 5, 5], 3, 5, 5) == "▁▁▁"
