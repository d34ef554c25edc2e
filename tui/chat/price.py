"""What an endpoint's tokens cost: the price that the user wrote down, else genai-prices, else the catalog's.

The one place where an answer gets its price, in a chat and in a trial alike. genai-prices goes before the catalog
because it knows what a row of two numbers cannot: tiers by prompt length, the price of cached tokens, and prices that
change on a day. Amounts are whole billionths of a US dollar, so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tui.chat.endpoint import Endpoint

NANO = 1_000_000_000
"""Costs are kept as whole billionths of a US dollar."""

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Price:
    """``input`` and ``output`` are US dollars per million tokens of the first tier, for people; ``source`` and ``date``
    say whose they are. ``amount(prompt, completion, cached)`` is exact and knows the tiers; None: nobody knows."""

    source: str
    date: str = ""
    input: Decimal | None = None
    output: Decimal | None = None
    amount: Callable[[int, int, int], Decimal] | None = None
    per_hour: float = 0.0

    @property
    def is_known(self) -> bool:
        """Whether a cost can be told."""
        return self.amount is not None

    def cost(self, prompt: int, completion: int, cached: int = 0, seconds: float = 0.0) -> int | None:
        """Billionths of a US dollar for so many tokens, and so many seconds of this machine."""
        if self.amount is None:
            return None
        return nano(
            self.amount(prompt, completion, cached) + Decimal(str(self.per_hour)) * Decimal(str(seconds)) / 3600
        )

    def facts(self) -> dict[str, Any]:
        """What a record says about it."""
        found: dict[str, Any] = {"source": self.source}
        if self.date:
            found["date"] = self.date
        if self.input is not None and self.output is not None:
            found |= {"input": float(self.input), "output": float(self.output)}
        if self.per_hour:
            found["per_hour"] = self.per_hour
        return found


def nano(amount: Decimal) -> int:
    """US dollars as whole billionths, halves up."""
    return int((amount * NANO).quantize(Decimal(1), ROUND_HALF_UP))


def local_price(per_hour: float = 0.0) -> Price:
    """What this machine takes: nothing for tokens, and ``per_hour`` US dollars for its time."""
    source = "your hourly rate" if per_hour else "local"
    return Price(source, per_hour=per_hour, amount=lambda prompt, completion, cached: Decimal(0))


def price_of_endpoint(endpoint: Endpoint, at: datetime | None = None) -> Price:
    """The price that holds for answers of ``endpoint``; ``at`` is the time of the request, now by default."""
    flat = None
    if endpoint.price_in is not None and endpoint.price_out is not None:
        flat = _linear(
            endpoint.price_source or ("yours" if endpoint.own_price else "the catalog"),
            endpoint.price_date,
            Decimal(str(endpoint.price_in)),
            Decimal(str(endpoint.price_out)),
        )
    if flat is not None and endpoint.own_price:
        return flat
    if endpoint.local or endpoint.is_loopback:
        return local_price()
    return _listed(endpoint, at) or flat or Price("unknown")


def _linear(source: str, date: str, price_in: Decimal, price_out: Decimal) -> Price:
    def amount(prompt: int, completion: int, cached: int) -> Decimal:
        return (price_in * prompt + price_out * completion) / _MILLION

    return Price(source, date, price_in, price_out, amount)


def _listed(endpoint: Endpoint, at: datetime | None) -> Price | None:
    try:
        import genai_prices  # half a second to import, and only for models that cost money
        from genai_prices import Usage, calc_price
    except ImportError:
        return None
    provider = endpoint.provider
    model = endpoint.model.removeprefix("models/")

    def calculate(prompt: int, completion: int, cached: int) -> Any:
        usage = Usage(input_tokens=prompt, output_tokens=completion, cache_read_tokens=cached or None)
        if provider is not None and provider.prices:
            return calc_price(usage, model, provider_id=provider.prices, genai_request_timestamp=at)
        return calc_price(usage, model, provider_api_url=endpoint.base_url, genai_request_timestamp=at)

    try:
        million_in, million_out = calculate(1000, 0, 0).total_price * 1000, calculate(0, 1000, 0).total_price * 1000
    except (LookupError, ValueError):
        return None
    source = f"genai-prices {genai_prices.__version__}"
    return Price(source, "", million_in, million_out, lambda *tokens: Decimal(calculate(*tokens).total_price))
