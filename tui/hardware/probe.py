"""One look at the whole machine. It combines the sensors, gives every process its owner and job, and never raises.

Constructing a ``Probe`` costs nothing and importing it loads neither ``psutil`` nor ``pynvml``: the first frame of the
app does not wait for drivers. Fast sensors are read at each look, slow ones (who holds a GPU, disks) are kept a while.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from tui.hardware.amd_probe import AmdProbe
from tui.hardware.host_probe import HostProbe, process_facts, read_disks
from tui.hardware.nvidia_probe import NvidiaProbe
from tui.hardware.snapshot import Disk, Gpu, GpuProcess, Host, Snapshot
from tui.paths import Paths

DISK_SECONDS = 2.0
"""How old the free space of the disks may be."""

_Part = TypeVar("_Part")
_log = logging.getLogger(__name__)


class Probe:
    """Looks at the machine. Usable from several threads; looks are taken one after another.

    ``paths`` names the folders whose disks are shown; ``jobs`` tells which process belongs to which job of ours.
    """

    def __init__(
        self,
        paths: Paths | None = None,
        jobs: Callable[[], Mapping[int, int]] | None = None,
        *,
        nvidia: NvidiaProbe | None = None,
        host: HostProbe | None = None,
        amd: AmdProbe | None = None,
    ) -> None:
        self._folders: tuple[tuple[str, Path], ...] = ()
        if paths is not None:
            self._folders = (("builds", paths.builds), ("downloads", paths.hub_cache), ("state", paths.state))
        self._jobs = jobs
        self._nvidia = nvidia or NvidiaProbe.from_environment()
        self._amd = amd or AmdProbe()
        self._host = host or HostProbe()
        self._lock = threading.Lock()
        self._disks: tuple[Disk, ...] = ()
        self._disks_at: float | None = None
        self._faces: dict[int, tuple[str, str, bool]] = {}
        self._faces_at = 0.0

    def snapshot(self) -> Snapshot:
        """What there is and what is free now. A part that cannot be read is empty, and the log says why."""
        with self._lock:
            host = self._safely(self._host.read, Host(), "the host")
            unread: tuple[tuple[Gpu, ...], str] = ((), "the GPUs could not be read")
            gpus, note = self._safely(self._nvidia.read, unread, "the GPUs")
            more, about = self._safely(partial(self._amd.read, len(gpus)), unread, "the AMD GPUs")
            gpus, note = gpus + more, "" if gpus or more else about or note
            gpus = tuple(_share_memory(gpu, host) if gpu.unified else gpu for gpu in gpus)
            gpus = self._safely(partial(self._with_owners, gpus), gpus, "the owners of GPU processes")
            disks = self._safely(self._read_disks, self._disks, "the disks")
            drivers = (("NVIDIA", self._nvidia.driver), ("AMD", self._amd.driver))
            driver = ", ".join(f"{maker} {version}" for maker, version in drivers if version)
            return Snapshot(taken=time.time(), host=host, gpus=gpus, disks=disks, gpu_note=note, driver=driver)

    def close(self) -> None:
        """Let the driver's library go."""
        with self._lock:
            self._safely(self._nvidia.close, None, "the GPUs")
            self._safely(self._amd.close, None, "the AMD GPUs")

    def _safely(self, read: Callable[[], _Part], otherwise: _Part, what: str) -> _Part:
        try:
            return read()
        except Exception:  # a broken sensor must not take the screen or the admission of jobs with it
            _log.warning("reading %s failed", what, exc_info=True)
            return otherwise

    def _read_disks(self) -> tuple[Disk, ...]:
        now = time.monotonic()
        if self._disks_at is None or now - self._disks_at >= DISK_SECONDS:
            self._disks, self._disks_at = read_disks(self._folders), now
        return self._disks

    def _with_owners(self, gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
        pids = {process.pid for gpu in gpus for process in gpu.processes}
        if not pids:
            self._faces.clear()
            return gpus
        now = time.monotonic()
        if now - self._faces_at >= 10.0:  # a pid may have gone to another program
            self._faces, self._faces_at = {}, now
        for pid in pids - self._faces.keys():
            self._faces[pid] = process_facts(pid)
        jobs = self._jobs() if self._jobs is not None else {}
        return tuple(
            replace(gpu, processes=tuple(self._with_owner(process, jobs) for process in gpu.processes)) for gpu in gpus
        )

    def _with_owner(self, process: GpuProcess, jobs: Mapping[int, int]) -> GpuProcess:
        owner, command, own = self._faces[process.pid]
        job = jobs.get(process.pid)
        return replace(process, owner=owner, command=command, mine=own, job_id=job)


def _share_memory(gpu: Gpu, host: Host) -> Gpu:
    """A GPU without memory of its own gets what the machine has."""
    free = host.memory_available
    return replace(gpu, total=host.memory_total, free=free, used=max(0, host.memory_total - free))
