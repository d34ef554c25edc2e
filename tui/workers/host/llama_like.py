"""The forward pass of models that are built like Llama, written by hand.

transformers' tree of modules costs 0.4 ms for every layer and token beside the arithmetic. Here a layer is four matrix
products and some twenty small operations: query, key and value in one product, gate and up in one, the rotation as one
complex product, the query heads of one key head as rows of one attention, and the cache written in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tui.workers.host.linears import Linear
from tui.workers.host.room_cache import RoomCache

ANGLES = 1024
"""Positions whose rotations are computed at once."""


class RecordedSteps(Protocol):
    """Reads one token by playing back what was recorded."""

    @property
    def note(self) -> str:
        """What came of it, in words."""

    def read(self, token: int, cache: RoomCache) -> Any:
        """The logits [vocabulary] after ``token``, which stands behind what ``cache`` holds."""


@dataclass(slots=True)
class Shape:
    """The numbers of such a model; ``groups`` query heads share one key head."""

    hidden: int
    heads: int
    key_heads: int
    head_size: int
    epsilon: float
    scale: float

    @property
    def groups(self) -> int:
        """How many query heads read one key head."""
        return self.heads // self.key_heads


@dataclass(slots=True)
class Layer:
    """One block: weights of the norms, the products, and the norms of query and key heads where the model has them."""

    first_norm: Any
    second_norm: Any
    head_norms: tuple[Any, Any] | None
    attend: Linear
    attended: Linear
    widen: Linear
    narrow: Linear
    activate: Callable[[Any], Any]


class LlamaLike:
    """A model in parts that were taken out of transformers' modules. ``rotary`` gives the angles of positions."""

    def __init__(self, shape: Shape, dtype: Any, device: Any, rotary: Any) -> None:
        import torch

        self.shape = shape
        self.dtype = dtype
        self.device = device
        self.layers: list[Layer] = []
        self.embedding: Any = None
        self.final_norm: Any = None
        self.head: Linear = lambda x: x
        self.config: Any = None
        self.generation_config: Any = None
        self.recorded: RecordedSteps | None = None
        """Where a GPU plays the steps of one token back instead of being told each operation anew."""
        self._rotary = rotary
        self._turns = torch.empty((0, shape.head_size // 2), dtype=torch.complex64, device=device)
        self._zero = torch.zeros(1, shape.hidden, dtype=torch.float32, device=device)
        self._steps_by_hand = dtype is torch.float32 and device.type == "cpu"

    def new_cache(self) -> RoomCache:
        """An empty cache for one conversation."""
        shape = self.shape
        return RoomCache(len(self.layers), (1, shape.key_heads, 0, shape.head_size), self.dtype, self.device)

    def read(self, ids: list[int], cache: RoomCache, look: Callable[[], None]) -> Any:
        """Read ``ids`` behind what ``cache`` holds; returns the logits after the last one, of shape [vocabulary].

        ``look`` is called before each layer and may raise; the cache then holds what it held before.
        """
        import torch

        if self.recorded is not None and len(ids) == 1:
            look()
            logits = self.recorded.read(ids[0], cache)
        else:
            rows = self.embedded(torch.tensor(ids, device=self.device))
            logits = self.ending(self.through(rows, cache, look)[-1:])[0]
        cache.ids += ids
        return logits

    def embedded(self, tokens: Any) -> Any:
        """The first rows [tokens, hidden]."""
        import torch

        return torch.nn.functional.embedding(tokens, self.embedding).to(self.dtype)

    def through(self, rows: Any, cache: RoomCache, look: Callable[[], None]) -> Any:
        """Take ``rows`` [tokens, hidden] through all layers, behind what ``cache`` holds; changes and returns them."""
        start, end = len(cache.ids), len(cache.ids) + len(rows)
        cache.make_room(end)
        turns = self.turns_of(start, end)
        if len(rows) == 1 and self._steps_by_hand:
            look()
            self._step(rows, cache, turns)
            return rows
        mask = self._mask(start, end) if start and end - start > 1 else None
        for layer, room in zip(self.layers, cache.rooms, strict=True):
            look()
            self._block(layer, rows, room, turns, (start, end, mask))
        return rows

    def _block(self, layer: Layer, rows: Any, room: tuple[Any, Any], turns: Any, place: tuple[int, int, Any]) -> None:
        import torch

        shape, (start, end, mask) = self.shape, place
        query, key, value = self.heads_of(layer, rows, turns)
        keys, values = (side[:, :, :end] for side in room)
        keys[0, :, start:] = key.transpose(0, 1)
        values[0, :, start:] = value.transpose(0, 1)
        attend_to = torch.nn.functional.scaled_dot_product_attention
        if len(rows) == 1:  # the heads of one group as rows: nothing is masked, and nothing repeated
            by_group = query.reshape(1, shape.key_heads, shape.groups, shape.head_size)
            seen = attend_to(by_group, keys, values, scale=shape.scale).reshape(1, -1)
        else:
            query = query.transpose(0, 1)[None]
            how = {"attn_mask": mask, "is_causal": not start, "scale": shape.scale, "enable_gqa": shape.groups > 1}
            seen = attend_to(query, keys, values, **how)
            seen = seen[0].transpose(0, 1).reshape(len(rows), -1)
        self.finish(layer, rows, seen)

    def heads_of(self, layer: Layer, rows: Any, turns: Any) -> tuple[Any, Any, Any]:
        """Query, key and value heads [tokens, heads, head size] of ``rows``, the first two rotated by ``turns``."""
        import torch

        shape = self.shape
        rotated = shape.heads + shape.key_heads
        read = layer.attend(torch.rms_norm(rows, (shape.hidden,), layer.first_norm, shape.epsilon))
        heads = read.view(len(rows), rotated + shape.key_heads, shape.head_size)
        turned = self._turned(self._normed(layer, heads[:, :rotated]), turns)
        return turned[:, : shape.heads], turned[:, shape.heads :], heads[:, rotated:]

    def finish(self, layer: Layer, rows: Any, seen: Any) -> None:
        """The rest of a layer after its attention, whose results are ``seen``; changes ``rows``."""
        import torch

        rows += layer.attended(seen)
        wide = layer.widen(torch.rms_norm(rows, (self.shape.hidden,), layer.second_norm, self.shape.epsilon))
        gate, up = wide.chunk(2, -1)
        rows += layer.narrow(layer.activate(gate) * up)

    def ending(self, rows: Any) -> Any:
        """The logits [tokens, vocabulary] of ``rows`` behind the last layer."""
        import torch

        return self.head(torch.rms_norm(rows, (self.shape.hidden,), self.final_norm, self.shape.epsilon))

    def _step(self, row: Any, cache: RoomCache, turns: Any) -> None:
        """All layers for one token in float32, with as few operations as it takes."""
        import torch

        shape = self.shape
        rotated, end = shape.heads + shape.key_heads, len(cache.ids) + 1
        attend_to = torch.nn.functional.scaled_dot_product_attention
        split, half = rotated * shape.head_size, shape.head_size // 2
        as_rows = (1, shape.key_heads, shape.groups, shape.head_size)
        flat = row.view(-1)
        for layer, (keys, values) in zip(self.layers, cache.rooms, strict=True):
            read = layer.attend(self._norm(flat, row, layer.first_norm))[0]
            if layer.head_norms is None:
                real, other = read[:split].view(rotated, 2, half).unbind(1)
            else:
                heads = read[:split].view(1, rotated, shape.head_size)
                real, other = self._normed(layer, heads).view(rotated, 2, half).unbind(1)
            turned = torch.view_as_real(torch.complex(real, other).mul_(turns)).view(rotated, shape.head_size)
            keys.select(2, end - 1).copy_(turned[shape.heads :])
            values.select(2, end - 1).copy_(read[split:].view(shape.key_heads, shape.head_size))
            query = turned[: shape.heads].view(as_rows)
            seen = attend_to(query, keys.narrow(2, 0, end), values.narrow(2, 0, end), scale=shape.scale)
            row.add_(layer.attended(seen.reshape(1, -1)))
            gate, up = layer.widen(self._norm(flat, row, layer.second_norm)).chunk(2, -1)
            row.add_(layer.narrow(layer.activate(gate).mul_(up)))

    def _norm(self, flat: Any, row: Any, weight: Any) -> Any:
        """Root mean square norm of one row; ``flat`` and ``row`` are two views of it."""
        square = flat.dot(flat).item() / self.shape.hidden
        return self._zero.addcmul(row, weight, value=1 / math.sqrt(square + self.shape.epsilon))

    def _normed(self, layer: Layer, heads: Any) -> Any:
        """Query and key heads [tokens, heads, head size], normed where the model does that."""
        if layer.head_norms is None:
            return heads
        import torch

        sides = heads.split((self.shape.heads, self.shape.key_heads), 1)
        return torch.cat(
            [
                torch.rms_norm(side, (self.shape.head_size,), weight, self.shape.epsilon)
                for side, weight in zip(sides, layer.head_norms, strict=True)
            ],
            1,
        )

    def _turned(self, heads: Any, turns: Any) -> Any:
        """Heads [tokens, heads, head size] rotated; the pairs come to stand side by side, in queries as in keys."""
        import torch

        real, other = heads.float().unflatten(-1, (2, -1)).unbind(-2)
        turned = torch.view_as_real(torch.complex(real, other) * turns[:, None])
        return turned.flatten(-2).to(heads.dtype)

    def turns_of(self, start: int, end: int) -> Any:
        """The rotations of the positions from ``start`` to before ``end``, as complex numbers."""
        import torch

        have = self._turns.shape[0]
        if end > have:
            more = -(-(end - have) // ANGLES) * ANGLES
            places = torch.arange(have, have + more, device=self.device)[None]
            like = torch.empty((1, 1, 1), dtype=torch.float32, device=self.device)
            cos, sin = self._rotary(like, places)
            half = self.shape.head_size // 2
            self._turns = torch.cat([self._turns, torch.complex(cos[0, :, :half], sin[0, :, :half])])
        return self._turns[start:end]

    def _mask(self, start: int, end: int) -> Any:
        """What each new token may see of [all tokens]: 0, or minus infinity."""
        import torch

        seen = torch.full((end - start, end), -math.inf, dtype=self.dtype, device=self.device)
        return seen.triu_(start + 1)
