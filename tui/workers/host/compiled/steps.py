"""One token through all layers of a model that was taken apart, as one call into the compiled library.

Thirty layers are a thousand small operations, and a small model's weights are read sooner than Python and torch can ask
for them. Before the call is trusted its logits are held against those of the plain pass.
"""

from __future__ import annotations

import ctypes
from typing import Any

from tui.workers.host.compiled.library import loaded
from tui.workers.host.compiled.products import TYPES, Matrix, Product
from tui.workers.host.llama_like import Layer, LlamaLike
from tui.workers.host.room_cache import RoomCache

CLOSE = 1e-3
"""Largest difference of the logits, as a share of their spread."""

_ALIGN = 16
"""Each thread's floats begin on a line of memory of their own."""

_Address, _Number = ctypes.c_void_p, ctypes.c_int64


class _Block(ctypes.Structure):
    _fields_ = (
        *((name, Matrix) for name in ("attend", "attended", "widen", "narrow")),
        *((name, _Address) for name in ("first_norm", "second_norm", "query_norm", "key_norm")),
    )


class _Model(ctypes.Structure):
    _fields_ = (
        *((name, _Number) for name in ("hidden", "heads", "key_heads", "head_size", "layers")),
        ("epsilon", ctypes.c_float),
        ("scale", ctypes.c_float),
        ("blocks", _Address),
        ("final_norm", _Address),
        ("head", Matrix),
        ("embedding", _Address),
        ("embedding_type", _Number),
        *((name, _Address) for name in ("row", "read", "seen", "wide", "own")),
        ("own_size", _Number),
        ("taken", _Address),
    )


def compiled_steps(model: LlamaLike) -> CompiledSteps | None:
    """The steps of ``model``, or None where a layer is not one that step.c knows, or the logits differ."""
    import torch

    if loaded() is None or not isinstance(model.head, Product) or not all(_is_known(layer) for layer in model.layers):
        return None
    if model.dtype is not torch.float32 or str(model.embedding.dtype) not in TYPES:
        return None
    steps = CompiledSteps(model)
    return steps if _agrees(model, steps) else None


class CompiledSteps:
    """Reads one token of a conversation with ``model``."""

    note = "each token's step is compiled C"

    def __init__(self, model: LlamaLike) -> None:
        import torch

        library = loaded()
        assert library is not None
        assert isinstance(model.head, Product)
        self._model, self._step, self._head = model, library.step, model.head
        self._torch = torch
        shape, count = model.shape, len(model.layers)
        self._blocks = (_Block * count)(*(_block(layer) for layer in model.layers))
        sizes = {
            "row": shape.hidden,
            "read": (shape.heads + 2 * shape.key_heads) * shape.head_size,
            "seen": shape.heads * shape.head_size,
            "wide": max((_product(layer.narrow).columns for layer in model.layers), default=0),
        }
        self._kept = {name: torch.empty(size) for name, size in sizes.items()}
        self._kept["taken"] = torch.zeros(5 * count + 1, dtype=torch.int64)
        self._kept["embedding"] = model.embedding.contiguous()
        self._told = _Model(
            shape.hidden,
            shape.heads,
            shape.key_heads,
            shape.head_size,
            count,
            shape.epsilon,
            shape.scale,
            ctypes.addressof(self._blocks),
            model.final_norm.data_ptr(),
            model.head.matrix,
            embedding_type=TYPES.index(str(model.embedding.dtype)),
            **{name: tensor.data_ptr() for name, tensor in self._kept.items()},
        )

    def read(self, token: int, cache: RoomCache) -> Any:
        """The logits [vocabulary] after ``token``, which stands behind what ``cache`` holds."""
        torch, place = self._torch, len(cache.ids)
        cache.make_room(place + 1)
        if cache.recorded is None:
            cache.recorded = tuple(_addresses(side) for side in zip(*cache.rooms, strict=True))
        keys, values = cache.recorded
        capacity, threads = cache.rooms[0][0].shape[2], torch.get_num_threads()
        self._make_room(capacity, threads)
        turns = self._model.turns_of(place, place + 1)
        logits = torch.empty(self._head.rows)
        self._step(
            ctypes.addressof(self._told),
            token,
            place,
            ctypes.addressof(keys),
            ctypes.addressof(values),
            capacity,
            turns.data_ptr(),
            logits.data_ptr(),
            threads,
        )
        return logits

    def _make_room(self, capacity: int, threads: int) -> None:
        shape = self._model.shape
        size = -(-(shape.hidden + 2 * shape.head_size + capacity) // _ALIGN) * _ALIGN
        if size <= self._told.own_size and len(self._kept["own"]) >= threads * self._told.own_size:
            return
        self._kept["own"] = self._torch.empty(threads * size)
        self._told.own, self._told.own_size = self._kept["own"].data_ptr(), size


def _is_known(layer: Layer) -> bool:
    """Whether all products are compiled ones and the gate is SiLU's."""
    import torch

    with torch.inference_mode():
        probe = torch.linspace(-4, 4, 9)
        gated = torch.allclose(layer.activate(probe), torch.nn.functional.silu(probe), atol=1e-6)
    products = (layer.attend, layer.attended, layer.widen, layer.narrow)
    return gated and all(isinstance(product, Product) for product in products)


def _product(linear: Any) -> Product:
    assert isinstance(linear, Product)
    return linear


def _block(layer: Layer) -> _Block:
    products = [_product(linear).matrix for linear in (layer.attend, layer.attended, layer.widen, layer.narrow)]
    norms = [layer.first_norm, layer.second_norm, *(layer.head_norms or (None, None))]
    return _Block(*products, *(None if norm is None else norm.data_ptr() for norm in norms))


def _addresses(tensors: Any) -> Any:
    return (ctypes.c_void_p * len(tensors))(*(tensor.data_ptr() for tensor in tensors))


def _agrees(model: LlamaLike, steps: CompiledSteps) -> bool:
    """Whether two tokens give the logits of the plain pass."""
    import torch

    ours, plain = model.new_cache(), model.new_cache()
    with torch.inference_mode():
        for token in (1, 0):
            found = steps.read(token, ours)
            ours.ids.append(token)
            exact = model.read([token], plain, lambda: None)
            if not (found - exact).abs().max() <= CLOSE * (exact.max() - exact.min()):
                return False
    return True
