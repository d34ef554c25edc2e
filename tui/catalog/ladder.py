"""The ladder: one model in 16, 8, 4, 3 and 2 bits, side by side. "What do I lose?" as a table and as a text plot.

Pure: it reads what the builds on this disk say about themselves; ``jobs/ladder.py`` asks for those that are missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.catalog.build import Build
from tui.quantities import bytes_text

LADDER_BITS = (8, 4, 3, 2)
ORIGINAL_BITS = 16
_FULL = "█"
_AXIS = "│"


@dataclass(frozen=True, slots=True)
class BitRung:
    """One precision of the model. ``name`` is the build's id, ``label`` its precision; figures are None until it is
    made and measured: ``size`` and ``memory`` in bytes, ``loss`` as a share of perplexity, ``speed`` in tokens/s."""

    bits: int
    label: str
    name: str
    here: bool = False
    size: int | None = None
    perplexity: float | None = None
    loss: float | None = None
    kl_divergence: float | None = None
    top1_agreement: float | None = None
    speed: float | None = None
    memory: int | None = None
    flagged: bool = False


def rungs(builds: Sequence[Build], original: str, wanted: Mapping[int, tuple[str, str]]) -> list[BitRung]:
    """The ladder from most to fewest bits. ``original`` is the id of the 16-bit build, ``wanted`` maps bits to the id
    and the label of the build that is that rung."""
    known = {build.id: build for build in builds if not build.problem}
    found = []
    for bits, (name, label) in wanted.items():
        build = known.get(name)
        quality = build.quality if build else None
        if build is None or quality is None:
            found.append(BitRung(bits, label, name, build is not None))
            continue
        found.append(
            BitRung(
                bits,
                label,
                name,
                here=True,
                size=quality.size_after or build.bytes,
                perplexity=quality.perplexity_after,
                loss=quality.relative_loss,
                kl_divergence=quality.kl_divergence,
                top1_agreement=quality.top1_agreement,
                speed=quality.speed_after,
                memory=quality.memory_after,
                flagged=quality.is_flagged,
            )
        )
    return [_first(known, original, [name for name, _ in wanted.values()]), *found]


def _first(known: Mapping[str, Build], original: str, names: Sequence[str]) -> BitRung:
    source = known.get(original)
    rung = BitRung(ORIGINAL_BITS, source.precision if source else "16-bit", original, source is not None)
    quality = next((known[name].quality for name in names if name in known and known[name].quality), None)
    if quality is None:
        return rung
    return BitRung(
        ORIGINAL_BITS,
        rung.label or "16-bit",
        original,
        here=rung.here,
        size=quality.size_before,
        perplexity=quality.perplexity_before,
        loss=0.0,
        kl_divergence=0.0,
        top1_agreement=1.0,
        speed=quality.speed_before,
        memory=quality.memory_before,
    )


def ladder_plot(found: Sequence[BitRung], width: int = 64, height: int = 8) -> list[str]:
    """Size (right: larger) against loss of perplexity (up: worse) with the bits as marks, then a bar of speed per
    rung. Losses are drawn on a logarithmic scale from 0.1 %; empty when fewer than two rungs are measured."""
    measured = [rung for rung in found if rung.size and rung.loss is not None]
    if len(measured) < 2:
        return []
    return [*_scatter(measured, width, height), "", *_bars(measured, width)]


def _scatter(measured: Sequence[BitRung], width: int, height: int) -> list[str]:
    edge = 9
    room = max(16, width - edge - 3)
    largest = max(rung.size or 0 for rung in measured)
    worst = max(_height(rung.loss) for rung in measured) or 1.0
    grid = [[" "] * (room + 3) for _ in range(height)]
    for rung in measured:
        mark = str(rung.bits)
        across = round((rung.size or 0) / largest * (room - 1))
        up = round(_height(rung.loss) / worst * (height - 1))
        row = grid[height - 1 - up]
        while any(cell != " " for cell in row[across : across + len(mark)]) and across + len(mark) < len(row):
            across += 1
        row[across : across + len(mark)] = mark
    top = max(rung.loss or 0.0 for rung in measured)
    labels = {0: f"{top:+.1%}", height - 1: "0%"}
    rows = [f"{labels.get(at, ''):>{edge - 1}} {_AXIS}{''.join(row).rstrip()}" for at, row in enumerate(grid)]
    rows.append(" " * edge + "└" + "─" * room)
    foot = f"size, up to {bytes_text(largest)}"
    return ["perplexity lost", *rows, " " * edge + " " + foot.rjust(room)]


def _height(loss: float | None) -> float:
    return max(0.0, math.log10(max(loss or 0.0, 0.001)) + 3)


def _bars(measured: Sequence[BitRung], width: int) -> list[str]:
    fastest = max((rung.speed or 0.0 for rung in measured), default=0.0)
    if not fastest:
        return []
    room = max(8, width - 26)
    rows = []
    for rung in measured:
        bar = _FULL * max(1 if rung.speed else 0, round((rung.speed or 0.0) / fastest * room))
        rows.append(f"{rung.bits:>5} bits {_AXIS}{bar} {'—' if rung.speed is None else f'{rung.speed:.1f}'}")
    return ["tokens per second", *rows]
