"""What an answer cost in US dollars, by the price that ``price`` finds for its endpoint."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tui.chat.endpoint import Endpoint
from tui.chat.price import NANO, price_of_endpoint


@dataclass(frozen=True, slots=True)
class Cost:
    """``dollars`` by the prices of ``source``; ``estimated`` when tokens were not counted by the server."""

    dollars: float
    source: str
    estimated: bool = False


def cost_of(endpoint: Endpoint, usage: Mapping[str, Any], at: datetime | None = None) -> Cost | None:
    """The cost of one answer; None where tokens or prices are not known, and for models on the user's own machine."""
    prompt, tokens = usage.get("prompt_tokens"), usage.get("completion_tokens")
    on_this_machine = endpoint.local or endpoint.is_loopback
    if (on_this_machine and not endpoint.own_price) or not isinstance(prompt, int) or not isinstance(tokens, int):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    price = price_of_endpoint(endpoint, at)
    cost = price.cost(prompt, tokens, cached if isinstance(cached, int) else 0)
    if cost is None:
        return None
    whose = "yours" if endpoint.own_price else "genai-prices" if price.source.startswith("genai") else "catalog"
    return Cost(cost / NANO, whose, bool(usage.get("estimated")))
