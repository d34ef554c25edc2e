"""The order of the jobs that wait: which priorities make a chain stand where a person wants it.

Pure. The queue is ordered by priority, then by number; a chain moves as one, and no more priorities change than must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from tui.jobs.job import Job

Place: TypeAlias = Literal["up", "down", "top", "bottom"]
"""Where a waiting job can be moved: past one neighbour, or past all of them."""


def moved(waiting: Sequence[Job], job: Job, where: Place) -> dict[int, int]:
    """The new priorities, by job, that move the chain of ``job`` among ``waiting`` (given in queue order)."""
    chains: dict[str, list[Job]] = {}
    for other in waiting:
        chains.setdefault(other.plan or f"job {other.id}", []).append(other)
    order = list(chains.values())
    here = next(place for place, chain in enumerate(order) if any(other.id == job.id for other in chain))
    there = {"up": max(0, here - 1), "down": min(len(order) - 1, here + 1), "top": 0, "bottom": len(order) - 1}[where]
    order.insert(there, order.pop(here))
    if there == here:
        return {}
    priorities = _raised(order, there) if there < here else _lowered(order, there)
    return {
        other.id: priority
        for chain, priority in zip(order, priorities, strict=True)
        for other in chain
        if other.priority != priority
    }


def _first(chain: Sequence[Job]) -> int:
    return min(job.id for job in chain)


def _raised(order: Sequence[Sequence[Job]], moved_one: int) -> list[int]:
    """From the last chain to the first, each as low as the one behind it allows."""
    priorities = [chain[0].priority for chain in order]
    for place in range(len(order) - 2, -1, -1):
        behind = priorities[place + 1]
        least = behind if _first(order[place]) < _first(order[place + 1]) else behind + 1
        priorities[place] = least if place == moved_one else max(least, priorities[place])
    return priorities


def _lowered(order: Sequence[Sequence[Job]], moved_one: int) -> list[int]:
    """From the first chain to the last, each as high as the one before it allows."""
    priorities = [chain[0].priority for chain in order]
    for place in range(1, len(order)):
        before = priorities[place - 1]
        most = before if _first(order[place]) > _first(order[place - 1]) else before - 1
        priorities[place] = most if place == moved_one else min(most, priorities[place])
    return priorities
