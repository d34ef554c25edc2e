"""Bounds on what a chat template may blow up.

Jinja's sandbox keeps a template from files and from code, but not from memory: it computes ``'a' * 10**9`` while it
compiles, also where the template never gets there, and ``9**9**9**9`` never ends. transformers renders in that sandbox,
in an environment of its own making, so the bound is set on the sandbox's class, for the process.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

LONGEST = 1_000_000
"""Characters or items that a template may multiply something to."""
_LARGEST = 2**63


def bound_templates() -> None:
    """Let ``*``, ``**`` and ``%`` of all sandboxed templates here refuse huge results with ``ValueError``."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class_ = ImmutableSandboxedEnvironment
    if class_.intercepted_binops != _CHECKED:
        class_.intercepted_binops = _CHECKED  # Jinja folds no intercepted operator
        class_.call_binop = _bounded


_CHECKED = frozenset({"*", "**", "%"})


def _bounded(environment: Any, context: object, operator: str, left: Any, right: Any) -> Any:
    if operator == "*":
        for many, times in ((left, right), (right, left)):
            if isinstance(many, Sized) and isinstance(times, int) and len(many) * times > LONGEST:
                raise ValueError(f"the template repeats something {times:,} times")
    elif operator == "**" and not (abs(left) <= _LARGEST and abs(right) <= 64):
        raise ValueError("the template takes a power that is too large")
    elif operator == "%" and isinstance(left, str) and any(number > LONGEST for number in _numbers(left, right)):
        raise ValueError("the template formats to more than it may")
    return environment.binop_table[operator](left, right)


def _numbers(form: str, values: Any) -> list[int]:
    """Widths that a format may ask for: those in it, and those that it takes from its values."""
    words = "".join(letter if letter.isdecimal() else " " for letter in form).split()
    given = values if isinstance(values, tuple) else (values,)
    wide = [value for value in given if isinstance(value, int)] if "*" in form else []
    return [int(word[:12]) for word in words] + wide
