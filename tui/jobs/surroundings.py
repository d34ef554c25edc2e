"""What admission looks at, gathered from the machine: hardware, settings, free space, the RAM that jobs hold.

The sensors load only when a waiting job needs them, so a runner at rest stays small.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tui.hardware.snapshot import Snapshot
from tui.jobs.admission import Surroundings, Volume
from tui.jobs.free_watch import FreeWatch
from tui.jobs.job import Job
from tui.jobs.liveness import jobs_by_pid
from tui.paths import Paths
from tui.settings import Settings, load_settings

if TYPE_CHECKING:
    from tui.hardware.probe import Probe


def volume_of(folder: Path) -> Volume | None:
    """The volume under ``folder`` or its nearest existing parent; None when it cannot be read."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            space = os.statvfs(place)
            return Volume(place.stat().st_dev, space.f_bavail * space.f_frsize, str(place))
    return None


class Machine:
    """Looks at the machine for the runner."""

    def __init__(self, paths: Paths, volume: Callable[[Path], Volume | None] = volume_of) -> None:
        self._paths = paths
        self._volume = volume
        self._probe: Probe | None = None
        self._settings: tuple[float, Settings] | None = None
        self._uuids: dict[str, str] = {}
        self._free = FreeWatch()

    def look(
        self,
        queued: Sequence[Job],
        alive: Sequence[Job],
        needed: Mapping[int, Job],
        held: Mapping[int, str],
    ) -> Surroundings:
        """Everything that decides about ``queued``."""
        computes = any(job.needs.device not in ("", "none") for job in queued)
        folders = {job.needs.disk_path for job in (*queued, *alive) if job.needs.disk_path}
        volumes = {folder: self._volume(Path(folder)) for folder in folders}
        snapshot = self._snapshot() if computes else Snapshot()
        return Surroundings(
            snapshot=snapshot,
            settings=self.settings(),
            needed=needed,
            used=self._resident() if computes and any(job.device == "cpu" for job in alive) else {},
            volumes={folder: volume for folder, volume in volumes.items() if volume is not None},
            state=self._volume(self._paths.state),
            held=held,
            free_for=self._free.seen(queued, snapshot, time.monotonic()),
        )

    def uuid_of(self, device: str) -> str:
        """The uuid of a GPU ("cuda:1") in the last snapshot, or ""."""
        return self._uuids.get(device, "")

    def _snapshot(self) -> Snapshot:
        if self._probe is None:
            from tui.hardware.probe import Probe

            self._probe = Probe(self._paths, lambda: jobs_by_pid(self._paths.jobs))
        snapshot = self._probe.snapshot()
        self._uuids = {f"cuda:{gpu.index}": gpu.uuid for gpu in snapshot.gpus}
        return snapshot

    def _resident(self) -> dict[int, int]:
        """RAM in bytes that the processes of each job hold."""
        held: dict[int, int] = {}
        for pid, job_id in jobs_by_pid(self._paths.jobs).items():
            held[job_id] = held.get(job_id, 0) + _resident(pid)
        return held

    def settings(self) -> Settings:
        """The settings as they are in the file now."""
        try:
            changed = self._paths.settings_file.stat().st_mtime
        except OSError:
            changed = 0.0
        if self._settings is None or self._settings[0] != changed:
            self._settings = (changed, load_settings(self._paths.settings_file))
        return self._settings[1]


def _resident(pid: int) -> int:
    """RAM in bytes that a process holds; 0 when it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
