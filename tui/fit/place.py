"""Where a model could live: a GPU, the machine's RAM, or a card that is only asked about.

A place knows what it has free now and could give when empty, and who holds the difference.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from tui.hardware.snapshot import Gpu, GpuProcess, Snapshot
from tui.quantities import bytes_text


@dataclass(frozen=True)
class Place:
    """``name`` as in a sentence ("GPU 0"), ``device`` as in a table ("GPU 0 NVIDIA H100"); bytes ``free`` now and
    ``capacity`` when empty."""

    name: str
    device: str
    free: int
    capacity: int
    is_gpu: bool = True
    gpu: Gpu | None = None

    @cached_property
    def holders(self) -> str:
        """Who holds what is not free, in words: the largest two processes with their owners."""
        held = bytes_text(max(0, self.capacity - self.free))
        if self.gpu is None:
            return f"other programs hold {held} of {self.name}"
        known = [process for process in self.gpu.processes if process.used]
        if not known:
            hidden = f"{len(self.gpu.processes)} processes" if self.gpu.processes else "processes that cannot be seen"
            return f"{hidden} hold {held} of {self.name}"
        known.sort(key=lambda process: -(process.used or 0))
        words = [f"{_who(process)} holds {bytes_text(process.used)}" for process in known[:2]]
        more = f" and {len(known) - 2} more" if len(known) > 2 else ""
        return " and ".join(words) + f" of {self.name}" + more


def gpus_of(snapshot: Snapshot) -> tuple[Place, ...]:
    """The GPUs of a snapshot that can be used: they answer, and this user's environment does not hide them."""
    return tuple(
        Place(gpu.label, f"{gpu.label} {gpu.name}", gpu.free, gpu.usable, True, gpu)
        for gpu in snapshot.gpus
        if not gpu.error and not gpu.hidden and gpu.total > 0
    )


def machine_memory(snapshot: Snapshot) -> Place:
    """The RAM that a new process can have."""
    host = snapshot.host
    return Place("RAM", "RAM", host.memory_available, host.memory_total, is_gpu=False)


def places_for(snapshot: Snapshot, memory: int | None = None, device: str = "auto") -> tuple[Place, ...]:
    """Where a model would go: an empty card of ``memory`` bytes that is only asked about, else the GPUs of this
    machine, else its RAM. ``device`` "cpu" leaves the GPUs out."""
    if memory is not None:
        return (card(memory),)
    return (gpus_of(snapshot) if device != "cpu" else ()) or (machine_memory(snapshot),)


def card(memory: int) -> Place:
    """An empty card of ``memory`` bytes that is not in this machine."""
    size = bytes_text(memory).replace(".00 ", " ").replace(".0 ", " ")
    return Place(f"a {size} card", f"{size} card", memory, memory)


def _who(process: GpuProcess) -> str:
    if process.job_id is not None:
        return f"job {process.job_id} of ours"
    if process.mine:
        return f"your pid {process.pid}"
    return f"pid {process.pid} of {process.owner}" if process.owner else f"pid {process.pid}"
