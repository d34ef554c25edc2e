"""The key-value cache of one conversation with a model of transformers: the ids in it, how it is cut and copied.

transformers appends by copying the whole cache for every token; the layers here keep room ahead and write in place.
Caches that cannot be cut (sliding windows that have moved on, recurrent states) are used again only where nothing need
be cut.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

ROOM = 256
"""Tokens of room that a layer grows by."""


class KvCache:
    """The cache and the ids in it. ``ids`` never runs ahead of what every layer holds."""

    def __init__(self, config: Any) -> None:
        self._config = config
        self.ids: list[int] = []
        self.layers: Any = None
        self.clear()

    def clear(self) -> None:
        """Forget everything and give the memory back."""
        self.ids = []
        self.layers = new_cache(self._config)

    def cut(self, keep: int) -> bool:
        """Keep the first ``keep`` tokens; False where a layer cannot be cut."""
        return self._cut(len(self.ids) - keep)

    def copy(self, count: int) -> KvCache | None:
        """A cache of its own with the first ``count`` tokens, where every layer is a plain one."""
        growing = _growing_layer()
        if count > len(self.ids) or not all(type(layer) is growing for layer in self.layers.layers):
            return None
        other = KvCache(self._config)
        for place, layer in enumerate(self.layers.layers):
            other.layers.update(layer.keys[..., :count, :], layer.values[..., :count, :], place)
        other.ids = self.ids[:count]
        return other

    def restore(self) -> None:
        """After a forward pass that was broken off: put all layers back to ``ids``, or forget everything."""
        if not self._cut(0, broken_off=True):
            self.clear()

    def bytes(self) -> int:
        """Memory that the cache takes."""
        total = 0
        for layer in self.layers.layers:
            for name in ("keys", "values"):
                tensor = getattr(layer, name, None)
                if tensor is not None and hasattr(tensor, "untyped_storage"):
                    total += tensor.untyped_storage().nbytes()
        return total

    def _cut(self, count: int, *, broken_off: bool = False) -> bool:
        """Remove the last ``count`` of ``ids`` and whatever a layer holds beyond them; False where that cannot be."""
        keep = len(self.ids) - count
        if keep == 0 and (self.ids or broken_off):
            return False  # nothing to keep: clearing is cleaner than cutting
        for layer in self.layers.layers:
            if hasattr(layer, "recurrent_states"):  # a state that every token has changed
                if count or broken_off:
                    return False
                continue
            held = int(layer.get_seq_length()) if hasattr(layer, "get_seq_length") and layer.is_initialized else keep
            if held == keep:
                continue
            if held < keep or not can_be_cut(layer):
                return False
            layer.crop(keep - held)
        del self.ids[keep:]
        return True


def can_be_cut(layer: Any) -> bool:
    """Whether tokens can be taken off the end of ``layer`` without a trace."""
    window = getattr(layer, "sliding_window", None)
    if window is not None:
        return bool(layer.is_croppable) and layer.get_seq_length() < window
    return bool(layer.is_croppable)


def new_cache(config: Any) -> Any:
    """An empty cache for a model of ``config`` whose plain layers grow in place."""
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    growing = _growing_layer()
    cache = DynamicCache(config=config)
    cache.layers = [growing() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    if getattr(cache, "layer_class_to_replicate", None) is DynamicLayer:
        cache.layer_class_to_replicate = growing
    return cache


@lru_cache(maxsize=1)
def _growing_layer() -> Any:
    import torch
    from transformers.cache_utils import DynamicLayer

    class GrowingLayer(DynamicLayer):  # type: ignore[misc]
        """A cache layer with room ahead; ``keys`` and ``values`` are views of what is filled."""

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            """Write behind what is there."""
            if not self.is_initialized:
                self.lazy_initialization(key_states, value_states)
                self._room = (key_states[..., :0, :], value_states[..., :0, :])
            start = self.get_seq_length()
            end = start + key_states.shape[-2]
            if end > self._room[0].shape[-2]:
                self._grow(start, end, key_states, value_states)
            self._room[0][..., start:end, :] = key_states
            self._room[1][..., start:end, :] = value_states
            self.keys = self._room[0][..., :end, :]
            self.values = self._room[1][..., :end, :]
            return self.keys, self.values

        def _grow(self, start: int, end: int, *states: Any) -> None:
            capacity = (end + ROOM + end // 4) // ROOM * ROOM
            rooms = []
            for old, state in zip(self._room, states, strict=True):
                room = torch.empty(
                    (*state.shape[:-2], capacity, state.shape[-1]), dtype=state.dtype, device=state.device
                )
                room[..., :start, :] = old[..., :start, :]
                rooms.append(room)
            self._room = (rooms[0], rooms[1])

        def reset(self) -> None:
            """Forget everything."""
            super().reset()
            self._room = (None, None)

    return GrowingLayer
