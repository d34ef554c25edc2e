"""The machine around the GPUs: memory, swap, CPU, disks, network, and who a process belongs to.

What counts is what a new process can really get: the limits of the control groups (containers, batch systems) bound
memory and processors. ``psutil`` is imported by the first reading, so importing this module costs nothing.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from tui.hardware.snapshot import Disk, Host
from tui.plain_text import clean_line

RATE_SECONDS = 0.25
"""Shortest span over which a rate or a percentage is taken; shorter ones are noise."""


class HostProbe:
    """Reads the host. Cheap to construct; not thread-safe by itself: ``Probe`` holds a lock around it."""

    def __init__(self, root: Path = Path("/"), clock: Callable[[], float] = time.monotonic) -> None:
        self._root = root
        self._clock = clock
        self._cpu_name: str | None = None
        self._hostname = clean_line(socket.gethostname(), 64)
        self._cpu_before: tuple[float, float, float] | None = None
        self._network_before: tuple[float, int, int] | None = None
        self._cpu_percent = 0.0
        self._network_rates = (0.0, 0.0)

    def read(self) -> Host:
        """One look. Percentages and rates are over the time since the last look; the first one is over none, so 0."""
        import psutil

        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        total, available = bounded_memory(self._root, memory.total, memory.available)
        now = self._clock()
        self._update_cpu(now, psutil.cpu_times())
        self._update_network(now, psutil.net_io_counters())
        if self._cpu_name is None:
            self._cpu_name = cpu_name(self._root / "proc/cpuinfo")
        return Host(
            hostname=self._hostname,
            cpu_name=self._cpu_name,
            cpu_count=usable_processors(self._root),
            cpu_percent=self._cpu_percent,
            load=os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0,
            memory_total=total,
            memory_available=available,
            swap_total=swap.total,
            swap_used=swap.used,
            network_received_rate=self._network_rates[0],
            network_sent_rate=self._network_rates[1],
        )

    def _update_cpu(self, now: float, times: Any) -> None:
        # psutil.cpu_percent keeps its memory per thread and would say 0 to every new one, so the deltas are our own.
        idle = times.idle + getattr(times, "iowait", 0.0)
        whole = sum(times[:8])  # guest times, the last two fields, are already part of user and nice
        if self._cpu_before is None:
            self._cpu_before = (now, whole, idle)
        elif now - self._cpu_before[0] >= RATE_SECONDS:
            spent = whole - self._cpu_before[1]
            if spent > 0:
                self._cpu_percent = min(100.0, max(0.0, 100.0 * (1.0 - (idle - self._cpu_before[2]) / spent)))
            self._cpu_before = (now, whole, idle)

    def _update_network(self, now: float, counters: Any) -> None:
        if counters is None:
            return
        if self._network_before is None:
            self._network_before = (now, counters.bytes_recv, counters.bytes_sent)
        elif now - self._network_before[0] >= RATE_SECONDS:
            then, received, sent = self._network_before
            span = now - then
            self._network_rates = (
                max(0, counters.bytes_recv - received) / span,
                max(0, counters.bytes_sent - sent) / span,
            )
            self._network_before = (now, counters.bytes_recv, counters.bytes_sent)


def bounded_memory(root: Path, total: int, available: int) -> tuple[int, int]:
    """Bytes that there are and that can still be had, under the limits of every control group above this process.

    A group's page cache that nobody maps counts as available, as the kernel would drop it before refusing memory.
    """
    for group in _memory_groups(root):
        limit = _number(group / "memory.max")
        used = _number(group / "memory.current")
        inactive = "inactive_file"
        if limit is None and used is None:
            limit = _number(group / "memory.limit_in_bytes")
            used = _number(group / "memory.usage_in_bytes")
            inactive = "total_inactive_file"
        if limit is None or limit >= total:
            continue
        total = limit
        if used is not None:
            kept = used - min(used, _statistic(group / "memory.stat", inactive))
            available = min(available, max(0, limit - kept))
    return total, min(available, total)


def usable_processors(root: Path) -> int:
    """Processors this process may run on: its affinity, and the quota of its control groups rounded up."""
    try:
        count = len(os.sched_getaffinity(0))
    except (AttributeError, OSError):
        count = os.cpu_count() or 1
    for group in _groups(root, "cpu"):
        quota = _quota(group)
        if quota is not None:
            count = min(count, max(1, math.ceil(quota)))
    return count


def cpu_name(cpuinfo: Path) -> str:
    """The processor's name as the kernel tells it; empty where it tells none."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for wanted in ("model name", "Hardware", "Model"):
        for line in lines:
            key, _, value = line.partition(":")
            if key.strip() == wanted:
                return clean_line(value, 80)
    import platform

    return clean_line(platform.processor() or platform.machine(), 80)


