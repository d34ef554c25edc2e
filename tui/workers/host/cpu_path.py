"""Which way of multiplying is the fastest on this processor: measured once for a width and kept.

float32, float16 in FBGEMM's packing and the compiled products give the same logits. Where the processor has
instructions for it, the bfloat16 that the checkpoint is stored in takes part too; it rounds activations, so it must be
much faster, and so must float32, which takes twice the memory. A machine that others use too makes single measurements
wrong, so where another than the leanest comes out first, all are measured once more.

Nobody waits for that where the compiled products are there: they are taken unmeasured, and the others are held against
them while the host has nothing to do, for the next load.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.workers.host.compiled.library import loaded
from tui.workers.host.engine import BrokenOff
from tui.workers.host.linears import Linear, linear_of, packs
from tui.workers.weights import release_memory

OUT_OF_CACHE = 96_000_000
"""Bytes of weights that are gone through, so that they come from memory as they do in a model."""

READ_PER_WRITTEN = 4
"""Tokens of prompt per token written in a usual chat."""

CHUNK = 64
MUCH = 1.5
BLOCK = 512
"""Columns that FBGEMM packs together."""


@dataclass(frozen=True, slots=True)
class CpuPath:
    """The chosen ``kind`` and the seconds per token of each that was measured, for one matrix."""

    kind: str
    seconds: dict[str, float]
    remembered: bool

    @property
    def note(self) -> str:
        """The choice in words."""
        if not self.seconds:
            return f"linear layers in {self.kind}: not measured here yet, and exact"
        others = ", ".join(f"{kind} {1e6 * value:.0f} us" for kind, value in sorted(self.seconds.items()))
        when = "measured earlier on this processor" if self.remembered else "measured now"
        return f"linear layers in {self.kind}: the fastest here ({when}: {others} for one matrix and token)"


class CpuPaths:
    """The ways for a model of ``config`` stored in 16 bits; ``file`` keeps what was measured.

    ``bfloat16`` tells whether the processor computes in it and the checkpoint is stored in it.
    """

    def __init__(self, config: Any, file: Path, *, bfloat16: bool) -> None:
        import torch

        text = config.get_text_config(decoder=True)
        self._width = width = int(getattr(text, "hidden_size", 0) or 1024)
        self._wide = wide = int(getattr(text, "intermediate_size", 0) or 4 * width)
        compiled = loaded() is not None
        whole_blocks = width % BLOCK == 0  # else FBGEMM takes more memory than the checkpoint's own 16 bits
        ways = (("float16", packs() and (whole_blocks or not compiled)), ("compiled", compiled), ("bfloat16", bfloat16))
        self._kinds = ["float32", *(kind for kind, can in ways if can)]
        self._file = file
        self._stored = "bfloat16" if str(getattr(text, "dtype", None)).endswith("bfloat16") else "float16"
        threads, size = torch.get_num_threads(), f"{self._stored} {wide}x{width}"
        self._key = f"{_processor()} | torch {torch.__version__} | {threads} threads | {size}"

    def choose(self) -> CpuPath:
        """The fastest one as far as it is known; measured now where the ways differ in memory."""
        if len(self._kinds) == 1:
            return CpuPath("float32", {}, False)
        known = _read(self._file).get(self._key)
        if isinstance(known, dict) and set(known) == set(self._kinds):
            return CpuPath(best_of(known), known, True)
        if "compiled" in self._kinds:
            return CpuPath("compiled", {}, False)
        return self.measure(lambda: False)

    def measure(self, unwanted: Callable[[], bool]) -> CpuPath:
        """Measure all and keep it; raises ``BrokenOff`` as soon as ``unwanted()`` holds."""
        kinds, wide, width = self._kinds, self._wide, self._width
        seconds = _measured(kinds, wide, width, self._stored, unwanted)
        if best_of(seconds) != leanest(seconds):
            again = _measured(kinds, wide, width, self._stored, unwanted)
            seconds = {kind: min(first, again[kind]) for kind, first in seconds.items()}
        _write(self._file, {**_read(self._file), self._key: seconds})
        return CpuPath(best_of(seconds), seconds, False)


def best_of(seconds: dict[str, float]) -> str:
    """The fastest kind, where those that cost memory or precision must be worth it."""
    return min(seconds, key=lambda kind: seconds[kind] * (1.0 if kind == leanest(seconds) else _PRICE[kind]))


_PRICE = {"float16": 1.0, "float32": 2.0, "bfloat16": MUCH}


def leanest(kinds: Iterable[str]) -> str:
    """The kind among ``kinds`` that is exact and takes the least memory."""
    known = set(kinds)
    return next(kind for kind in ("compiled", "float16", "float32") if kind in known)


def _measured(
    kinds: Sequence[str], rows: int, columns: int, stored: str, unwanted: Callable[[], bool]
) -> dict[str, float]:
    found = {}
    for kind in kinds:
        try:
            found[kind] = round(per_token(kind, rows, columns, stored, unwanted), 9)
        finally:
            release_memory()  # or loading a small model takes what it measures with for every kind at once
    return found


def per_token(kind: str, rows: int, columns: int, stored: str, unwanted: Callable[[], bool] = lambda: False) -> float:
    """Seconds for one written token, and its share of read ones, through a matrix of ``rows`` x ``columns``.

    Its values are ``stored`` as "bfloat16" or "float16".
    """
    import torch

    def look() -> None:
        if unwanted():
            raise BrokenOff

    def copy() -> Linear:
        look()
        return linear_of([_copied(layer) if kind == "float32" else layer], kind)

    size = rows * columns * (4 if kind == "float32" else 2)
    layer = torch.nn.Linear(columns, rows, bias=False)
    with torch.inference_mode():
        values = layer.weight.to(getattr(torch, stored)).half()  # what every kind can hold
        layer.weight.data = values.float()
        copies = [copy() for _ in range(max(2, -(-OUT_OF_CACHE // size)))]
        dtype = torch.bfloat16 if kind == "bfloat16" else torch.float32
        one = _best_pass(copies, torch.randn(1, columns, dtype=dtype), 5, look)
        many = _best_pass(copies[:2], torch.randn(CHUNK, columns, dtype=dtype), 2, look) / CHUNK
    return one + READ_PER_WRITTEN * many


def _best_pass(copies: Sequence[Linear], inputs: Any, repeat: int, look: Callable[[], None]) -> float:
    best = float("inf")
    for _ in range(repeat):
        look()
        started = time.perf_counter()
        for multiply in copies:
            multiply(inputs)
        best = min(best, (time.perf_counter() - started) / len(copies))
    return best


def _copied(layer: Any) -> Any:
    from copy import deepcopy

    return deepcopy(layer)


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, value: dict[str, Any]) -> None:
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        beside.write_text(json.dumps(value, indent=1), encoding="utf-8")
        beside.replace(file)
