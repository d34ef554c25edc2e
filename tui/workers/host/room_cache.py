"""The key-value cache of one conversation as plain tensors, and what the loop needs of any cache."""

from __future__ import annotations

from typing import Any, Protocol

ROOM = 256
"""Tokens of room that a cache grows by."""


class Cache(Protocol):
    """One conversation's cache. ``ids`` never runs ahead of what every layer holds."""

    ids: list[int]

    def clear(self) -> None:
        """Forget everything and give the memory back."""

    def cut(self, keep: int) -> bool:
        """Keep the first ``keep`` tokens; False where that cannot be."""

    def restore(self) -> None:
        """After a forward pass that was broken off: put all layers back to ``ids``, or forget everything."""

    def copy(self, count: int) -> Cache | None:
        """A cache of its own with the first ``count`` tokens; None where that cannot be."""

    def bytes(self) -> int:
        """Memory that the cache takes."""


class RoomCache:
    """Keys and values of every layer, each of shape [1, heads, room, head size] and written in place."""

    def __init__(self, layers: int, shape: tuple[int, int, int, int], dtype: Any, device: Any) -> None:
        self._layers, self._shape, self._dtype, self._device = layers, shape, dtype, device
        self.ids: list[int] = []
        self.rooms: list[tuple[Any, Any]] = []
        self.recorded: Any = None
        """What a GPU has recorded of steps over just these tensors; forgotten with them."""
        self.clear()

    def clear(self) -> None:
        """Forget everything and give the memory back."""
        self.ids = []
        self.recorded = None
        self.rooms = [(self._empty(0), self._empty(0)) for _ in range(self._layers)]

    def make_room(self, end: int) -> None:
        """Have room for ``end`` tokens."""
        if self.rooms and end > self.rooms[0][0].shape[2]:
            self._resize(len(self.ids), (end + ROOM + end // 4) // ROOM * ROOM)

    def cut(self, keep: int) -> bool:
        """Keep the first ``keep`` tokens; what lies behind them will be written over."""
        del self.ids[keep:]
        return True

    def restore(self) -> None:
        """Nothing to do: what lies behind ``ids`` is never read."""

    def copy(self, count: int) -> RoomCache:
        """A cache of its own with the first ``count`` tokens."""
        other = RoomCache(self._layers, self._shape, self._dtype, self._device)
        other.rooms = list(self.rooms)
        other._resize(count, (count + ROOM) // ROOM * ROOM)
        other.ids = self.ids[:count]
        return other

    def bytes(self) -> int:
        """Memory that the cache takes."""
        return sum(side.untyped_storage().nbytes() for room in self.rooms for side in room)

    def _resize(self, held: int, capacity: int) -> None:
        self.recorded = None
        for place, (keys, values) in enumerate(self.rooms):
            new = (self._empty(capacity), self._empty(capacity))
            new[0][:, :, :held] = keys[:, :, :held]
            new[1][:, :, :held] = values[:, :, :held]
            self.rooms[place] = new

    def _empty(self, capacity: int) -> Any:
        import torch

        batch, heads, _, size = self._shape
        # recorded steps look at all of the room and give what is not filled no weight, so it must hold numbers
        make = torch.empty if self._device.type == "cpu" else torch.zeros
        return make((batch, heads, capacity, size), dtype=self._dtype, device=self._device)
