"""Whether the job of making a quantized build fits this machine: memory where it computes, RAM beside it, disk."""

from __future__ import annotations

from dataclasses import dataclass

from tui.fit.place import gpus_of, machine_memory
from tui.fit.quantize_estimate import QuantizeEstimate
from tui.fit.verdict import Verdict, verdict_on
from tui.hardware.snapshot import Snapshot
from tui.quantities import bytes_text


@dataclass(frozen=True, slots=True)
class QuantizeFit:
    """``total`` bytes are taken on ``device``, which has ``free`` of ``capacity``; ``ram`` beside a GPU (0 where the
    CPU computes), ``disk`` while it runs, of which ``result`` stays. ``terms`` explain ``total``."""

    recipe: str
    device: str
    total: int | None
    free: int
    capacity: int
    ram: int
    ram_free: int
    disk: int | None
    disk_free: int | None
    result: int | None
    verdict: Verdict
    reason: str
    terms: tuple[tuple[str, int], ...] = ()
    notes: tuple[str, ...] = ()


def judge_quantize(numbers: QuantizeEstimate, recipe: str, snapshot: Snapshot) -> QuantizeFit:
    """Hold the estimate of a job that makes ``recipe`` against the machine: the freest GPU, else the RAM."""
    memory, gpus = machine_memory(snapshot), gpus_of(snapshot)
    here = max(gpus or (memory,), key=lambda place: (place.free, place.capacity))
    need = numbers.memory if here.is_gpu else numbers.ram
    beside = (numbers.ram_beside_gpu or 0) if here.is_gpu else 0
    disk = None if numbers.disk is None else numbers.disk + numbers.disk_working
    room = next((disk.free for disk in snapshot.disks if disk.label == "builds"), None)
    verdict = verdict_on(need, gpus or (memory,))
    reason = f"needs {bytes_text(need)}; {here.name} has {bytes_text(here.free)} free of {bytes_text(here.capacity)}"
    if need is None:
        reason = next(iter(numbers.notes), "not known")
    elif beside > memory.free and verdict is not Verdict.DOES_NOT_FIT:
        verdict = verdict_on(beside, (memory,))
        reason = f"needs {bytes_text(beside)} of RAM beside the GPU; {bytes_text(memory.free)} is free"
    if disk is not None and room is not None and disk > room and verdict is not Verdict.DOES_NOT_FIT:
        verdict, reason = Verdict.DOES_NOT_FIT, f"needs {bytes_text(disk)} of disk; {bytes_text(room)} is free"
    return QuantizeFit(
        recipe=recipe,
        device=here.device,
        total=need,
        free=here.free,
        capacity=here.capacity,
        ram=beside,
        ram_free=memory.free,
        disk=disk,
        disk_free=room,
        result=numbers.disk,
        verdict=verdict,
        reason=reason,
        terms=numbers.terms if here.is_gpu else numbers.ram_terms,
        notes=numbers.notes,
    )
