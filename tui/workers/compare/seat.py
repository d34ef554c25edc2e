"""A contestant that can be asked now: where, at what price, and everything that is needed to ask the same again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import metadata
from typing import Any

from tui import __version__
from tui.chat.endpoint import Endpoint
from tui.chat.price import Price
from tui.compare.trial import Contestant, Order, Place
from tui.workers.compare.turns import Turns

_LIBRARIES = ("torch", "transformers", "gptqmodel", "optimum", "tokenizers", "xllamacpp")


@dataclass
class Seat:
    """``facts`` come from the host that was loaded; ``turns`` is the queue of its device, None for an endpoint;
    ``left_out`` are the parameters that it refused."""

    contestant: Contestant
    endpoint: Endpoint
    price: Price
    facts: Mapping[str, Any] = field(default_factory=dict)
    turns: Turns | None = None
    left_out: tuple[str, ...] = ()

    def parameters(self, order: Order, place: Place) -> dict[str, Any]:
        """What is sent: each repeat has the next seed, so that it is another draw, and the same one in a replay."""
        chosen = order.parameters.chosen()
        if "seed" in chosen:
            chosen["seed"] += place.repeat
        return {name: value for name, value in chosen.items() if name not in self.left_out}

    def circumstances(self, order: Order, place: Place) -> dict[str, Any]:
        """Everything that is needed to ask the same again, and to say what was different."""
        contestant = self.contestant
        facts = {
            "contestant": contestant.name,
            "model": self.endpoint.model or contestant.model,
            "build": contestant.build,
            "revision": contestant.revision,
            "precision": contestant.precision,
            "recipe": contestant.recipe,
            "template_sha256": contestant.template,
            "base_url": contestant.base_url,
            "parameters": self.parameters(order, place),
            "left_out": list(self.left_out),
            "versions": {"heft": __version__, **(_versions() if contestant.is_local else {})},
            "price": self.price.facts(),
            **self.facts,
        }
        return {name: value for name, value in facts.items() if value not in (None, "", [], {})}


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
