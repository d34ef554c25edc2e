"""What a trial would take, before it starts: which models are loaded together, and time, memory and cost.

Pure. Local models are loaded in waves: as many together as the fit estimate says there is room for, the next wave when
the last has left. Those of one device take turns to answer, so that no speed is measured while another model computes;
endpoints are asked beside them, each on its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tui.chat.conversation import Message
from tui.chat.price import Price
from tui.compare.asking import prompt_tokens_in
from tui.compare.trial import Order, Prompt, dollars
from tui.quantities import bytes_text

LIKELY_TOKENS = 200
"""Length of an answer that is assumed where this contestant has not answered before."""

REMOTE_RATE, REMOTE_FIRST = 60.0, 1.0
"""Tokens per second and seconds to the first one that are assumed of an endpoint that has not answered before."""

LOAD_SECONDS, LOAD_RATE = 6.0, 0.8e9
"""Seconds that libraries take to load, and bytes of weights per second after that, until a load was measured."""


@dataclass(frozen=True, slots=True)
class Room:
    """What a local contestant needs: ``memory`` bytes on ``device`` ("cuda" or "cpu"); ``free`` bytes are there now and
    ``capacity`` in all. ``loaded`` is one that answers already. ``problem`` says why it cannot take part. ``rate`` is
    the tokens per second that its weights allow."""

    memory: int = 0
    device: str = "cpu"
    free: int = 0
    capacity: int = 0
    loaded: bool = False
    problem: str = ""
    weights: int = 0
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class Typical:
    """How a contestant answered before: medians of earlier trials; None where there are none."""

    tokens: float | None = None
    decode_rate: float | None = None
    first: float | None = None
    load_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant in the plan. ``wave`` counts from 1, 0 is asked from the start (an endpoint), None: not at all.
    Costs are billionths of a US dollar: ``likely``, and ``most`` with every answer as long as it may be; None where no
    price is known."""

    name: str
    wave: int | None
    requests: int
    memory: int | None = None
    device: str = ""
    seconds: float | None = None
    likely: int | None = None
    most: int | None = None
    price: Mapping[str, object] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole. ``waves`` hold numbers of contestants; ``memory`` is the peak of all waves in bytes, by device;
    ``seconds``, ``likely`` and ``most`` are totals; ``judging`` counts the requests to the judge."""

    entries: tuple[Entry, ...]
    waves: tuple[tuple[int, ...], ...]
    seconds: float
    likely: int
    most: int
    memory: Mapping[str, int] = field(default_factory=dict)
    judging: int = 0
    unpriced: tuple[str, ...] = ()
    max_cost: float | None = None

    @property
    def able(self) -> int:
        """How many contestants can take part."""
        return sum(1 for entry in self.entries if entry.wave is not None)

    def words(self) -> list[str]:
        """The plan for people, a line each."""
        lines = []
        for number, wave in enumerate(self.waves, 1):
            names = ", ".join(self.entries[index].name for index in wave)
            sizes = sum(self.entries[index].memory or 0 for index in wave)
            together = "together" if len(wave) > 1 else "alone"
            lines.append(f"wave {number}: {names} {together}, {bytes_text(sizes)}")
        asked = [entry.name for entry in self.entries if entry.wave == 0]
        if asked:
            lines.append(f"from the start, side by side: {', '.join(asked)}")
        lines += [f"✗ {entry.name}: {entry.problem}" for entry in self.entries if entry.problem]
        return lines


def waves_of(rooms: Mapping[int, Room], budget: int | None = None) -> tuple[tuple[int, ...], ...]:
    """Numbers of contestants that are loaded together, wave by wave, in the order they were named.

    ``budget`` bytes bound what a wave takes on its device, besides what is free there. A model that answers already
    takes nothing more and comes first. One that fits no free device now has a wave of its own: its load waits there.
    """
    waves: list[list[int]] = []
    taken: list[dict[str, int]] = []
    able = [number for number, room in rooms.items() if not room.problem]
    for number in sorted(able, key=lambda number: not rooms[number].loaded):
        room = rooms[number]
        need = 0 if room.loaded else room.memory
        free = room.free if budget is None else min(room.free, budget)
        for wave, used in zip(waves, taken, strict=True):
            if used.get(room.device, 0) + need <= free:
                wave.append(number)
                used[room.device] = used.get(room.device, 0) + need
                break
        else:
            waves.append([number])
            taken.append({room.device: need})
    return tuple(tuple(wave) for wave in waves)


def make_plan(
    order: Order,
    rooms: Mapping[int, Room],
    prices: Sequence[Price],
    typical: Sequence[Typical],
    judge_price: Price | None = None,
    problems: Mapping[int, str] | None = None,
) -> Plan:
    """The plan of ``order``. ``rooms`` are those of the local contestants by number; ``prices`` and ``typical`` belong
    to the contestants in their order; ``problems`` say by number which endpoints cannot be asked."""
    waves = waves_of(rooms, order.memory)
    wave_of = {number: wave for wave, numbers in enumerate(waves, 1) for number in numbers}
    entries = []
    for number, contestant in enumerate(order.contestants):
        room = rooms.get(number)
        problem = room.problem if room else (problems or {}).get(number, "")
        wave = wave_of.get(number) if contestant.is_local else None if problem else 0
        asked = _requests(order, typical[number])
        likely, most = _costs(asked, order, prices[number])
        entries.append(
            Entry(
                name=contestant.name,
                wave=wave,
                requests=len(asked) if wave is not None else 0,
                memory=room.memory if room else None,
                device=room.device if room else "",
                seconds=_seconds(asked, room, typical[number]) if wave is not None else None,
                likely=likely,
                most=most,
                price=prices[number].facts(),
                problem=problem,
            )
        )
    local = sum(entry.seconds or 0 for entry in entries if entry.wave)
    remote = max((entry.seconds or 0 for entry in entries if entry.wave == 0), default=0.0)
    judging, judge_cost = _judging(order, sum(1 for entry in entries if entry.wave is not None), judge_price)
    return Plan(
        entries=tuple(entries),
        waves=waves,
        seconds=max(local, remote) + judging * 3.0,
        likely=sum(entry.likely or 0 for entry in entries if entry.wave is not None) + judge_cost,
        most=sum(entry.most or 0 for entry in entries if entry.wave is not None) + judge_cost,
        memory=_peak(waves, rooms),
        judging=judging,
        unpriced=tuple(entry.name for entry in entries if entry.wave is not None and entry.likely is None),
        max_cost=order.max_cost,
    )


def messages_of(prompt: Prompt, turn: int, answers: Sequence[str], system: str) -> list[Message]:
    """The conversation up to and with question ``turn``; ``answers`` are the contestant's own before it."""
    words = prompt.system or system
    messages = [Message("system", words)] if words else []
    for number, said in enumerate(prompt.turns[: turn + 1]):
        messages.append(Message("user", said))
        if number < turn:
            messages.append(Message("assistant", answers[number]))
    return messages


