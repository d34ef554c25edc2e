"""Which queued job may start now, and why each other one waits, in words.

Pure: rows, one look at the machine and the settings in, decisions out. The order is strict within a resource (network
slots, each device's memory), so a large job is not starved by small ones behind it; a job that no
empty device could hold holds nobody up. One quantize or evaluate works on a device at a time; hosts share its memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tui.hardware.snapshot import Gpu, GpuProcess, Snapshot
from tui.jobs.free_watch import has_room, lack_of_room
from tui.jobs.job import Job, Kind, State
from tui.quantities import bytes_text
from tui.settings import Settings

DISK_FLOOR = 200_000_000
"""Bytes that stay free on the volume that a job writes to; below it that job does not start."""

STATE_FLOOR = 10_000_000
"""Bytes that stay free for the queue itself, its logs and its checkpoints; below it nothing new starts."""

FULL_DISK = "the disk is full"
SHORT_DISK = "the disk of"
"""How the reasons of jobs begin that wait for space on a disk."""

_HEAVY = (Kind.QUANTIZE, Kind.EVALUATE, Kind.BENCHMARK)


@dataclass(frozen=True, slots=True)
class Volume:
    """The volume under a folder: ``id`` tells two folders on the same one, ``free`` bytes are left on it."""

    id: int
    free: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Start:
    """This job may start, on ``device`` ("cuda:1", "cpu", or "" where it computes nothing)."""

    job: Job
    device: str


@dataclass(frozen=True, slots=True)
class Wait:
    """This job waits, and why."""

    job: Job
    reason: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What admission looks at besides the queue. ``needed`` holds the jobs that queued ones come after; ``used`` the
    RAM that the processes of a job hold now; ``volumes`` the volume under each ``needs.disk_path``; ``state`` the one
    that the queue itself lives on; ``held`` reasons that the runner has for single jobs."""

    snapshot: Snapshot = field(default_factory=Snapshot)
    settings: Settings = field(default_factory=Settings)
    needed: Mapping[int, Job] = field(default_factory=dict)
    used: Mapping[int, int] = field(default_factory=dict)
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    state: Volume | None = None
    held: Mapping[int, str] = field(default_factory=dict)
    free_for: Mapping[tuple[str, int], float] = field(default_factory=dict)
    """Seconds for which so many bytes have been free on a device, for the jobs that wait for that."""


def decide(queued: Sequence[Job], alive: Sequence[Job], around: Surroundings) -> list[Start | Wait]:
    """One decision for each queued job, which are given in queue order."""
    desk = _Desk(alive, around)
    return [desk.decide(job) for job in queued]


def held_by_disk(jobs: Sequence[Job]) -> str:
    """What to tell above a queue in which jobs wait for space on a disk; empty when none does."""
    held = [
        job for job in jobs if job.state is State.QUEUED and job.waiting_because.startswith((FULL_DISK, SHORT_DISK))
    ]
    if not held:
        return ""
    many = f"{len(held)} jobs wait" if len(held) > 1 else f"job {held[0].id} waits"
    return f"{many} for disk space and will go on when there is room: {held[0].waiting_because}"


