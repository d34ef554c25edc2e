"""The board: who wins, from pairwise votes, with how sure that is.

Bradley-Terry (1952): the chance that i beats j is s_i / (s_i + s_j). The strengths of greatest likelihood come from
Hunter's MM iteration (Annals of Statistics 32, 2004); a tie, or both bad, is half a win for each. One tie of everybody
with an average player keeps somebody who never lost finite. Shown as Elo: 1000 for the average, 400 points for ten to
one. Intervals come from the curvature of the likelihood at its top (Fisher's information, the half ties included): with
one vote they are as wide as one vote deserves, where resampling the same vote again and again would call it certain.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tui.compare.ballot import Vote

MEAN, SCALE = 1000.0, 400.0
WIDTH = 1.96
"""Standard deviations to each side of a rating: 95 of 100."""
_ROUNDS, _CLOSE = 200, 1e-6
_GAINS = {"one": 1.0, "other": 0.0, "tie": 0.5, "neither": 0.5}


@dataclass(frozen=True, slots=True)
class Rank:
    """A line of the board. ``low`` and ``high`` bound the rating at 95 %, against the average of the players."""

    name: str
    rating: float
    low: float
    high: float
    votes: int
    wins: int
    losses: int
    ties: int
    both_bad: int


def board(votes: Sequence[Vote]) -> list[Rank]:
    """The ranking that ``votes`` give, best first; empty without votes."""
    rows = [(vote.one, vote.other, vote.outcome) for vote in votes]
    names = sorted({name for one, other, _ in rows for name in (one, other)})
    if not names:
        return []
    won, met = _games(names, Counter(rows))
    strength = _strengths(won, met)
    mean = sum(math.log10(strength[name]) for name in names) / len(names)
    ratings = {name: MEAN + SCALE * (math.log10(strength[name]) - mean) for name in names}
    deviations = _deviations(names, strength, met)
    ranks = [_rank(name, ratings[name], WIDTH * deviations[name], rows) for name in names]
    return sorted(ranks, key=lambda rank: -rank.rating)


_Met = dict[str, dict[str, float]]


def _games(names: Sequence[str], rows: Mapping[tuple[str, str, str], int]) -> tuple[dict[str, float], _Met]:
    """Wins of each player, and how often each pair met. The average player is called "" and ties once with each."""
    won: dict[str, float] = dict.fromkeys([*names, ""], 0.0)
    met: _Met = {name: {} for name in won}
    for (one, other, outcome), count in rows.items():
        _meet(won, met, one, other, _GAINS[outcome], count)
    for name in names:
        _meet(won, met, name, "", 0.5, 1)
    return won, met


def _strengths(won: Mapping[str, float], met: _Met) -> dict[str, float]:
    """The strengths of greatest likelihood, with a geometric mean of 1."""
    strength = dict.fromkeys(won, 1.0)
    for _ in range(_ROUNDS):
        new = {
            name: won[name] / sum(count / (strength[name] + strength[rival]) for rival, count in met[name].items())
            for name in won
        }
        middle = math.exp(sum(math.log(value) for value in new.values()) / len(new))
        new = {name: value / middle for name, value in new.items()}
        moved = max(abs(math.log(new[name] / strength[name])) for name in won)
        strength = new
        if moved < _CLOSE:
            break
    return strength


def _deviations(names: Sequence[str], strength: Mapping[str, float], met: _Met) -> dict[str, float]:
    """Standard deviation of each rating in Elo points, measured from the mean of the players."""
    information = [[0.0] * len(names) for _ in names]
    place = {name: number for number, name in enumerate(names)}
    for name, row in place.items():
        for rival, count in met[name].items():
            chance = strength[name] / (strength[name] + strength[rival])
            weight = count * chance * (1 - chance)
            information[row][row] += weight
            if rival in place:
                information[row][place[rival]] -= weight
    covariance = _inverse(information)
    size = len(names)
    means = [sum(row) / size for row in covariance]
    whole = sum(means) / size
    points = SCALE / math.log(10)
    return {
        name: points * math.sqrt(max(0.0, covariance[row][row] - 2 * means[row] + whole)) for name, row in place.items()
    }


def _inverse(matrix: Sequence[Sequence[float]]) -> list[list[float]]:
    """The inverse of a positive definite matrix, by elimination."""
    size = len(matrix)
    rows = [[*row, *(float(column == number) for column in range(size))] for number, row in enumerate(matrix)]
    for pivot in range(size):
        head = rows[pivot][pivot]
        rows[pivot] = [value / head for value in rows[pivot]]
        for number in range(size):
            factor = rows[number][pivot]
            if number != pivot and factor:
                rows[number] = [value - factor * base for value, base in zip(rows[number], rows[pivot], strict=True)]
    return [row[size:] for row in rows]


def _meet(
    won: dict[str, float], met: dict[str, dict[str, float]], one: str, other: str, gain: float, count: float
) -> None:
    won[one] += gain * count
    won[other] += (1 - gain) * count
    met[one][other] = met[one].get(other, 0.0) + count
    met[other][one] = met[other].get(one, 0.0) + count


def _rank(name: str, rating: float, half: float, rows: Sequence[tuple[str, str, str]]) -> Rank:
    mine = [(one, outcome) for one, other, outcome in rows if name in (one, other)]
    wins = sum(outcome == ("one" if one == name else "other") for one, outcome in mine)
    ties = sum(outcome == "tie" for _, outcome in mine)
    bad = sum(outcome == "neither" for _, outcome in mine)
    losses = len(mine) - wins - ties - bad
    return Rank(name, rating, rating - half, rating + half, len(mine), wins, losses, ties, bad)
