"""What a check found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``state`` is "ok", "warning" or "problem"; ``hint`` says what to do."""

    name: str
    state: str
    summary: str
    hint: str = ""
