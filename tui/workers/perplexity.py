"""Perplexity: how surprised a model is by a text, per token. One definition for before, after and ``evaluate``.

exp of the mean negative log likelihood over all scored tokens. A text longer than the context is read in windows that
overlap by half; each token is scored once, with at least half a context before it where the text has that much
(the strided form of https://huggingface.co/docs/transformers/perplexity).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tui.workers.calibration import token_ids

WINDOW = 1024
"""Longest window in tokens; a longer context costs time and memory for logits, and changes the number little."""
LIMIT = 8192
"""Most tokens scored; of more text than that, evenly spaced texts are taken."""

Listener = Callable[[Any, int], None]
"""Gets logits [positions, vocabulary] and the number of positions of the whole measurement."""


@dataclass(frozen=True, slots=True)
class Perplexity:
    """``value`` over ``tokens`` scored tokens; infinite or not a number when the model is broken."""

    value: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Window:
    """Token ids that are read at once; those from ``first`` on are scored."""

    ids: tuple[int, ...]
    first: int

    @property
    def scored(self) -> int:
        """How many tokens are scored."""
        return len(self.ids) - self.first


def perplexity(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    context: int,
    limit: int = LIMIT,
    step: Callable[[int], None] = lambda tokens: None,
    listen: Listener | None = None,
) -> Perplexity:
    """Score ``texts`` with ``model`` on the device it is on. ``step`` hears how many tokens are scored and may raise to
    stop; ``listen`` gets the logits of every scored position, always in the same order, and how many there will be."""
    length = min(context, WINDOW)
    rows = choose([token_ids(tokenizer, text) for text in texts], limit)
    loss, count = 0.0, 0
    found = [window for row in rows for window in windows(row, length)]
    total = sum(window.scored for window in found)
    for batch in batches(found, length):
        loss += _loss(model, batch, None if listen is None else lambda logits: listen(logits, total))
        count += sum(window.scored for window in batch)
        step(count)
    if not count:
        return Perplexity(math.nan, 0)
    mean = loss / count
    return Perplexity(math.exp(mean) if mean < 700 else math.inf, count)


def choose(rows: Sequence[list[int]], limit: int) -> list[list[int]]:
    """Evenly spaced rows with at most ``limit`` tokens in all; a single long row is cut."""
    total = sum(map(len, rows))
    if total <= limit:
        return list(rows)
    share, chosen, seen, used = limit / total, [], 0, 0
    for row in rows:
        seen += len(row)
        if used < seen * share and used < limit:
            chosen.append(row[: limit - used])
            used += len(chosen[-1])
    return chosen


def windows(ids: Sequence[int], length: int) -> Iterator[Window]:
    """Cut ``ids`` into windows of at most ``length`` tokens. The first token of all is never scored, every other one
    exactly once."""
    first, end = 1, min(len(ids), length)
    while first < end:
        start = max(0, end - length)
        yield Window(tuple(ids[start:end]), first - start)
        first, end = end, min(len(ids), end + max(1, length // 2))


def batches(found: Sequence[Window], tokens: int) -> Iterator[list[Window]]:
    """Group windows of like length so that a group, padded, holds at most ``tokens`` tokens."""
    group: list[Window] = []
    for window in sorted(found, key=lambda item: len(item.ids), reverse=True):
        if group and len(group[0].ids) * (len(group) + 1) > tokens:
            yield group
            group = []
        group.append(window)
    if group:
        yield group


def _loss(model: Any, batch: Sequence[Window], listen: Callable[[Any], None] | None = None) -> float:
    # Padding stands on the right, where a causal model cannot see it from the tokens that are scored.
    import torch
    from torch.nn.functional import cross_entropy

    width = len(batch[0].ids)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    wanted = torch.full((len(batch), width), -100)
    for row, window in enumerate(batch):
        ids[row, : len(window.ids)] = torch.tensor(window.ids)
        wanted[row, window.first : len(window.ids)] = torch.tensor(window.ids[window.first :])
    with torch.inference_mode():
        logits = model(input_ids=ids.to(model.device), use_cache=False).logits[:, :-1].float().flatten(0, 1)
        targets = wanted[:, 1:].flatten().to(logits.device)
        if listen is not None:
            listen(logits[targets != -100])
        return float(cross_entropy(logits, targets, reduction="sum", ignore_index=-100))
