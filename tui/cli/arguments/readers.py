"""Reading one word of the command line; what cannot be read says why."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeAlias

from tui.errors import UsageError

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def read(reader: Callable[[str], int]) -> Callable[[str], int]:
    """``reader`` as argparse takes it: what it cannot read is said with its hint."""

    def number(text: str) -> int:
        try:
            return reader(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(f"{error.summary}; {error.hint}") from None

    return number


def seconds(text: str) -> float:
    """Seconds, 0 or more."""
    number = float(text)
    if not 0 <= number < 1e7:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds")
    return number


def dollars(text: str) -> float:
    """US dollars, with or without their sign."""
    number = float(text.removeprefix("$"))
    if not 0 <= number < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not an amount of US dollars")
    return number


def positive(text: str) -> int:
    """A whole number of at least 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return number