def _requests(order: Order, typical: Typical) -> list[tuple[int, float]]:
    """Prompt tokens and likely tokens of the answer for each request."""
    limit = order.parameters.max_tokens
    likely = typical.tokens or LIKELY_TOKENS
    likely = min(likely, limit) if limit else likely
    found = []
    for prompt in order.prompts:
        for turn in range(len(prompt.turns)):
            messages = messages_of(prompt, turn, [""] * turn, order.system)
            found += [(prompt_tokens_in(messages) + round(turn * likely), likely)] * order.repeat
    return found


def _costs(asked: Sequence[tuple[int, float]], order: Order, price: Price) -> tuple[int | None, int | None]:
    likely = [price.cost(prompt, round(tokens)) for prompt, tokens in asked]
    limit = order.parameters.max_tokens
    most = [price.cost(prompt, limit or round(tokens)) for prompt, tokens in asked]
    known = [cost for cost in likely if cost is not None], [cost for cost in most if cost is not None]
    return (sum(known[0]), sum(known[1])) if price.is_known else (None, None)


def _seconds(asked: Sequence[tuple[int, float]], room: Room | None, typical: Typical) -> float:
    if room is None:
        rate, first, load = typical.decode_rate or REMOTE_RATE, typical.first or REMOTE_FIRST, 0.0
    else:
        rate, first = typical.decode_rate or room.rate or 20.0, typical.first or 0.3
        load = 0.0 if room.loaded else typical.load_seconds or LOAD_SECONDS + room.weights / LOAD_RATE
    return load + sum(first + tokens / rate for _, tokens in asked)


def _judging(order: Order, able: int, price: Price | None) -> tuple[int, int]:
    if order.judge is None or price is None or able < 2:
        return 0, 0
    requests = 2 * (able * (able - 1) // 2) * len(order.prompts) * order.repeat
    each = price.cost(600 + 2 * LIKELY_TOKENS, 120) or 0
    return requests, requests * each


def _peak(waves: Sequence[Sequence[int]], rooms: Mapping[int, Room]) -> dict[str, int]:
    found: dict[str, int] = {}
    for wave in waves:
        sums: dict[str, int] = {}
        for number in wave:
            sums[rooms[number].device] = sums.get(rooms[number].device, 0) + rooms[number].memory
        for device, size in sums.items():
            found[device] = max(found.get(device, 0), size)
    return found


def cost_text(nano: int | None) -> str:
    """A cost for people: "$0.0123", "$2.10", a dash where no price is known."""
    amount = dollars(nano)
    if amount is None:
        return "—"
    if amount == 0:
        return "$0"
    return f"${amount:.2f}" if amount >= 1 else f"${amount:.4f}" if amount >= 0.0001 else f"${amount:.7f}".rstrip("0")