class _Desk:
    """The resources as they are taken during one round of decisions."""

    def __init__(self, alive: Sequence[Job], around: Surroundings) -> None:
        self._around = around
        self._gpus = tuple(gpu for gpu in around.snapshot.gpus if not gpu.error and not gpu.hidden)
        self._busy = list(alive)
        self._behind: dict[str, Job] = {}
        """For each resource, the first job that waits for it: those behind it wait too."""

    def decide(self, job: Job) -> Start | Wait:
        reason = self._around.held.get(job.id) or self._unmet(job) or self._room(job) or self._disk(job)
        if reason:
            return Wait(job, reason)
        device, reason, lanes = self._device(job)
        if not reason:
            reason, lanes = self._network(job)
        if reason:
            for lane in lanes:
                self._behind.setdefault(lane, job)
            return Wait(job, reason)
        self._busy.append(replace(job, state=State.RUNNING, device=device))
        return Start(job, device)

    def _unmet(self, job: Job) -> str:
        for needed in job.after:
            other = self._around.needed.get(needed)
            if other is not None and other.state is not State.DONE:
                hint = {State.INTERRUPTED: ": resume that one", State.PAUSED: ": resume that one"}.get(other.state, "")
                return f"needs job {other.id} ({other.kind}), which is {other.state}{hint}"
        return ""

    def _room(self, job: Job) -> str:
        """Why a job that asked for room on a device waits. It holds nobody up: others may be what it waits for."""
        if not job.needs.free:
            return ""
        return lack_of_room(job.needs, self._gpus, self._around.snapshot.host, self._around.free_for)

    # --- network and disk

    def _network(self, job: Job) -> tuple[str, tuple[str, ...]]:
        if not job.needs.network:
            return "", ()
        slots = max(1, self._around.settings.downloads.at_once)
        busy = [other for other in self._busy if other.needs.network]
        if len(busy) >= slots:
            return f"{len(busy)} of {slots} network slots are taken by {_names(busy)}", ("network",)
        return self._order("network", job), ()

    def _disk(self, job: Job) -> str:
        """Why there is not enough space. Space does not come back when jobs end, so such a job holds nobody up."""
        state = self._around.state
        if state is not None and state.free < STATE_FLOOR:
            return f"{FULL_DISK}: {bytes_text(state.free)} left on {state.path}; nothing new starts"
        volume = self._around.volumes.get(job.needs.disk_path)
        if volume is None:
            return ""
        promised = sum(self._unwritten(other) for other in self._busy if self._is_on(other, volume))
        free = max(0, volume.free - promised)
        need = max(self._unwritten(job), DISK_FLOOR)
        if free >= need:
            return ""
        also = f"; {bytes_text(promised)} are promised to running jobs" if promised else ""
        return f"{SHORT_DISK} {job.needs.disk_path} has {bytes_text(free)} of {bytes_text(need)} needed{also}"

    def _is_on(self, job: Job, volume: Volume) -> bool:
        other = self._around.volumes.get(job.needs.disk_path)
        return other is not None and other.id == volume.id

    @staticmethod
    def _unwritten(job: Job) -> int:
        """Bytes that a job will still write; one that was cut off needs no more room than its rest."""
        progress = job.progress
        if progress.unit == "B" and progress.total:
            return max(0, int(progress.total - progress.done))
        return job.needs.disk

    # --- devices

    def _device(self, job: Job) -> tuple[str, str, tuple[str, ...]]:
        """The device, or the reason to wait and the lanes in which the job then stands first."""
        wanted = job.needs.device
        if wanted in ("none", ""):
            return "", "", ()
        if not wanted.startswith("cuda"):
            return self._on_cpu(job)
        gpus = [gpu for gpu in self._gpus if wanted in ("cuda", f"cuda:{gpu.index}")]
        if not gpus:
            return "", self._no_gpu(wanted), ()
        if job.needs.free:
            gpus = [gpu for gpu in gpus if has_room(job.needs, f"cuda:{gpu.index}", self._around.free_for)]
        able = [gpu for gpu in gpus if gpu.usable >= job.needs.memory]
        if not able:
            largest = max(gpus, key=lambda gpu: gpu.usable)
            has = f"{largest.label} has {bytes_text(largest.usable)} in all"
            return "", f"{has}, {bytes_text(job.needs.memory)} needed: it will never fit", ()
        return self._on_gpu(job, able)

    def _on_gpu(self, job: Job, gpus: list[Gpu]) -> tuple[str, str, tuple[str, ...]]:
        idle = [gpu for gpu in gpus if self._worker_on(job, f"cuda:{gpu.index}") is None]
        if not idle:
            return "", self._one_at_a_time(job, f"cuda:{gpus[0].index}", gpus[0].label), ()
        unclaimed = [gpu for gpu in idle if not self._order(f"cuda:{gpu.index}", job)]
        if not unclaimed:
            return "", self._order(f"cuda:{idle[0].index}", job), ()
        best = max(unclaimed, key=self._free_on)
        if self._free_on(best) < job.needs.memory:
            reason = self._short_of_gpu_memory(job, best, len(unclaimed))
            return "", reason, tuple(f"cuda:{gpu.index}" for gpu in unclaimed)
        return f"cuda:{best.index}", "", ()

    def _on_cpu(self, job: Job) -> tuple[str, str, tuple[str, ...]]:
        host = self._around.snapshot.host
        if 0 < host.memory_total < job.needs.memory:
            return "", f"the machine has {_of(host.memory_total, job)} of RAM in all: it will never fit", ()
        if self._worker_on(job, "cpu"):
            return "", self._one_at_a_time(job, "cpu", "the CPU"), ()
        if self._order("cpu", job):
            return "", self._order("cpu", job), ()
        coming = {other.id: self._still_to_take(other) for other in self._busy if other.device == "cpu"}
        promised = sum(coming.values())
        free = max(0, host.memory_available - promised)
        if host.memory_total and free < job.needs.memory:
            takers = _names([other for other in self._busy if coming.get(other.id)])
            also = f"; {takers} will still take {bytes_text(promised)}" if takers else ""
            return "", f"RAM: {_of(free, job)}{also}", ("cpu",)
        return "cpu", "", ()

    def _still_to_take(self, job: Job) -> int:
        return max(0, job.needs.memory - self._around.used.get(job.id, 0))

    def _free_on(self, gpu: Gpu) -> int:
        """Free bytes minus what the jobs on it have been promised and have not taken yet."""
        ours = [job for job in self._busy if job.device == f"cuda:{gpu.index}"]
        held: dict[int, int] = {}
        for process in gpu.processes:
            if process.job_id is not None and process.used is not None:
                held[process.job_id] = held.get(process.job_id, 0) + process.used
        foreign = sum(process.used or 0 for process in gpu.processes if process.job_id is None)
        named = [job for job in ours if job.id in held]
        unnamed = [job for job in ours if job.id not in held]
        coming = sum(max(0, job.needs.memory - held[job.id]) for job in named)
        # The driver does not always say who holds what; what nobody is known to hold is then put down to our jobs.
        unexplained = max(0, gpu.used - foreign - sum(held.values()))
        coming += max(0, sum(job.needs.memory for job in unnamed) - unexplained)
        return max(0, gpu.free - coming)

    def _worker_on(self, job: Job, device: str) -> Job | None:
        if job.kind not in _HEAVY:
            return None
        return next((other for other in self._busy if other.kind in _HEAVY and other.device == device), None)

    # --- words

    def _order(self, lane: str, job: Job) -> str:
        first = self._behind.get(lane)
        if first is None or first.id == job.id:
            return ""
        what = {"network": "the network", "cpu": "RAM"}.get(lane, "the memory of a GPU")
        return f"behind job {first.id} ({first.kind}), which waits for {what}"

    def _no_gpu(self, wanted: str) -> str:
        known = self._around.snapshot.gpus
        broken = next((gpu for gpu in known if wanted in ("cuda", f"cuda:{gpu.index}")), None)
        if broken is not None:
            return f"{broken.label} cannot be used: {broken.error or 'CUDA_VISIBLE_DEVICES hides it'}"
        if known:
            return f"there is no GPU {wanted.partition(':')[2]}; this machine has {len(known)}"
        return "there is no GPU" + (f": {self._around.snapshot.gpu_note}" if self._around.snapshot.gpu_note else "")

    def _one_at_a_time(self, job: Job, device: str, name: str) -> str:
        other = self._worker_on(job, device)
        return f"job {other.id} ({other.kind}) works on {name}; one at a time" if other else ""

    def _short_of_gpu_memory(self, job: Job, gpu: Gpu, choices: int) -> str:
        best = f" (the best of {choices})" if choices > 1 else ""
        text = f"{gpu.label}{best} has {_of(self._free_on(gpu), job)}"
        holders = [process for process in gpu.processes if process.used]
        if holders:
            top = max(holders, key=lambda process: process.used or 0)
            text += f"; {self._holder(top)} holds {bytes_text(top.used)}"
        promised = gpu.free - self._free_on(gpu)
        return text + (f"; running jobs will still take {bytes_text(promised)}" if promised > 0 else "")

    def _holder(self, process: GpuProcess) -> str:
        job = next((job for job in self._busy if job.id == process.job_id), None)
        if job is not None:
            return f"job {job.id} ({job.kind})"
        if process.mine:
            return f"your process {process.pid}" + (f" ({process.command})" if process.command else "")
        return f"pid {process.pid} of {process.owner or 'another user'}"


def _of(free: int, job: Job) -> str:
    return f"{bytes_text(free)} of {bytes_text(job.needs.memory)} needed"


def _names(jobs: Sequence[Job]) -> str:
    return ", ".join(f"job {job.id} ({job.kind})" for job in jobs)
