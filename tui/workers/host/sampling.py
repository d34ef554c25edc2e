"""From logits to the next token.

Order: bias and penalties, temperature, top_k, top_p, min_p, then the draw. The vocabulary is never sorted as a whole
unless the kept share asks for it: the largest few hundred nearly always hold it; where they do not, more are sorted.

The draw is a race (the Gumbel-max trick): each token's luck depends on the seed, its place in the text and its own id
alone, and the best of share and luck wins. So the order of the candidates never matters, and an answer that was cut
and goes on is the one that would have been written at once. A seed promises the same answer for the same prompt,
parameters, build and machine, as far as the model's logits are the same: a prompt that is read in other pieces, because
some of it was cached, moves their last bits, and a token changes where two candidates were that close to each other.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tui.workers.host.request import Sampling

CANDIDATES = 256
"""How many of the largest logits are looked at first."""


@dataclass(frozen=True, slots=True)
class Choice:
    """How tokens are drawn, with nothing left open. ``top_k`` 0 and ``top_p`` 1 keep all."""

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    seed: int = 0
    logit_bias: Mapping[int, float] = field(default_factory=dict)


def choice_for(wanted: Sampling, generation: Any) -> Choice:
    """What a request leaves open is taken from the model's own generation defaults; greedy models stay greedy."""

    def default(name: str, otherwise: float) -> Any:
        found = getattr(generation, name, None)
        return otherwise if found is None else found

    samples = bool(getattr(generation, "do_sample", False))
    temperature = default("temperature", 1.0) if samples else 0.0
    top_k = wanted.top_k if wanted.top_k is not None else (int(default("top_k", 0)) if samples else 0)
    return Choice(
        temperature=temperature if wanted.temperature is None else wanted.temperature,
        top_p=_first(wanted.top_p, default("top_p", 1.0) if samples else 1.0),
        top_k=max(0, top_k),
        min_p=_first(wanted.min_p, default("min_p", 0.0) if samples else 0.0),
        repetition_penalty=_first(wanted.repetition_penalty, default("repetition_penalty", 1.0)),
        frequency_penalty=wanted.frequency_penalty or 0.0,
        presence_penalty=wanted.presence_penalty or 0.0,
        seed=secrets.randbits(63) if wanted.seed is None else wanted.seed,
        logit_bias=wanted.logit_bias,
    )


def _first(wanted: float | None, otherwise: float) -> float:
    return otherwise if wanted is None else wanted


