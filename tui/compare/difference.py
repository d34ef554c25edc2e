"""Two trials held against each other: what was different about them, and which answers are not the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tui.compare.divergence import diverges
from tui.compare.metrics import Summary
from tui.compare.trial import Attempt, Place, Trial, newest

_TOLD = ("model", "build", "revision", "precision", "recipe", "template_sha256", "base_url", "parameters", "left_out",
         "versions", "price", "engine", "device", "dtype", "context")  # fmt: skip


def difference(
    before: tuple[Trial, Sequence[Attempt], Sequence[Summary], Mapping[int, Mapping[str, Any]]],
    after: tuple[Trial, Sequence[Attempt], Sequence[Summary], Mapping[int, Mapping[str, Any]]],
) -> dict[str, Any]:
    """Hold ``after`` against ``before``: each is a trial with its attempts, table and circumstances.

    Contestants are matched by name, prompts by their words. Gives ``same`` and ``changed`` counts, for each changed
    answer the first token that differs, for each contestant the circumstances and the medians that changed, and who or
    what is in one of them only.
    """
    old, new = before[0].order, after[0].order
    names = {item.name: number for number, item in enumerate(old.contestants)}
    asked = {prompt.turns: number for number, prompt in enumerate(old.prompts)}
    pairs = {number: names[item.name] for number, item in enumerate(new.contestants) if item.name in names}
    answers, earlier = newest(after[1]), newest(before[1])
    changed, same, missing = [], 0, 0
    for place, attempt in sorted(answers.items()):
        prompt = new.prompts[place.prompt]
        if place.contestant not in pairs or prompt.turns not in asked:
            continue
        there = Place(pairs[place.contestant], asked[prompt.turns], place.turn, place.repeat)
        other = earlier.get(there)
        if other is None or not other.is_answer or not attempt.is_answer:
            missing += 1
        elif other.text == attempt.text:
            same += 1
        else:
            parted = diverges(attempt.text, other.text)
            changed.append(
                {
                    "contestant": new.contestants[place.contestant].name,
                    "prompt": place.prompt,
                    "turn": place.turn,
                    "repeat": place.repeat,
                    "word": parted.token,
                    "character": parted.character,
                    "before": other.text,
                    "after": attempt.text,
                }
            )
    return {
        "before": before[0].id,
        "after": after[0].id,
        "same": same,
        "changed": len(changed),
        "not_in_both": missing,
        "answers": changed,
        "contestants": [
            {"name": new.contestants[number].name, **_one(number, other, before, after)}
            for number, other in pairs.items()
        ],
        "only_before": sorted(set(names) - {item.name for item in new.contestants}),
        "only_after": sorted({item.name for item in new.contestants} - set(names)),
        "prompts_changed": len({prompt.turns for prompt in new.prompts} ^ set(asked)),
        "cost": {"before": before[0].cost / 1e9, "after": after[0].cost / 1e9},
    }


def words_of(found: Mapping[str, Any]) -> list[str]:
    """A difference for people."""
    lines = [
        f"trial {found['after']} against {found['before']}: {found['same']} answers are the same,"
        f" {found['changed']} differ, {found['not_in_both']} are not in both"
    ]
    for item in found["contestants"]:
        for name, (old, new) in item["circumstances"].items():
            lines.append(f"  {item['name']}: {name} was {old}, is {new}")
        for name, (old, new) in item["medians"].items():
            share = f" ({new / old - 1:+.0%})" if old and new is not None else ""
            lines.append(f"  {item['name']}: {name} {_number(old)} → {_number(new)}{share}")
    for item in found["answers"]:
        where = f"prompt {item['prompt'] + 1}" + (f", repeat {item['repeat'] + 1}" if item["repeat"] else "")
        lines.append(f"  {item['contestant']}, {where}: differs from word {item['word'] + 1} on")
    lines += [f"  only in {found['before']}: {name}" for name in found["only_before"]]
    lines += [f"  only in {found['after']}: {name}" for name in found["only_after"]]
    return lines


def _one(
    number: int,
    other: int,
    before: tuple[Trial, Sequence[Attempt], Sequence[Summary], Mapping[int, Mapping[str, Any]]],
    after: tuple[Trial, Sequence[Attempt], Sequence[Summary], Mapping[int, Mapping[str, Any]]],
) -> dict[str, Any]:
    old, new = _facts(other, before), _facts(number, after)
    circumstances = {
        name: (_short(old.get(name)), _short(new.get(name))) for name in _TOLD if old.get(name) != new.get(name)
    }
    medians = {}
    for name in ("first", "decode_rate", "seconds"):
        values = getattr(before[2][other], name), getattr(after[2][number], name)
        if values[0] is not None or values[1] is not None:
            medians[name] = tuple(value.median if value else None for value in values)
    return {"circumstances": circumstances if old and new else {}, "medians": medians}


def _facts(
    number: int, side: tuple[Trial, Sequence[Attempt], Sequence[Summary], Mapping[int, Mapping[str, Any]]]
) -> Mapping[str, Any]:
    sent = [attempt for attempt in side[1] if attempt.place.contestant == number and attempt.is_answer]
    return side[3].get(sent[-1].circumstances, {}) if sent else {}


def _short(value: Any) -> Any:
    return value[:12] if isinstance(value, str) and len(value) == 64 else value


def _number(value: float | None) -> str:
    return "—" if value is None else f"{value:.3g}"
