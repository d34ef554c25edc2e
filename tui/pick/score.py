"""How good each row is for what was asked: four scores from 0 to 1, and which questions put it first.

The catalog holds no benchmark results, so quality is said to be what it is: a guess from size, age and precision for
weights, and from the maker's own price for APIs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tui.fit.precision import parse_precision
from tui.pick.filters import READING_RATE, TASK_SPECIFIC, Candidate
from tui.pick.wishes import Wishes

TOKENS_IN, TOKENS_OUT = 500, 250
"""A request, for its price: a page of text in, half a page out."""

ROOM = 0.25
"""Share of the free memory that stays free from which more of it is no better."""

LOW_PRICE = 1.0
"""US dollars per thousand such requests up to which an API counts as cheap."""

TOP_QUALITY = 0.9
"""Score of quality from which an API is of the top tier."""

SMALL_PARAMS = 8_600_000_000
"""Parameters up to which one consumer card trains an adapter; rows that call themselves 8B have up to 8.5B."""

_DOUBLING_YEARS = 1.0
"""A model of one year is as good as one of twice its size a year before: a cautious reading of the published trend."""
_BITS_LOST = {2: 0.25, 3: 0.10, 4: 0.03, 8: 0.005}
_OUTDONE = ("superseded", "replaced by", "dated")
_CLASSES = (5.5e9, 20e9, 90e9)
_OPEN_CLASS = ("mistral", "llama", "qwen", "gemma", "granite", "olmo", "phi", "ministral")


@dataclass(frozen=True, slots=True)
class Scores:
    """Each from 0 (worst) to 1 (best)."""

    quality: float
    cost: float
    latency: float
    margin: float

    def weighted(self, weights: Mapping[str, float]) -> float:
        """The mean with ``weights`` by name."""
        total = sum(float(getattr(self, name)) * weight for name, weight in weights.items())
        return total / sum(weights.values())


def scores_of(candidate: Candidate) -> Scores:
    """The four scores of one row."""
    price, rate, fit = request_price(candidate), candidate.rate, candidate.fit
    if candidate.model.is_api:
        return Scores(_api_quality(candidate), 1 / (1 + (price or 0.0)), 0.6, 0.5)
    latency = 0.3 if rate is None else min(1.0, rate / (6 * READING_RATE))
    if candidate.model.kind in TASK_SPECIFIC:
        latency = 1.0
    margin = 1 - (fit.total or 0) / fit.free if fit.free else 0.0
    return Scores(_local_quality(candidate), 1.0, latency, min(1.0, max(0.0, margin) / ROOM))


def weights_of(wishes: Wishes) -> dict[str, float]:
    """How much each score counts: all the same, and what was asked for more."""
    weights = {"quality": 1.0, "cost": 1.0, "latency": 1.0, "margin": 1.0}
    if wishes.performance == "best":
        weights["quality"] = 6.0
    elif wishes.performance == "good":
        weights["quality"], weights["cost"] = 3.0, 2.0
    else:
        weights["quality"] = 2.0
    if wishes.budget == "low":
        weights["cost"] *= 2
    if wishes.latency == "fast":
        weights["latency"] = 3.0
    return weights


def request_price(candidate: Candidate) -> float | None:
    """US dollars per thousand requests of ``TOKENS_IN`` and ``TOKENS_OUT`` tokens; 0 on this machine, None unknown."""
    api = candidate.model.api
    if not candidate.model.is_api or api is None:
        return 0.0
    if api.price_in is None or api.price_out is None:
        return None
    return (TOKENS_IN * api.price_in + TOKENS_OUT * api.price_out) / 1000


def preferred(candidate: Candidate, wishes: Wishes) -> tuple[str, ...]:
    """The questions whose answer puts this row first, in words; a later question outranks an earlier one."""
    found = [*_by_budget(candidate, wishes), *_by_performance(candidate, wishes)]
    if wishes.finetune and wishes.specialised and not candidate.model.is_api:
        if candidate.model.kind in TASK_SPECIFIC:
            found.append("fine-tuning: an encoder for one task is trained in minutes")
        elif (candidate.model.params or SMALL_PARAMS + 1) <= SMALL_PARAMS:
            found.append("fine-tuning: open and small enough to train an adapter")
    return tuple(found)


def rank(candidate: Candidate, wishes: Wishes) -> tuple[float, ...]:
    """What rows are sorted by, the best one smallest: usable before unbearably slow, then the questions from the last
    to the first, then the size class where the largest was asked for, then the score."""
    rate = candidate.rate
    crawls = wishes.latency == "" and rate is not None and rate < 1.0 and candidate.model.kind not in TASK_SPECIFIC
    words = preferred(candidate, wishes)
    order = [0.0 if any(word.startswith(name) for word in words) else 1.0 for name in _QUESTIONS]
    largest = -float(size_class(candidate)) if wants_largest(wishes) else 0.0
    return (float(crawls), *order, largest, -scores_of(candidate).weighted(weights_of(wishes)))


_QUESTIONS = ("fine-tuning", "performance", "budget", "privacy")


def wants_largest(wishes: Wishes) -> bool:
    """The best without APIs, or little money and privacy: the largest local model that this machine holds."""
    return wishes.at_home and (wishes.performance == "best" or (wishes.budget == "low" and wishes.privacy))


def size_class(candidate: Candidate) -> int:
    """0: up to 3B, 1: 7 to 13B, 2: 30 to 70B, 3: more; a mixture by what it is worth."""
    return sum(_worth(candidate) > limit for limit in _CLASSES)


def _by_budget(candidate: Candidate, wishes: Wishes) -> list[str]:
    api, price = candidate.model.is_api, request_price(candidate)
    if api:
        cheap = wishes.budget == "low" and price is not None and price <= LOW_PRICE
        return ["budget: a cheap API, paid by use"] if cheap else []
    if wishes.privacy:
        return ["privacy: nothing leaves this machine"]
    return ["budget: open weights of your own"] if wishes.budget == "high" else []


def _by_performance(candidate: Candidate, wishes: Wishes) -> list[str]:
    model, price = candidate.model, request_price(candidate)
    if wishes.performance == "best":
        affordable = wishes.budget != "low" or (price is not None and price <= LOW_PRICE)
        top = model.is_api and affordable and _api_quality(candidate) >= TOP_QUALITY
        return ["performance: of the top tier"] if top else []
    if wishes.performance != "good":
        return []
    if model.is_api:
        return ["performance: of the cheap API tier"] if price is not None and price <= LOW_PRICE else []
    usual = model.family.casefold().startswith(_OPEN_CLASS) and size_class(candidate) == 1
    return ["performance: an open model of the 7 to 13B class"] if usual else []


def _api_quality(candidate: Candidate) -> float:
    api = candidate.model.api
    if api is None or api.price_out is None:
        return 0.7
    # 0.15 dollars per million tokens and less: 0.72; 20 dollars: 0.98
    return min(1.0, max(0.72, 0.82 + 0.054 * math.log(api.price_out)))


def _local_quality(candidate: Candidate) -> float:
    model = candidate.model
    worth = _worth(candidate) * 2 ** (_years(model.released) / _DOUBLING_YEARS)
    quality = min(1.0, max(0.0, math.log10(max(worth, 1.0) / 1e8) / 4))
    bits = int(parse_precision(candidate.fit.precision).bits) if candidate.fit.precision.startswith("gptq") else 16
    outdone = 0.05 if any(word in model.limitations for word in _OUTDONE) else 0.0
    return max(0.0, quality - _BITS_LOST.get(bits, 0.0) - outdone)


def _worth(candidate: Candidate) -> float:
    """Parameters; for a mixture the geometric mean of all and active ones, the usual rule of thumb."""
    params, active = candidate.model.params or 0, candidate.model.active_params
    return math.sqrt(params * active) if active else float(params)


def _years(released: str) -> float:
    """Years from January 2023 to a date like "2025-04"; 0 where it is not known."""
    try:
        year, month = int(released[:4]), int(released[5:7] or 1)
    except ValueError:
        return 0.0
    return max(-2.0, year - 2023 + (month - 1) / 12)
