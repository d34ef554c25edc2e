"""The one metric set, for local models and APIs alike: medians with their spread, and totals to the token.

Load time is apart from the time to the first token. A rate over a handful of tokens is left out. Totals count every
request that was sent, also those that failed or were lost, because they were paid for.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from tui.compare.checks import scores
from tui.compare.trial import Attempt, AttemptState, Standing, Trial, dollars, newest


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the quartiles around it (equal to it below four values), and of how many values."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One contestant's line of the table. Times in seconds, rates in tokens per second, tokens of all requests sent;
    ``counted_tokens`` of them were counted here, for no server did. ``cost`` in billionths of a US dollar (None: no
    price known), and ``per_thousand`` what a thousand such answers would cost."""

    name: str
    answered: int
    wanted: int
    failed: int
    held: int
    requests: int
    first: Spread | None
    prompt_rate: Spread | None
    decode_rate: Spread | None
    seconds: Spread | None
    load_seconds: float | None
    peak_memory: int | None
    prompt_tokens: int
    completion_tokens: int
    thinking_tokens: int
    counted_tokens: int
    cost: int | None
    per_thousand: int | None
    waited: float
    problem: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    perplexity: float | None = None
    kl_divergence: float | None = None
    """Against the unquantized model, in nats, where quantizing measured it."""

    def facts(self) -> dict[str, Any]:
        """The summary as JSON; costs in US dollars."""
        table = asdict(self)
        table["cost"], table["per_thousand"] = dollars(self.cost), dollars(self.per_thousand)
        return table


def spread_of(values: Iterable[float | None]) -> Spread | None:
    """Median and quartiles of what is known; None when nothing is."""
    known = sorted(value for value in values if value is not None)
    if not known:
        return None
    middle = statistics.median(known)
    if len(known) < 4:
        return Spread(middle, known[0], known[-1], len(known))
    low, _, high = statistics.quantiles(known, n=4, method="inclusive")
    return Spread(middle, low, high, len(known))


def summaries(
    trial: Trial, attempts: Sequence[Attempt], benchmarks: Mapping[str, Mapping[str, float]] | None = None
) -> list[Summary]:
    """A line for each contestant, in their order; ``benchmarks`` are scores of tasks by contestant and label."""
    return [
        _summary(trial, number, attempts, (benchmarks or {}).get(contestant.name, {}))
        for number, contestant in enumerate(trial.order.contestants)
    ]


def _summary(trial: Trial, number: int, attempts: Sequence[Attempt], measured: Mapping[str, float]) -> Summary:
    contestant = trial.order.contestants[number]
    standing = trial.standings[number] if number < len(trial.standings) else Standing()
    sent = [attempt for attempt in attempts if attempt.place.contestant == number]
    last = list(newest(sent).values())
    answers = [attempt for attempt in last if attempt.is_answer]
    costs = [attempt.cost for attempt in sent if attempt.cost is not None]
    known = len(costs) == len([attempt for attempt in sent if attempt.state is not AttemptState.HELD])
    paid = [attempt.cost for attempt in answers if attempt.cost is not None]
    quality = contestant.quality or {}

    def total(of: Callable[[Attempt], int | None]) -> int:
        return sum(of(attempt) or 0 for attempt in sent)

    def both(attempt: Attempt) -> int:
        return (attempt.prompt_tokens or 0) + (attempt.completion_tokens or 0) if attempt.counted else 0

    return Summary(
        name=contestant.name,
        answered=len(answers),
        wanted=trial.wanted // len(trial.order.contestants),
        failed=sum(attempt.state in (AttemptState.FAILED, AttemptState.LOST) for attempt in last),
        held=sum(attempt.state is AttemptState.HELD for attempt in last),
        requests=sum(attempt.state is not AttemptState.HELD for attempt in sent),
        first=spread_of(attempt.time_to_first_token for attempt in answers),
        prompt_rate=spread_of(attempt.prompt_rate for attempt in answers),
        decode_rate=spread_of(attempt.decode_rate for attempt in answers),
        seconds=spread_of(attempt.seconds for attempt in answers),
        load_seconds=standing.load_seconds,
        peak_memory=standing.peak_memory,
        prompt_tokens=total(lambda attempt: attempt.prompt_tokens),
        completion_tokens=total(lambda attempt: attempt.completion_tokens),
        thinking_tokens=total(lambda attempt: attempt.thinking_tokens),
        counted_tokens=total(both),
        cost=sum(costs) if sent and known else None,
        per_thousand=round(1000 * sum(paid) / len(paid)) if paid and len(paid) == len(answers) else None,
        waited=sum(attempt.waited for attempt in sent),
        problem=standing.problem or next((item.problem for item in last if item.problem and not item.is_answer), ""),
        scores={**scores([dict(attempt.quality) for attempt in answers]), **measured},
        perplexity=quality.get("perplexity_after") or quality.get("perplexity_before"),
        kl_divergence=quality.get("kl_divergence"),
    )
