"""What a recurrent model (RWKV) has read: one state that every token changes, instead of keys and values.

It can be gone on with and copied whole, never cut.
"""

from __future__ import annotations

import inspect
from typing import Any


class StateCache:
    """The same questions as ``KvCache`` answers, for a model whose ``forward`` takes ``state``."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.state: Any = None

    def clear(self) -> None:
        """Forget everything."""
        self.ids, self.state = [], None

    def cut(self, keep: int) -> bool:
        """Whether it holds ``keep`` tokens and no more; nothing can be taken out of a state."""
        return keep == len(self.ids)

    def copy(self, count: int) -> StateCache | None:
        """The same state for another conversation, when all ``count`` tokens are wanted."""
        if count != len(self.ids) or self.state is None:
            return None
        other = StateCache()
        other.ids, other.state = list(self.ids), [tensor.clone() for tensor in self.state]
        return other

    def restore(self) -> None:
        """After a forward pass that was broken off: the state was changed in place, so it is forgotten."""
        self.clear()

    def bytes(self) -> int:
        """Memory that the state takes."""
        return sum(tensor.untyped_storage().nbytes() for tensor in self.state or ())


def keeps_state(model: Any) -> bool:
    """Whether ``model`` takes a ``state`` and knows no keys and values; it would ignore them without an error."""
    accepted = inspect.signature(model.forward).parameters
    return "state" in accepted and not {"past_key_values", "cache"} & set(accepted)
