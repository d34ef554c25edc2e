"""Requests are classes with fields, as dataclasses are."""

from __future__ import annotations

import pytest

from tui.ui.request import Request


class Wanted(Request):
    """Something is wanted."""

    what: str
    count: int = 1


class WantedSoon(Wanted):
    """Something is wanted in so many seconds."""

    seconds: float = 0.5


def test_fields_are_given_by_place_by_name_or_by_default() -> None:
    first, second = Wanted("bread"), Wanted("milk", count=2)
    assert (first.what, first.count, second.what, second.count) == ("bread", 1, "milk", 2)
    assert first.handler_name == "on_wanted" and first.bubble


def test_fields_of_the_parent_come_first() -> None:
    found = WantedSoon("bread", 3, 0.1)
    assert (found.what, found.count, found.seconds) == ("bread", 3, 0.1)


@pytest.mark.parametrize(
    ("values", "named", "words"),
    [
        ((), {}, "needs what"),
        (("bread", 1, 2), {}, "takes 2 values, not 3"),
        (("bread",), {"color": "white"}, "has no color"),
    ],
)
def test_what_does_not_fit_is_refused(values: tuple[object, ...], named: dict[str, object], words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Wanted(*values, **named)
