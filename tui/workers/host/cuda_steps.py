"""Steps of one token on a GPU, recorded once as a CUDA graph and played back.

A step is some six hundred small operations, and a GPU does each sooner than Python can ask for the next one. A graph
has fixed addresses and sizes, so the step reads its token and place from two tensors, writes the cache by index and
looks at all of a cache's room with a mask. Each conversation gets its own graph, and a new one when its room grows.
Before a graph is trusted its logits are held against the same step without one; where they differ, or where a layer's
library cannot be recorded, steps are taken one operation at a time, and the host's notes say so.

Written for CUDA and not yet run on it: only the step itself is tested, on a CPU.
"""

from __future__ import annotations

from typing import Any

from tui.workers.host.llama_like import LlamaLike
from tui.workers.host.room_cache import RoomCache

CLOSE = 0.02
"""Largest difference of the logits, as a share of their spread, for steps in 16 bits."""


class CudaSteps:
    """Graphs for the conversations of ``model``."""

    def __init__(self, model: LlamaLike) -> None:
        import torch

        self._model = model
        self._token = torch.zeros(1, dtype=torch.long, device=model.device)
        self._place = torch.zeros(1, dtype=torch.long, device=model.device)
        self._pool: Any = None
        self.why_not = ""
        """Why steps are not played back; empty where they are."""

    @property
    def note(self) -> str:
        """What came of it, in words."""
        return f"steps are not played back: {self.why_not}" if self.why_not else "steps are played back as CUDA graphs"

    def read(self, token: int, cache: RoomCache) -> Any:
        """The logits after ``token``, which stands behind what ``cache`` holds."""
        cache.make_room(len(cache.ids) + 1)
        self._token.fill_(token)
        self._place.fill_(len(cache.ids))
        if self.why_not:
            return self._plain(cache)
        if cache.recorded is None:
            return self._first(cache)
        graph, logits = cache.recorded
        graph.replay()
        return logits.clone()

    def _plain(self, cache: RoomCache) -> Any:
        rows = self._model.embedded(self._token)
        return self._model.ending(self._model.through(rows, cache, lambda: None))[0]

    def _first(self, cache: RoomCache) -> Any:
        """Record a graph for ``cache`` and hold it against the step without one, whose result is returned."""
        expected = self._plain(cache)
        try:
            graph, logits = self._recorded(cache)
            graph.replay()
            spread = float(expected.max() - expected.min()) or 1.0
            error = float((logits - expected).abs().max()) / spread
        except (RuntimeError, NotImplementedError) as problem:
            self.why_not = " ".join(str(problem).split())[:200] or type(problem).__name__
            return expected
        if not error <= CLOSE:
            self.why_not = f"its logits were {100 * error:.1f} % off"
            return expected
        cache.recorded = (graph, logits)
        return expected

    def _recorded(self, cache: RoomCache) -> tuple[Any, Any]:
        import torch

        turns = self._model.turns_of(0, cache.rooms[0][0].shape[2])
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # libraries choose their kernels in a first run, which cannot be recorded
            static_step(self._model, cache.rooms, self._token, self._place, turns)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            logits = static_step(self._model, cache.rooms, self._token, self._place, turns)
        self._pool = graph.pool()
        return graph, logits


def static_step(model: LlamaLike, rooms: list[tuple[Any, Any]], token: Any, place: Any, turns: Any) -> Any:
    """Read ``token`` [1] at ``place`` [1] with fixed sizes; ``turns`` holds the rotations of the whole room.

    Returns the logits [vocabulary]. Writes keys and values of the token into ``rooms``.
    """
    import torch

    shape = model.shape
    rows = model.embedded(token)
    now = turns.index_select(0, place)
    capacity = rooms[0][0].shape[2]
    visible = (torch.arange(capacity, device=rows.device) <= place)[None, None, None]
    mask = visible.expand(1, 1, shape.groups, capacity)
    for layer, (keys, values) in zip(model.layers, rooms, strict=True):
        query, key, value = model.heads_of(layer, rows, now)
        keys.index_copy_(2, place, key[0][None, :, None])
        values.index_copy_(2, place, value[0][None, :, None])
        by_group = query.reshape(1, shape.key_heads, shape.groups, shape.head_size)
        seen = torch.nn.functional.scaled_dot_product_attention(
            by_group, keys, values, attn_mask=mask, scale=shape.scale
        )
        model.finish(layer, rows, seen.reshape(1, -1))
    return model.ending(rows)[0]
