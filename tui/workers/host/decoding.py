"""The loop that writes an answer: read the prompt in chunks, then one token after another, and stop at once.

Our own, because transformers' ``generate`` cannot keep the cache between turns of a chat, cannot be broken off inside
a long prompt, and sorts the whole vocabulary for every token.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tui.workers.host.cache_shelf import CacheShelf
from tui.workers.host.engine import BrokenOff
from tui.workers.host.llama_like import LlamaLike
from tui.workers.host.module_pass import ModulePass
from tui.workers.host.pace import Pace
from tui.workers.host.sampling import Sampler
from tui.workers.weights import release_memory

CPU_CHUNK = 512
GPU_CHUNK = 2048
"""Tokens of a prompt that are read in one forward pass; bounds the memory of activations."""

ONE_CORE_BYTES = 64_000_000
"""Weights of so many bytes are read by one core in a few milliseconds."""


class Decoder:
    """One model and the caches of its conversations. Not for several threads at once.

    ``model`` is a model of transformers or one that was taken apart. ``weight_bytes`` tells how much a token reads: a
    small model is decoded on one core, because waking a second one for every operation costs more than it brings.
    ``budget`` bounds the bytes of all caches together.
    """

    def __init__(self, model: Any, context: int, weight_bytes: int = 0, budget: int | None = None) -> None:
        import torch

        self.model = model if isinstance(model, LlamaLike) else ModulePass(model)
        self.context = context
        self.shelf = CacheShelf(self.model.new_cache, budget)
        self.device = model.device
        self.chunk = CPU_CHUNK if self.device.type == "cpu" else GPU_CHUNK
        self._threads = torch.get_num_threads()
        small = self.device.type == "cpu" and 0 < weight_bytes < ONE_CORE_BYTES
        self._pace = Pace(1 if small or self.device.type != "cpu" else self._threads)

    def tokens(
        self, prompt: Sequence[int], sampler: Sampler, unwanted: Callable[[], bool], read: Callable[[int], None]
    ) -> Iterator[int]:
        """Yield tokens until the context is full or the caller stops asking.

        ``read`` is told how many tokens of the prompt are in the cache: first those that were there already.
        Raises ``BrokenOff`` between two layers as soon as ``unwanted()`` holds. The cache stays true whatever is
        raised, but for errors of the device, after which the caller clears it.
        """
        import torch

        def look() -> None:
            if unwanted():
                raise BrokenOff

        cache, done = self.shelf.take(prompt)
        try:
            with torch.inference_mode():
                read(done)
                while done < len(prompt):
                    chunk = list(prompt[done : done + self.chunk])
                    logits = self._forward(chunk, cache, look)
                    done += len(chunk)
                    read(done)
                if self.device.type == "cpu" and len(prompt) > self.chunk:
                    release_memory()  # what the C library keeps of the activations of whole chunks
                while True:
                    token = sampler.draw(logits)
                    yield token
                    if len(cache.ids) >= self.context - 1:
                        return
                    torch.set_num_threads(self._pace.threads)
                    started = time.perf_counter()
                    logits = self._forward([token], cache, look)
                    self._pace.took(time.perf_counter() - started)
        finally:
            torch.set_num_threads(self._threads)

    def warm_up(self, token: int) -> None:
        """Read one token and forget it: quantized layers lay out their weights in their first pass, not in a chat."""
        import torch

        with torch.inference_mode():
            self._forward([token], self.model.new_cache(), lambda: None)

    def _forward(self, ids: list[int], cache: Any, look: Callable[[], None]) -> Any:
        """Read ``ids`` behind what the cache holds; returns the logits after the last one."""
        look()
        try:
            logits = self.model.read(ids, cache, look)
        except BrokenOff:
            cache.restore()
            raise
        self.shelf.keep_within()
        return logits
