"""What an answer is worth, as far as a rule can tell. Each check is a number from 0 to 1, or a count.

Exact and contains ignore case, space at the ends and a last full stop. F1 is the overlap of words (SQuAD, Rajpurkar et
al. 2016); ROUGE-L the longest common subsequence (Lin 2004), by Google's rouge-score; a JSON schema is held by
jsonschema. Both libraries load only where a prompt asks for them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tui.compare.trial import Prompt

CHECKS = ("exact", "contains", "regex", "json", "schema", "f1", "rouge_l", "similarity")
"""The checks whose mean over prompts is a score, in the order of tables."""

_WORD = re.compile(r"\w+")
_REFUSALS = re.compile(
    r"^\W*(i['’]?m (really |very )?sorry|i apologi[sz]e|sorry,|i (can ?not|can['’]?t|won['’]?t|am (not able|unable))|"
    r"i['’]?m (not able|unable)|as an ai\b|unfortunately,? i (can|am))",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\n(.*?)\n?```\s*\Z", re.DOTALL)


def check(prompt: Prompt, text: str) -> dict[str, Any]:
    """Every check that ``prompt`` asks for, and the counts that every answer gets: ``words``, ``characters`` and
    whether it reads like a refusal."""
    found: dict[str, Any] = {
        "words": len(_WORD.findall(text)),
        "characters": len(text),
        "refusal": bool(_REFUSALS.search(text)),
    }
    if prompt.expected:
        found["exact"] = float(any(_plain(text) == _plain(right) for right in prompt.expected))
        found["f1"] = round(max(f1(text, right) for right in prompt.expected), 4)
        found["rouge_l"] = round(max(rouge_l(text, right) for right in prompt.expected), 4)
        if not prompt.contains:
            found["contains"] = float(any(_plain(right) in _plain(text) for right in prompt.expected))
    if prompt.contains:
        found["contains"] = float(all(part.casefold() in text.casefold() for part in prompt.contains))
    if prompt.regex:
        found["regex"] = float(re.search(prompt.regex, text, re.MULTILINE) is not None)
    if prompt.schema is not None:
        value = json_in(text)
        found["json"] = float(value is not None)
        if prompt.schema:
            found["schema"] = float(value is not None and _holds(value[0], prompt.schema))
    return found


def f1(text: str, reference: str) -> float:
    """Harmonic mean of precision and recall of words, each counted as often as it stands."""
    said, right = Counter(_words(text)), Counter(_words(reference))
    common = sum((said & right).values())
    if not common:
        return float(not said and not right)
    precision, recall = common / sum(said.values()), common / sum(right.values())
    return 2 * precision * recall / (precision + recall)


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F-measure, without stemming."""
    from rouge_score.rouge_scorer import RougeScorer

    return float(RougeScorer(["rougeL"]).score(reference, text)["rougeL"].fmeasure)


def json_in(text: str) -> tuple[Any] | None:
    """The JSON value that ``text`` is, bare or in one code fence; None when it is not one."""
    fenced = _FENCE.match(text)
    try:
        return (json.loads(fenced[1] if fenced else text),)
    except (ValueError, RecursionError):
        return None


def scores(qualities: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The mean of each check over the answers that have it, and the share of refusals."""
    found = {}
    for name in (*CHECKS, "refusal"):
        values = [float(quality[name]) for quality in qualities if name in quality]
        if values:
            found[name] = sum(values) / len(values)
    return found


def _holds(value: Any, schema: Any) -> bool:
    import jsonschema

    try:
        jsonschema.validate(value, schema)
    except (jsonschema.ValidationError, jsonschema.SchemaError, RecursionError):
        return False
    return True


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".").strip()


def _words(text: str) -> list[str]:
    return [word.casefold() for word in _WORD.findall(text)]
