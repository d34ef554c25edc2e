"""What a contestant's answers cost: by the rules of ``chat.price``, and a build by the hour that the user sets.

A contestant becomes the endpoint that a chat with it would have, with the prices of the same sources: ``config.toml``,
then ``models.toml``, then genai-prices, then the catalog row.
"""

from __future__ import annotations

from collections.abc import Callable

from tui.catalog.model import Model
from tui.chat.endpoint import Endpoint
from tui.chat.price import Price, local_price, price_of_endpoint
from tui.chat.resolve import is_row_of, priced_by_row, priced_endpoint
from tui.compare.trial import Contestant
from tui.settings import Settings


def price_of(contestant: Contestant, settings: Settings, find: Callable[[str], Model | None]) -> Price:
    """The price that holds for a contestant. ``find`` looks a row up in the catalog."""
    if contestant.is_local:
        return local_price(settings.compare.gpu_hour)
    endpoint = Endpoint(_name(contestant), contestant.base_url, contestant.model)
    row = find(contestant.catalog or contestant.model)
    if row is not None and (contestant.catalog or is_row_of(row, endpoint)):
        endpoint = priced_by_row(endpoint, row)
    return price_of_endpoint(priced_endpoint(endpoint, settings.prices))


def _name(contestant: Contestant) -> str:
    """The name under which a chat would know it: without the model that a trial puts behind an endpoint's name."""
    if contestant.catalog:
        return contestant.name
    return contestant.name.partition("#" if "://" in contestant.name else ":")[0]
