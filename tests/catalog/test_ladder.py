"""The ladder: what is here and measured, side by side, and drawn as text."""

from __future__ import annotations

from pathlib import Path

from tui.catalog.build import Build, Quality, Recipe
from tui.catalog.ladder import ladder_plot, rungs

WANTED = {bits: (f"m-{bits}", Recipe(bits=bits).label) for bits in (8, 4, 2)}


def build(name: str, quality: Quality | None = None, problem: str = "") -> Build:
    return Build(name, Path("/b") / name, "m", "float16", 900, quality=quality, problem=problem)


def quality(bits: int, after: float) -> Quality:
    return Quality(
        10.0, after, 100, size_before=1600, size_after=100 * bits, speed_before=20, speed_after=5 + bits, limit=0.1
    )


def test_the_original_is_the_first_rung_with_the_figures_before() -> None:
    found = rungs([build("m"), build("m-8", quality(8, 10.01)), build("m-2", quality(2, 30.0))], "m", WANTED)
    assert [(rung.bits, rung.here) for rung in found] == [(16, True), (8, True), (4, False), (2, True)]
    assert (found[0].size, found[0].perplexity, found[0].loss, found[0].speed) == (1600, 10.0, 0.0, 20)
    assert (found[1].size, round(found[1].loss or 0, 4), found[1].flagged) == (800, 0.001, False)
    assert (found[2].size, found[2].loss) == (None, None)
    assert found[3].flagged


def test_a_broken_or_unmeasured_build_has_no_figures() -> None:
    found = rungs([build("m-8", quality(8, 10.1), problem="torn"), build("m-4")], "m", WANTED)
    assert [(rung.bits, rung.here, rung.size) for rung in found[1:]] == [
        (8, False, None),
        (4, True, None),
        (2, False, None),
    ]
    assert ladder_plot(found) == []


def test_the_plot_puts_small_left_and_bad_high() -> None:
    builds = [
        build("m"),
        *(build(f"m-{bits}", quality(bits, after)) for bits, after in ((8, 10.0), (4, 10.3), (2, 30.0))),
    ]
    plot = ladder_plot(rungs(builds, "m", WANTED), 60, 8)
    assert all(len(row) <= 60 for row in plot)
    rows = {
        mark: next(at for at, row in enumerate(plot) if f"{mark}" in row.partition("│")[2]) for mark in ("2", "4", "16")
    }
    assert rows["2"] < rows["4"] < rows["16"]
    left = {mark: plot[row].index(mark, 10) for mark, row in rows.items()}
    assert left["2"] < left["4"] < left["16"]
    assert "+200.0%" in plot[1]
    assert plot[-1].strip().startswith("2 bits") and plot[-1].endswith("7.0")
