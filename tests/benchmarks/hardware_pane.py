"""What the hardware pane costs while it is watched: bytes per second to the terminal and CPU of the whole app.

The real app in a real pty of 80x24 (or COLUMNS ROWS), with GPUs whose every reading changes with each look, through the
real NVML bindings.

Run: python -m tests.benchmarks.hardware_pane [seconds] [gpus] [columns rows]
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests import fake_nvml
from tests.terminal import Terminal
from tui.ui import feed

CHANGES_PER_SECOND = 4
"""Twice as often as the app looks, so that no look finds what the last one saw."""


def changing(file: Path, gpus: int, stop: threading.Event) -> None:
    """Rewrite the description with other readings until stopped."""
    draw = random.Random(0)
    while not stop.wait(1 / CHANGES_PER_SECOND):
        rows = []
        for number in range(gpus):
            process = fake_nvml.FakeProcess(os.getpid(), draw.randrange(10, 60) * fake_nvml.GB)
            rows.append(
                fake_nvml.FakeGpu(
                    uuid=f"GPU-{number}",
                    used=draw.randrange(1_000_000_000, 80_000_000_000),
                    utilisation=draw.randrange(101),
                    temperature=draw.randrange(30, 90),
                    power=draw.randrange(70_000, 700_000),
                    processes=(process,),
                )
            )
        fake_nvml.describe(file, rows)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(seconds: float, gpus: int, columns: int, rows: int) -> tuple[float, float]:
    """Bytes per second and share of one processor while the pane is watched."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        library = fake_nvml.build(root / "nvml")
        description = fake_nvml.describe(root / "gpus", [fake_nvml.FakeGpu(uuid=f"GPU-{n}") for n in range(gpus)])
        environment = {**os.environ, **fake_nvml.environment(library, description)}
        environment |= {"HEFT_HOME": str(root / "heft"), "HF_ENDPOINT": "http://127.0.0.1:9"}
        stop = threading.Event()
        writer = threading.Thread(target=changing, args=(description, gpus, stop), daemon=True)
        terminal = Terminal(environment, columns=columns, rows=rows)
        try:
            terminal.wait_for("Catalog", "models")
            terminal.press("2")
            terminal.wait_for("H100")
            writer.start()
            time.sleep(3)
            before, spent, started = terminal.received, cpu_seconds(terminal.pid), time.monotonic()
            time.sleep(seconds)
            length = time.monotonic() - started
            return (terminal.received - before) / length, (cpu_seconds(terminal.pid) - spent) / length
        finally:
            stop.set()
            terminal.close()


def main() -> None:
    """Print one line for what was asked."""
    words = sys.argv[1:]
    seconds, gpus = float(words[0]) if words else 20.0, int(words[1]) if len(words) > 1 else 2
    columns, rows = (int(words[2]), int(words[3])) if len(words) > 3 else (80, 24)
    rate, cpu = measure(seconds, gpus, columns, rows)
    looks = 1 / feed.SNAPSHOT_SECONDS
    print(f"{columns}x{rows}, {gpus} GPUs, {looks:g} looks a second: {rate:,.0f} B/s, {cpu:.1%} of one CPU")


if __name__ == "__main__":
    main()
