"""The forward pass of any causal language model of transformers, through its own tree of modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tui.workers.host.kv_cache import KvCache
from tui.workers.host.row_norms import RowNorms
from tui.workers.host.state_cache import StateCache, keeps_state


class ModulePass:
    """Reads tokens with ``model``; whoever is told to look may break off between two of its layers."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.device = model.device
        accepted = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in accepted else "past_key_values"
        self._keeps_state = keeps_state(model)
        self._last_only = {"logits_to_keep": 1} if "logits_to_keep" in accepted else {}
        self._layers = decoder_layers(model)
        self._norms = RowNorms(model)

    def new_cache(self) -> KvCache | StateCache:
        """An empty cache for one conversation."""
        return StateCache() if self._keeps_state else KvCache(self.model.config)

    def read(self, ids: list[int], cache: Any, look: Callable[[], None]) -> Any:
        """Read ``ids`` behind what ``cache`` holds; returns the logits after the last one, of shape [vocabulary].

        ``look`` is called before each layer of several tokens and may raise; then ``cache.restore()`` is needed.
        """
        import torch

        batch = torch.tensor([ids], device=self.device)
        kept = {"state": cache.state} if self._keeps_state else {self._cache_name: cache.layers}
        with self._norms.in_place() if len(ids) == 1 else self._watched(look):
            output = self.model(input_ids=batch, use_cache=True, return_dict=True, **kept, **self._last_only)
        if self._keeps_state:
            cache.state = output.state
        cache.ids += ids
        return output.logits[0, -1]

    @contextmanager
    def _watched(self, look: Callable[[], None]) -> Iterator[None]:
        """Look before each layer. Hooks cost a single token more than it is worth."""
        hooks = [layer.register_forward_pre_hook(lambda *_: look()) for layer in self._layers]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def decoder_layers(model: Any) -> list[Any]:
    """The model's blocks, in their order; empty where they are not in one list."""
    count = getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", 0)
    for module in model.modules():
        if type(module).__name__ == "ModuleList" and len(module) == count:
            return list(module)
    return []
