"""What a host really takes, measured while it runs and kept for the next estimate.

On a CPU it is the peak of resident memory since the model was loaded, which the kernel keeps: what loading only passed
through (pages of the checkpoint while its layers are packed) can be dropped and is not counted. On a GPU it is what
NVML says this process holds, or the allocator's peak where a container hides processes from NVML. A thread looks every
few seconds and writes when the peak has grown.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from tui.fit.measured import MeasuredHere, device_kind
from tui.fit.verdict import Measured
from tui.paths import Paths

LOOK_SECONDS = 2.0
GROWN = 1.01
MORE_TOKENS = 256
"""A peak that has grown by less than a percent is not worth a write, nor is a cache that holds a few more tokens."""


class MemoryWatch:
    """Watches this process. ``tokens`` tells how many tokens the cache holds now."""

    def __init__(
        self,
        paths: Paths,
        build: str,
        device: str,
        context: int,
        tokens: Callable[[], int],
        engine: str = "transformers",
    ) -> None:
        self._here = MeasuredHere(paths)
        self._build, self._device, self._context, self._engine = build, device, context, engine
        self._tokens = tokens
        self._tokens_held = self._tokens_written = 0
        self._written = 0
        self._closing = threading.Event()
        self._nvml = None if device_kind(device) == "cpu" else _gpu_bytes()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Measure now, and from now on."""
        if device_kind(self._device) == "cpu":
            forget_peak()
        self.look()
        self._thread.start()

    def close(self) -> None:
        """Measure for the last time."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join(5)
        self.look(last=True)

    def look(self, last: bool = False) -> None:
        """Read the peak and keep it when it, or the cache, has grown."""
        size, source = self._peak()
        self._tokens_held = max(self._tokens_held, self._tokens())
        more = self._tokens_held - self._tokens_written
        if size and (size > GROWN * self._written or more >= MORE_TOKENS or (last and more)):
            self._written, self._tokens_written = size, self._tokens_held
            now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            kind = device_kind(self._device)
            self._here.record(
                Measured(self._build, self._engine, kind, self._context, size, self._tokens_held, source, now)
            )

    def _run(self) -> None:
        while not self._closing.wait(LOOK_SECONDS):
            self.look()

    def _peak(self) -> tuple[int, str]:
        if device_kind(self._device) == "cpu":
            return resident_peak(), "resident memory"
        if self._nvml is not None and (held := self._nvml()):
            return held, "NVML"
        import torch

        return int(torch.cuda.max_memory_reserved()), "torch's allocator"


def resident_peak() -> int:
    """Most bytes of memory that this process ever held; 0 where the kernel does not say."""
    try:
        for row in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if row.startswith("VmHWM:"):
                return int(row.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        pass
    return 0


def forget_peak() -> None:
    """Let the peak of resident memory begin anew, where the kernel allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _gpu_bytes() -> Callable[[], int]:
    """Reads what this process holds on all GPUs together; 0 where NVML does not know this process."""
    from tui.hardware.nvidia_probe import NvidiaProbe

    probe = NvidiaProbe.from_environment()

    def read() -> int:
        held = [process.used or 0 for gpu in probe.read()[0] for process in gpu.processes if process.pid == os.getpid()]
        return sum(held)

    return read
