"""What a host takes: the peak of this very process, written when it grows, and a real host's number in ``heft fit``."""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

import pytest

from tests.heft import Heft
from tui.fit.measured import MeasuredHere
from tui.paths import Paths
from tui.workers.memory_watch import MemoryWatch, resident_peak


def test_a_grown_peak_is_written_with_the_tokens_of_its_cache(paths: Paths) -> None:
    tokens = [0]
    watch = MemoryWatch(paths, "org/a", "cpu", 2048, lambda: tokens[0])
    watch.look()
    (first,) = MeasuredHere(paths).all()
    assert (first.build, first.device, first.context, first.tokens) == ("org/a", "cpu", 2048, 0)
    assert first.bytes == pytest.approx(resident_peak(), rel=0.02)
    block = mmap.mmap(-1, resident_peak())  # more than a process with a larger past peak could hide
    for place in range(0, len(block), mmap.PAGESIZE):
        block[place] = 1
    tokens[0] = 300
    watch.look()
    block.close()
    (second,) = MeasuredHere(paths).all()
    assert second.bytes > 1.05 * first.bytes and second.tokens == 300


def test_a_cache_that_was_cleared_does_not_take_the_peak_back(paths: Paths) -> None:
    tokens = [900]
    watch = MemoryWatch(paths, "org/a", "cpu", 2048, lambda: tokens[0])
    watch.start()
    tokens[0] = 0
    watch.close()
    assert [item.tokens for item in MeasuredHere(paths).all()] == [900]
    assert "memory" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.slow
def test_a_real_load_shows_up_in_fit_and_show(tmp_path: Path) -> None:
    heft = Heft(tmp_path / "home")
    assert heft.json("fit", "heft-starter")["measured"] is None
    try:
        heft.json("pull", "heft-starter")
        job = heft.json("serve", "heft-starter")
        assert heft("chat", "heft-starter", "What is GPTQ?", "--max-tokens", "40").code == 0
        heft.json("jobs", "cancel", str(job["id"]))
        heft.json("jobs", "wait", str(job["id"]), code=1)
        fit = heft.json("fit", "heft-starter")
        assert fit["measured"]["build"] == "heft-starter" and fit["measured"]["tokens"] >= 10
        # of so small a model nearly all is the process: what loading takes for a moment must have been given back
        assert fit["total"] / 1.3 < fit["measured"]["bytes"] < 1.05 * fit["total"]
        shown = heft.json("show", "heft-starter")
        assert any(each["measured"] for each in shown["fits"])
        assert "✓ measured here" in heft("fit", "heft-starter").out
    finally:
        heft.end_everything()