class Sampler:
    """Draws the tokens of one answer. ``prompt`` counts for the repetition penalty, as in transformers.

    With ``chances`` the last token drawn and so many of the likeliest stand in ``likeliest``, each with the natural
    logarithm of its chance as the model has it, before bias, penalties and temperature.
    """

    def __init__(self, choice: Choice, prompt: Sequence[int], chances: int | None = None) -> None:
        import torch

        self._torch = torch
        self._choice = choice
        self._seen = set(prompt) if choice.repetition_penalty != 1 else set()
        self._written: Counter[int] = Counter()
        self._place = len(prompt)
        self._chances = chances
        self.likeliest: tuple[tuple[int, float], ...] = ()
        self._needs_change = bool(
            choice.logit_bias or choice.repetition_penalty != 1 or choice.frequency_penalty or choice.presence_penalty
        )

    def draw(self, logits: Any) -> int:
        """The next token from ``logits`` of shape [vocabulary]; remembers it for the penalties."""
        own = logits = logits.float()
        if self._needs_change:
            logits = self._changed(logits)
        token = int(logits.argmax()) if self._choice.temperature == 0 else self._drawn(logits)
        if self._chances is not None:
            self._tell(own, token)
        self._place += 1
        self._written[token] += 1
        if self._choice.repetition_penalty != 1:
            self._seen.add(token)
        return token

    def _tell(self, logits: Any, token: int) -> None:
        chances = self._torch.log_softmax(logits, -1)
        values, tokens = chances.topk(min(self._chances or 0, len(chances)))
        likeliest = zip(tokens.tolist(), values.tolist(), strict=True)
        self.likeliest = ((token, float(chances[token])), *likeliest)

    def _changed(self, logits: Any) -> Any:
        torch, choice = self._torch, self._choice
        logits = logits.clone()
        if self._seen:
            seen = torch.tensor(sorted(self._seen), device=logits.device)
            values = logits[seen]
            penalty = choice.repetition_penalty
            logits[seen] = torch.where(values < 0, values * penalty, values / penalty)
        if self._written and (choice.frequency_penalty or choice.presence_penalty):
            tokens = torch.tensor(list(self._written), device=logits.device)
            counts = torch.tensor(list(self._written.values()), device=logits.device, dtype=logits.dtype)
            logits[tokens] -= counts * choice.frequency_penalty + choice.presence_penalty
        for token, amount in choice.logit_bias.items():
            if token < logits.shape[0]:
                logits[token] += amount
        return logits

    def _drawn(self, logits: Any) -> int:
        torch, choice = self._torch, self._choice
        logits = logits / choice.temperature
        size = logits.shape[0]
        wanted = min(choice.top_k or size, size)
        if wanted == size and choice.top_p >= 1 and choice.min_p <= 0:
            shares, tokens = torch.softmax(logits, -1).cpu(), torch.arange(size)
        else:
            shares, tokens = self._kept(logits, wanted)
        return winner(shares.numpy(), tokens.numpy(), choice.seed, self._place)

    def _kept(self, logits: Any, wanted: int) -> tuple[Any, Any]:
        """Shares and token ids that top_k, top_p and min_p leave, largest first, on the CPU."""
        torch, choice = self._torch, self._choice
        size = logits.shape[0]
        count = wanted if wanted < size else min(CANDIDATES, size)
        while True:
            values, tokens = logits.topk(count)
            # within top_k the kept logits make up the whole; else the whole is all of the vocabulary
            total = torch.logsumexp(values if wanted < size else logits, -1)
            shares = torch.exp(values - total).cpu()
            before = shares.cumsum(-1) - shares
            kept = (before < choice.top_p) & (shares >= choice.min_p * shares[0])
            kept[0] = True
            if count in (wanted, size) or not bool(kept[-1]):
                return shares * kept, tokens.cpu()
            count = min(count * 16, size)


def winner(shares: Any, tokens: Any, seed: int, place: int) -> int:
    """The token drawn from ``tokens`` with chances ``shares``, in whatever order they stand; arrays of one length.

    The largest of share / e, where e is drawn from the exponential distribution by ``luck``.
    """
    import numpy as np

    # luck near 0 keeps its precision as a float32, so the shares of rare tokens stay true
    scores = shares / -np.log1p(-luck(tokens, seed, place))
    return int(tokens[scores == scores.max()].min())


def luck(tokens: Any, seed: int, place: int) -> Any:
    """Numbers between 0 and 1, one for each id in ``tokens``: a hash of seed, place and id.

    Two rounds of the 32-bit mixer "lowbias32" (C. Wellons, Hash Prospector), keyed by splitmix64 of seed and place.
    """
    import numpy as np

    key = _splitmix64(_splitmix64(seed) ^ place)
    mixed = tokens.astype(np.uint32)
    for half in (key & 0xFFFF_FFFF, key >> 32):
        mixed ^= np.uint32(half)
        for shift, factor in ((16, 0x7FEB_352D), (15, 0x846C_A68B)):
            mixed ^= mixed >> np.uint32(shift)
            mixed *= np.uint32(factor)
        mixed ^= mixed >> np.uint32(16)
    return (np.minimum(mixed, np.uint32(0xFFFF_FF00)).astype(np.float32) + np.float32(0.5)) * np.float32(2**-32)


def _splitmix64(value: int) -> int:
    whole = 0xFFFF_FFFF_FFFF_FFFF
    value = (value + 0x9E37_79B9_7F4A_7C15) & whole
    value = ((value ^ (value >> 30)) * 0xBF58_476D_1CE4_E5B9) & whole
    value = ((value ^ (value >> 27)) * 0x94D0_49BB_1331_11EB) & whole
    return value ^ (value >> 31)
