"""The spend cap: money is set aside before a request is sent, so the cap holds whatever is under way."""

from __future__ import annotations

import threading
from decimal import Decimal

from tui.chat.price import nano


class Purse:
    """Billionths of a US dollar. ``spent`` is what earlier attempts cost; ``cap`` in US dollars, None for no cap."""

    def __init__(self, spent: int, cap: float | None) -> None:
        self._lock = threading.Lock()
        self._spent = spent
        self._held = 0
        self._cap = None if cap is None else nano(Decimal(str(cap)))

    @property
    def spent(self) -> int:
        """What was spent so far."""
        return self._spent

    def reserve(self, most: int | None) -> bool:
        """Set ``most`` aside for a request; False when the cap does not allow it. What costs nothing is always
        allowed, and so is what has no known price."""
        with self._lock:
            if self._cap is not None and most and self._spent + self._held + most > self._cap:
                return False
            self._held += most or 0
            return True

    def settle(self, most: int | None, cost: int | None) -> None:
        """The request is over: give back what was set aside and take what it cost."""
        with self._lock:
            self._held -= most or 0
            self._spent += cost or 0
