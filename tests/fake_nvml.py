"""GPUs for tests and screenshots on machines without one: a small real shared library that the real NVML bindings load.

``build`` compiles it, ``describe`` writes the machine that it shows, ``environment`` makes a process see it.
Rewriting the description changes a running program's readings. The library speaks NVML's C interface; only the driver
behind it is pretended.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("hardware") / "fake_nvml.c"
FLAGS = ("-std=gnu11", "-O1", "-w", "-shared", "-fPIC", "-fvisibility=hidden", "-Wl,-soname,libnvidia-ml.so.1")
GB = 10**9
FIELDS = (
    *("name", "total", "used", "reserved", "utilisation", "temperature", "power", "power_limit", "clock"),
    *("capability", "error"),
)


def compiler() -> str:
    """The C compiler's command; empty when there is none (tests then skip, saying so)."""
    return next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), "")


def build(folder: Path) -> Path:
    """Compile ``libnvidia-ml.so.1`` into ``folder``; raises ``RuntimeError`` without a C compiler."""
    command = compiler()
    if not command:
        raise RuntimeError("no C compiler (cc, gcc or clang) on this machine")
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / "libnvidia-ml.so.1"
    subprocess.run(
        [command, *FLAGS, "-o", str(library), str(SOURCE)],
        check=True,
        capture_output=True,
        text=True,
    )
    return library


@dataclass(frozen=True)
class FakeProcess:
    """A process on a GPU; ``used`` None means that the driver does not tell."""

    pid: int
    used: int | None
    graphics: bool = False


@dataclass(frozen=True)
class FakeGpu:
    """One GPU or slice. ``na`` names readings that it does not support, ``error`` is an NVML code (15: lost)."""

    name: str = "NVIDIA H100 80GB HBM3"
    total: int = 85_520_809_984
    used: int = 0
    reserved: int = 612_368_384
    utilisation: int = 0
    temperature: int = 34
    power: int = 70_000
    power_limit: int = 700_000
    clock: int = 1980
    capability: str = "9.0"
    uuid: str = ""
    processes: tuple[FakeProcess, ...] = ()
    slices: tuple[FakeGpu, ...] = ()
    na: tuple[str, ...] = ()
    error: int = 0


def describe(
    path: Path, gpus: Sequence[FakeGpu], *, driver: str = "580.95.05", init: int = 0, old: bool = False
) -> Path:
    """Write the description that the library reads, whole at once; ``init`` is what starting NVML returns."""
    lines = [f"driver {driver}", f"init {init}", f"old {int(old)}"]
    for index, gpu in enumerate(gpus):
        lines += ["gpu", *_lines(gpu, f"GPU-{index:08x}-0000-4000-8000-{index:012x}")]
        for number, piece in enumerate(gpu.slices):
            lines += ["mig", *_lines(piece, f"MIG-{index:08x}-{number:04x}-4000-8000-{index:012x}")]
    beside = path.with_suffix(".new")
    beside.write_text("\n".join(lines) + "\n")
    before = path.stat().st_mtime_ns if path.exists() else 0
    beside.replace(path)
    if path.stat().st_mtime_ns == before:  # two writes within one tick of the file system's clock
        os.utime(path, ns=(before + 1, before + 1))
    return path


def environment(library: Path, description: Path, base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which a new process sees the described GPUs."""
    env = dict(os.environ if base is None else base)
    env["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(library.parent), env.get("LD_LIBRARY_PATH", "")]))
    env["HEFT_FAKE_NVML"] = str(description)
    env.pop("CUDA_VISIBLE_DEVICES", None)
    return env


def eight_gpus(own_pid: int = 0) -> tuple[FakeGpu, ...]:
    """A shared server: some GPUs busy with other people's work, one with ours, one lost."""
    busy = FakeGpu(used=44 * GB, utilisation=97, temperature=71, power=652_000, processes=(FakeProcess(4121, 44 * GB),))
    full = FakeGpu(
        used=79 * GB, utilisation=100, temperature=76, power=689_000, processes=(FakeProcess(5530, 79 * GB),)
    )
    mine = (FakeProcess(own_pid, 17 * GB),) if own_pid else ()
    ours = FakeGpu(used=17 * GB, utilisation=38, temperature=52, power=312_000, processes=mine)
    idle, warm = FakeGpu(), FakeGpu(used=6 * GB, utilisation=12, temperature=41, power=121_000)
    return (busy, full, ours, idle, warm, idle, full, FakeGpu(error=15))


def _lines(gpu: FakeGpu, uuid: str) -> list[str]:
    lines = [f"{key} {getattr(gpu, key)}" for key in FIELDS] + [f"uuid {gpu.uuid or uuid}"]
    lines += [f"na {name}" for name in gpu.na]
    for process in gpu.processes:
        used = "NA" if process.used is None else process.used
        lines.append(f"process {process.pid} {used} {'G' if process.graphics else 'C'}")
    return lines


if __name__ == "__main__":
    import sys

    if len(sys.argv) < 3:
        sys.exit("usage: python -m tests.fake_nvml FOLDER COMMAND...   (runs COMMAND beside eight pretended GPUs)")
    place = Path(sys.argv[1]).absolute()
    made = build(place)
    os.execvpe(sys.argv[2], sys.argv[2:], environment(made, describe(place / "gpus.txt", eight_gpus())))
