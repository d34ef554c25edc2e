"""Votes: which of two answers is better, by a person who does not see the names, or by a judge model."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from tui.compare.trial import Attempt, Place, Trial, newest

PERSON = "person"
"""The voter who is no model."""


@dataclass(frozen=True, slots=True)
class Vote:
    """``one`` against ``other`` (names of contestants) at a prompt. ``outcome`` is "one", "other", "tie" or "neither"
    (both bad). ``voter`` is ``PERSON`` or the name of a judge; a judge's tokens and cost (billionths of a US dollar)
    stand here, and its words in ``facts``."""

    trial: int
    prompt: int
    repeat: int
    one: str
    other: str
    outcome: str
    voter: str = PERSON
    facts: Mapping[str, Any] = field(default_factory=dict)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: int | None = None
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to one prompt as a voter sees them: ``left`` and ``right`` are shuffled."""

    trial: int
    prompt: int
    repeat: int
    left: Attempt
    right: Attempt
    left_name: str
    right_name: str

    def vote(self, choice: str, voter: str = PERSON, **facts: Any) -> Vote:
        """The vote for "left", "right", "tie" or "neither"; names stand in alphabetical order, whatever was seen."""
        ordered = self.left_name <= self.right_name
        one, other = sorted((self.left_name, self.right_name))
        sides = {"left": "one" if ordered else "other", "right": "other" if ordered else "one"}
        return Vote(self.trial, self.prompt, self.repeat, one, other, sides.get(choice, choice), voter, facts)


def pairs(trial: Trial, attempts: Sequence[Attempt], votes: Sequence[Vote], voter: str = PERSON) -> Iterator[Pair]:
    """The pairs on which ``voter`` has not voted yet, in an order and on sides that give no name away.

    Only whole answers are shown, and only the last turn of a conversation is voted on. Answers that are the same,
    letter by letter, leave nothing to choose.
    """
    seen = {(vote.prompt, vote.repeat, vote.one, vote.other) for vote in votes if vote.voter == voter}
    answers = {place: attempt for place, attempt in newest(attempts).items() if attempt.is_answer}
    names = [contestant.name for contestant in trial.order.contestants]
    found: list[Pair] = []
    for prompt, said in enumerate(trial.order.prompts):
        for repeat in range(trial.order.repeat):
            places = [Place(number, prompt, len(said.turns) - 1, repeat) for number in range(len(names))]
            there = [answers[place] for place in places if place in answers]
            for left, right in combinations(there, 2):
                one, other = sorted((names[left.place.contestant], names[right.place.contestant]))
                if (prompt, repeat, one, other) in seen or left.text.strip() == right.text.strip():
                    continue
                sides = (right, left) if _coin(trial.id, prompt, repeat, one, other) else (left, right)
                shown = [names[side.place.contestant] for side in sides]
                found.append(Pair(trial.id, prompt, repeat, *sides, *shown))
    yield from sorted(found, key=lambda pair: _mark(pair.trial, pair.prompt, pair.repeat, pair.left.id, pair.right.id))


def _coin(*facts: object) -> bool:
    """The same side for the same pair each time, and nothing that a voter could guess from the names."""
    return _mark(*facts)[0] % 2 == 0


def _mark(*facts: object) -> bytes:
    """Shuffles: the order of a vote stays the same when others were cast."""
    return hashlib.sha256(repr(facts).encode()).digest()
