"""The plan: who is loaded together, what it takes, what it costs at most."""

from __future__ import annotations

from decimal import Decimal

from tests.compare.panels import build, endpoint, order
from tui.chat.conversation import Parameters
from tui.chat.price import Price, _linear
from tui.compare.plan import Room, Typical, make_plan, messages_of, waves_of
from tui.compare.trial import Prompt

GB = 10**9
FREE = Price("local", amount=lambda *tokens: Decimal(0))


def test_as_many_together_as_there_is_room_for() -> None:
    rooms = {number: Room(size * GB, free=10 * GB) for number, size in enumerate((6, 5, 4, 3))}
    assert waves_of(rooms) == ((0, 2), (1, 3))


def test_a_budget_bounds_them_and_one_that_does_not_fit_now_waits_alone() -> None:
    rooms = {0: Room(4 * GB, free=20 * GB), 1: Room(4 * GB, free=20 * GB), 2: Room(30 * GB, free=20 * GB)}
    assert waves_of(rooms, 6 * GB) == ((0,), (1,), (2,))


def test_what_is_loaded_takes_nothing_more_and_what_cannot_be_loaded_is_left_out() -> None:
    rooms = {0: Room(8 * GB, free=9 * GB), 1: Room(8 * GB, free=9 * GB, loaded=True), 2: Room(problem="too large")}
    assert waves_of(rooms) == ((1, 0),)


def test_devices_are_counted_apart() -> None:
    rooms = {0: Room(8 * GB, "cuda", free=9 * GB), 1: Room(8 * GB, "cpu", free=9 * GB)}
    assert waves_of(rooms) == ((0, 1),)


def test_totals() -> None:
    wanted = order(build("b"), endpoint("paid"), endpoint("odd"), prompts=2, repeat=3, max_cost=2.0)
    prices = [FREE, _linear("config.toml", "", Decimal(1), Decimal(10)), Price("unknown")]
    rooms = {0: Room(2 * GB, "cpu", free=9 * GB, weights=GB, rate=10.0)}
    plan = make_plan(wanted, rooms, prices, [Typical(tokens=20, load_seconds=4.0), Typical(tokens=32), Typical()])
    paid = plan.entries[1]
    assert paid.requests == 6 and paid.most is not None and paid.likely is not None
    assert paid.most - paid.likely == 6 * (64 - 32) * 10_000  # max_tokens instead of what is usual
    assert plan.unpriced == ("odd",) and plan.most == paid.most
    local = plan.entries[0]
    assert local.wave == 1 and local.seconds is not None and abs(local.seconds - (4 + 6 * (0.3 + 2))) < 0.01
    assert plan.memory == {"cpu": 2 * GB}


def test_a_judge_is_asked_twice_for_each_pair() -> None:
    wanted = order(endpoint("a"), endpoint("b"), endpoint("c"), prompts=2, judge=endpoint("j"))
    assert make_plan(wanted, {}, [FREE] * 3, [Typical()] * 3, FREE).judging == 2 * 3 * 2


def test_a_conversation_goes_on_from_its_own_answers() -> None:
    said = messages_of(Prompt(("one", "two"), system="own"), 1, ["answer one"], "shared")
    assert [(item.role, item.content) for item in said] == [
        ("system", "own"), ("user", "one"), ("assistant", "answer one"), ("user", "two"),
    ]  # fmt: skip
    assert Parameters().chosen() == {}
