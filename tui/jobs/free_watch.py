"""For how long room has been free on a device: for jobs that start "when 24 GB are free for 60 s".

Nobody keeps such a history for us, so the runner's looks are it; after a pause between two looks the count begins
anew, for nobody knows what happened in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tui.hardware.snapshot import Gpu, Host, Snapshot
from tui.jobs.job import Job, Needs
from tui.quantities import bytes_text, duration_text

LONGEST_GAP = 10.0
"""Seconds between two looks after which what was seen before proves nothing."""


class FreeWatch:
    """Remembers since when the room that jobs wait for has been free."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], float] = {}
        self._looked: float | None = None

    def seen(self, queued: Sequence[Job], snapshot: Snapshot, now: float) -> Mapping[tuple[str, int], float]:
        """Take in a look at the machine at ``now`` (seconds); returns for how many seconds each (device, bytes) that a
        job in ``queued`` waits for has been free."""
        if self._looked is None or not 0 <= now - self._looked <= LONGEST_GAP:
            self._since.clear()
        self._looked = now
        free = {f"cuda:{gpu.index}": gpu.free for gpu in snapshot.gpus if not gpu.error and not gpu.hidden}
        free["cpu"] = snapshot.host.memory_available
        wanted = {job.needs.free for job in queued if job.needs.free}
        there = {(device, memory) for device, room in free.items() for memory in wanted if room >= memory}
        self._since = {key: self._since.get(key, now) for key in there}
        return {key: now - since for key, since in self._since.items()}


def has_room(needs: Needs, device: str, free_for: Mapping[tuple[str, int], float]) -> bool:
    """Whether ``device`` has had the room that ``needs`` asks for long enough."""
    return free_for.get((device, needs.free), -1.0) >= needs.free_for


def lack_of_room(needs: Needs, gpus: Sequence[Gpu], host: Host, free_for: Mapping[tuple[str, int], float]) -> str:
    """Why a job that asks for room waits, in words; empty when there is room, or no device that could have any."""
    if needs.device == "cpu":
        places = [("cpu", "RAM", host.memory_available, host.memory_total)]
    else:
        fitting = [gpu for gpu in gpus if needs.device in ("cuda", f"cuda:{gpu.index}")]
        places = [(f"cuda:{gpu.index}", gpu.label, gpu.free, gpu.usable) for gpu in fitting]
    if not places or any(has_room(needs, device, free_for) for device, *_ in places):
        return ""
    if needs.device == "cpu":
        where = "in RAM"
    else:
        where = "on any GPU" if needs.device == "cuda" else f"on GPU {needs.device.partition(':')[2]}"
    device, label, free, total = max(places, key=lambda place: (free_for.get((place[0], needs.free), -1.0), place[2]))
    wish = f"waits for {bytes_text(needs.free)} free for {needs.free_for:g} s {where}"
    if (device, needs.free) in free_for:
        return f"{wish}; {label} has had it for {duration_text(free_for[device, needs.free])}"
    if total and needs.free > max(place[3] for place in places):
        return f"{wish}; {label} has {bytes_text(total)} in all: that will never be"
    return f"{wish}; {label} has {bytes_text(free)}"