def computes_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor multiplies bfloat16 by itself; others emulate it, several times slower than float32."""
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "").split()
    return bool({"avx512_bf16", "amx_bf16", "bf16", "svebf16"} & set(flags))


def llama_cpp_lacks(cpuinfo: Path = Path("/proc/cpuinfo"), machine: str = "") -> tuple[str, ...]:
    """Instructions that llama.cpp's wheel is built with and this processor lacks; importing it would kill the process
    with SIGILL. Empty on processors that are not x86, whose wheels want nothing special."""
    if (machine or os.uname().machine) != "x86_64":
        return ()
    try:
        text = cpuinfo.read_text(errors="replace")
    except OSError:
        return ()
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "").split()
    return tuple(name.upper() for name in ("avx2", "fma", "f16c", "bmi2") if flags and name not in flags)


def read_disks(folders: Iterable[tuple[str, Path]]) -> tuple[Disk, ...]:
    """The volumes of some folders of ours, each under its label; a folder that is not there yet counts as its nearest
    parent, one that cannot be read is left out. ``free`` is what this user may still write."""
    disks = []
    for label, folder in folders:
        place = folder.absolute()
        while not place.exists() and place != place.parent:
            place = place.parent
        try:
            info = os.statvfs(place)
        except OSError:
            continue
        disks.append(Disk(label, str(folder), info.f_blocks * info.f_frsize, info.f_bavail * info.f_frsize))
    return tuple(disks)


def process_facts(pid: int) -> tuple[str, str, bool]:
    """A process's owner, its command line and whether it is this user's own. Empty texts where this
    process may not look: other users' processes under hidepid, or pids of another container."""
    import psutil

    try:
        process = psutil.Process(pid)
        with process.oneshot():
            own = process.uids().real == os.getuid()
            try:
                owner = process.username()
            except (KeyError, psutil.Error):
                owner = str(process.uids().real)
            try:
                words = process.cmdline() or [process.name()]
            except psutil.Error:
                words = [process.name()]
        return clean_line(owner, 40), clean_line(" ".join(words), 200), own
    except (psutil.Error, OSError, ValueError):
        return "", "", False


def _memory_groups(root: Path) -> list[Path]:
    return _groups(root, "memory")


def _groups(root: Path, controller: str) -> list[Path]:
    """Folders of this process's control groups from the innermost out, in version 2 and version 1 places."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders = []
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if names == "":
            bases = [mount, mount / "unified"]
        elif controller in names.split(","):
            bases = [mount / names, mount / controller]
        else:
            continue
        parts = [part for part in path.split("/") if part not in ("", "..")]
        for base in bases:
            # Inside a container the path may be the host's, while the container's own group is mounted at the base.
            for depth in range(len(parts), -1, -1):
                folder = base.joinpath(*parts[:depth])
                if folder not in folders and folder.is_dir():
                    folders.append(folder)
    return folders


def _quota(group: Path) -> float | None:
    try:
        quota, period = (group / "cpu.max").read_text().split()
    except (OSError, ValueError):
        limit, span = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        return limit / span if limit and span and limit > 0 else None
    return None if quota == "max" else int(quota) / int(period)


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
        return None if text == "max" else int(text)
    except (OSError, ValueError):
        return None


def _statistic(path: Path, name: str) -> int:
    try:
        for line in path.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    except (OSError, ValueError):
        pass
    return 0
