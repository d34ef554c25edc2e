"""What hosts measured: kept under a lock, found by build, device and context, and shown beside the estimate."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

from tui.fit.measured import MeasuredHere, device_kind
from tui.fit.precision import same_precision
from tui.fit.verdict import Measured
from tui.paths import Paths

ONE = Measured("org/a", "transformers", "cpu", 1024, 1_020_000_000, 1024, "resident memory", "2026-11-21T08:00:00Z")


def test_a_measurement_is_found_by_build_device_and_nearest_context(paths: Paths) -> None:
    here = MeasuredHere(paths)
    assert here.of(["org/a"], "cpu") is None
    other = replace(ONE, context=8192, bytes=2_000_000_000)
    for item in (ONE, other, replace(ONE, device="cuda", bytes=7)):
        here.record(item)
    assert here.of(["org/a"], "cpu", 1024) == ONE
    assert here.of(["org/b", "org/a"], "cpu", 6000) == other
    assert here.of(["org/b"], "cpu") is None and here.of(["org/a"], "cuda") == replace(ONE, device="cuda", bytes=7)
    assert ONE.words == "✓ measured here: 1.02 GB at 1,024 tokens"
    assert replace(ONE, tokens=0).words == "✓ measured here: 1.02 GB when it was loaded"


def test_the_load_that_filled_its_cache_most_is_kept(paths: Paths) -> None:
    here = MeasuredHere(paths)
    here.record(ONE)
    here.record(replace(ONE, tokens=0, bytes=500))
    assert here.all() == [ONE]
    newer = replace(ONE, bytes=900_000_000, at="2026-11-22T08:00:00Z")
    here.record(newer)
    assert here.all() == [newer]


def test_a_broken_or_foreign_file_is_no_measurement_and_is_replaced(paths: Paths) -> None:
    here = MeasuredHere(paths)
    for text in ("", "{", "{}", "[1, {}, null]", json.dumps([{"build": "x"}]), '[{"bytes": "many"}]'):
        paths.measurements.write_text(text)
        assert here.all() == []
    here.record(ONE)
    assert here.all() == [ONE]


def test_nothing_is_raised_where_nothing_can_be_written(paths: Paths) -> None:
    here = MeasuredHere(replace(paths, state=paths.state / "not" / "there"))
    here.record(ONE)
    assert here.all() == []


def test_hosts_that_write_at_once_lose_nothing(paths: Paths) -> None:
    code = (
        "import sys; from dataclasses import replace\n"
        "from tests.fit.test_measured import ONE\n"
        "from tui.fit.measured import MeasuredHere; from tui.paths import Paths\n"
        "here = MeasuredHere(Paths.from_environment())\n"
        "for number in range(20): here.record(replace(ONE, build=f'{sys.argv[1]}/{number}'))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, name]) for name in ("a", "b", "c")]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert len(MeasuredHere(paths).all()) == 60
    assert not list(paths.state.glob(".*"))


def test_devices_and_precisions_in_other_words() -> None:
    assert [device_kind(device) for device in ("RAM", "cpu", "GPU 0 NVIDIA L4", "cuda:0")] == [
        "cpu",
        "cpu",
        "cuda",
        "cuda",
    ]
    assert same_precision("bfloat16", "float16") and same_precision("gptq-4bit-g128", "gptq-4bit")
    assert not same_precision("gptq-4bit-g128", "gptq-8bit") and not same_precision("gptq-4bit-g128", "")
    assert not same_precision("float32", "float16")
