"""What a trial is: who takes part, what is asked, and every request that was sent. Frozen, so they may cross threads.

An ``Order`` is what somebody asked for and never changes; a ``Trial`` is an order with its number; an ``Attempt`` is
one request to one contestant. The newest attempt at a place is its answer; older ones stay, because they cost money
too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from tui.chat.conversation import Parameters
from tui.chat.price import NANO

LEAST, MOST = 2, 8
"""How many contestants a trial has."""


class AttemptState(StrEnum):
    """Where a request stands."""

    STREAMING = "streaming"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    """The process that asked was killed in the middle; what had come is kept."""
    HELD = "held"
    """Not sent: the spend cap does not allow it."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those compared. ``kind`` is "build" (weights on this disk, loaded for the trial) or "endpoint" (reached by
    ``base_url``). ``model`` is the catalog id or repository of a build, or the name that an endpoint is asked for.
    ``catalog`` is the row of an API model; ``key_env`` the variable that holds its key. ``memory`` bytes and ``device``
    are the estimate for a build."""

    name: str
    ref: str
    kind: str
    model: str = ""
    build: str = ""
    path: str = ""
    revision: str = ""
    precision: str = ""
    recipe: Mapping[str, Any] | None = None
    quality: Mapping[str, Any] | None = None
    template: str = ""
    base_url: str = ""
    key_env: str = ""
    catalog: str = ""

    @property
    def is_local(self) -> bool:
        """Whether it is loaded on this machine."""
        return self.kind == "build"


@dataclass(frozen=True, slots=True)
class Prompt:
    """One entry of a prompt set: the turns that a person says one after another, and how the last answer is judged.

    ``expected`` are answers of which any is right; ``contains`` texts that must all be there, ``regex`` a pattern that
    must be found, ``schema`` a JSON schema (an empty table: any JSON); None where there is nothing to check.
    """

    turns: tuple[str, ...]
    id: str = ""
    system: str = ""
    expected: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    regex: str = ""
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is compared, how. ``max_cost`` in US dollars (None: no cap), ``timeout`` seconds of silence in an answer,
    ``memory`` bytes that the local models may take together (None: what is free), ``context`` tokens of a local one."""

    contestants: tuple[Contestant, ...]
    prompts: tuple[Prompt, ...]
    system: str = ""
    parameters: Parameters = field(default_factory=Parameters)
    repeat: int = 1
    max_cost: float | None = None
    timeout: float = 300.0
    memory: int | None = None
    context: int | None = None
    judge: Contestant | None = None
    embeddings: str = ""
    title: str = ""

    def places(self) -> list[Place]:
        """Every answer that is wanted, prompt by prompt, so that the columns fill side by side."""
        return [
            Place(number, prompt, turn, repeat)
            for prompt, said in enumerate(self.prompts)
            for repeat in range(self.repeat)
            for number in range(len(self.contestants))
            for turn in range(len(said.turns))
        ]

    def as_table(self) -> dict[str, Any]:
        """The order as JSON can hold it."""
        return asdict(self) | {"parameters": self.parameters.chosen()}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Order:
        """The reverse of ``as_table``; names that this version does not know are left out."""
        known = {name: value for name, value in table.items() if name in cls.__slots__}
        known["contestants"] = tuple(_contestant(row) for row in table["contestants"])
        known["prompts"] = tuple(_prompt(row) for row in table["prompts"])
        known["parameters"] = Parameters.from_chosen(table.get("parameters") or {})
        known["judge"] = _contestant(table["judge"]) if table.get("judge") else None
        return cls(**known)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an answer belongs: contestant and prompt by their numbers, turn of the conversation, and repeat."""

    contestant: int
    prompt: int
    turn: int = 0
    repeat: int = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request and what came of it. Tokens are those of the server, or counted here where ``counted`` is true;
    ``thinking_tokens`` are part of ``completion_tokens``. Times are in seconds, ``cost`` in billionths of a US dollar,
    None where no price is known. ``waited`` is time spent waiting out rate limits, which is in no other time."""

    id: int
    place: Place
    number: int
    state: AttemptState
    text: str = ""
    thinking: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    thinking_tokens: int | None = None
    cached_tokens: int | None = None
    counted: bool = False
    time_to_first_token: float | None = None
    seconds: float | None = None
    decode_rate: float | None = None
    prompt_rate: float | None = None
    cost: int | None = None
    waited: float = 0.0
    tries: int = 1
    problem: str = ""
    hint: str = ""
    circumstances: int = 0
    quality: Mapping[str, Any] = field(default_factory=dict)
    started: float = 0.0
    revision: int = 0

    @property
    def is_answer(self) -> bool:
        """Whether it need not be asked again."""
        return self.state is AttemptState.DONE


@dataclass(frozen=True, slots=True)
class Standing:
    """What was learned about a contestant as a whole: seconds to load, peak bytes while it answered, the job of its
    host, why it could not take part, and where it stands now in words."""

    load_seconds: float | None = None
    peak_memory: int | None = None
    host_job: int | None = None
    problem: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Trial:
    """An order with its number and where its job runs. ``replay_of`` is the trial that it repeats."""

    id: int
    order: Order
    title: str
    created: datetime
    updated: datetime
    job: int | None = None
    host: str = ""
    replay_of: int | None = None
    standings: Sequence[Standing] = ()
    answered: int = 0
    failed: int = 0
    cost: int = 0

    @property
    def wanted(self) -> int:
        """How many answers it has when it is complete."""
        turns = sum(len(prompt.turns) for prompt in self.order.prompts)
        return turns * self.order.repeat * len(self.order.contestants)


def newest(attempts: Sequence[Attempt]) -> dict[Place, Attempt]:
    """The answer at each place: its newest attempt."""
    found: dict[Place, Attempt] = {}
    for attempt in sorted(attempts, key=lambda item: item.id):
        found[attempt.place] = attempt
    return found


def dollars(nano: int | None) -> float | None:
    """A cost in US dollars."""
    return None if nano is None else nano / NANO


def _contestant(row: Mapping[str, Any]) -> Contestant:
    return Contestant(**{name: value for name, value in row.items() if name in Contestant.__slots__})


def _prompt(row: Mapping[str, Any]) -> Prompt:
    known = {name: value for name, value in row.items() if name in Prompt.__slots__}
    for name in ("turns", "expected", "contains"):
        known[name] = tuple(known.get(name) or ())
    return Prompt(**known)
