"""The decision tree: filters, then the order, then the best three with their reasons and what speaks against them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from tui.catalog.model import Model
from tui.fit.kv_cache import generates
from tui.fit.ranking import best_fit
from tui.fit.verdict import Fit
from tui.hardware.snapshot import Gpu, Snapshot
from tui.pick.filters import READING_RATE, Candidate, Rejection, rejection
from tui.pick.language import knows_language
from tui.pick.score import (
    LOW_PRICE,
    SMALL_PARAMS,
    Scores,
    preferred,
    rank,
    request_price,
    scores_of,
    wants_largest,
    weights_of,
)
from tui.pick.speed import bandwidth_of, decode_rate
from tui.pick.wishes import Wishes
from tui.quantities import bytes_text

BEST = 3
"""How many are picked."""


@dataclass(frozen=True, slots=True)
class Pick:
    """One of the best. ``precision`` is the highest that fits, ``rate`` the estimated tokens per second, ``price`` US
    dollars per thousand requests, ``download`` bytes of the published weights (0 when they are here)."""

    model: Model
    fit: Fit
    precision: str
    rate: float | None
    price: float | None
    download: int | None
    installed: bool
    score: float
    scores: Scores
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picked:
    """The answer. ``others`` passed every filter too, from good to bad; ``warnings`` tell where answers conflict."""

    wishes: Wishes
    picks: tuple[Pick, ...]
    others: tuple[str, ...]
    rejected: tuple[Rejection, ...]
    warnings: tuple[str, ...]


def pick(
    models: Iterable[Model], wishes: Wishes, snapshot: Snapshot, installed: frozenset[str] = frozenset()
) -> Picked:
    """Choose among ``models`` for the machine of ``snapshot``; ``installed`` are ids and repositories that are here."""
    passed: list[Candidate] = []
    rejected: list[Rejection] = []
    for model in models:
        candidate = _candidate(model, snapshot, installed)
        out = rejection(candidate, wishes)
        if out is None:
            passed.append(candidate)
        else:
            rejected.append(out)
    passed.sort(key=lambda candidate: (rank(candidate, wishes), candidate.model.id))
    picks = tuple(_picked(candidate, wishes, snapshot) for candidate in passed[:BEST])
    others = tuple(candidate.model.id for candidate in passed[BEST:])
    warnings = (*_conflicts(wishes, passed), *_nothing_left(picks, rejected))
    return Picked(wishes, picks, others, tuple(rejected), warnings)


def machine_with(memory: int) -> Snapshot:
    """A machine that is only asked about: one empty card of ``memory`` bytes, and nothing else."""
    size = bytes_text(memory).replace(".00 ", " ").replace(".0 ", " ")
    return Snapshot(gpus=(Gpu(index=0, name=f"{size} card", total=memory, free=memory, used=0),))


def _candidate(model: Model, snapshot: Snapshot, installed: frozenset[str]) -> Candidate:
    fit = best_fit(model, snapshot)
    if fit.device.endswith(" card"):
        fit = replace(fit, device=fit.device.removeprefix("GPU 0 "))
    here = model.id in installed or (bool(model.repo) and model.repo in installed)
    answers = generates(model) and not model.is_api
    rate = decode_rate(model, fit, bandwidth_of(fit, snapshot)[0]) if answers else None
    disk = next((disk.free for disk in snapshot.disks if disk.label == "downloads"), None)
    return Candidate(model, fit, rate, here, disk)


def _picked(candidate: Candidate, wishes: Wishes, snapshot: Snapshot) -> Pick:
    model, scores = candidate.model, scores_of(candidate)
    return Pick(
        model=model,
        fit=candidate.fit,
        precision="" if model.is_api else candidate.fit.precision,
        rate=candidate.rate,
        price=request_price(candidate),
        download=0 if candidate.installed or model.is_local_folder else _download(candidate),
        installed=candidate.installed,
        score=round(scores.weighted(weights_of(wishes)), 4),
        scores=scores,
        reasons=tuple(_reasons(candidate, wishes, snapshot)),
        warnings=tuple(_against(candidate, wishes)),
    )


def _download(candidate: Candidate) -> int | None:
    model = candidate.model
    if model.is_api:
        return 0
    return model.weights_bytes or (model.params * 2 if model.params else None)


def _reasons(candidate: Candidate, wishes: Wishes, snapshot: Snapshot) -> list[str]:
    model, fit, price = candidate.model, candidate.fit, request_price(candidate)
    reasons = list(preferred(candidate, wishes))
    if model.is_api:
        if price is not None and model.api is not None:
            dated = f" (prices of {model.api.price_date})" if model.api.price_date else ""
            reasons.append(f"${price:.2f} per 1,000 requests of 500 tokens in and 250 out{dated}")
    else:
        reasons.append(f"fits {fit.device} in {fit.precision}: {bytes_text(fit.total)} of {bytes_text(fit.free)} free")
        if candidate.rate is not None:
            source = bandwidth_of(fit, snapshot)[1]
            reasons.append(f"about {_rate(candidate.rate)} tokens/s, from the memory bandwidth ({source})")
        reasons.append("costs nothing per request beside power")
        if candidate.installed:
            reasons.append("is on this disk already")
        elif not model.is_local_folder and (size := _download(candidate)):
            reasons.append(f"a download of {bytes_text(size)}")
        if wishes.finetune and (need := lora_memory(candidate)) is not None:
            reasons.append(f"an adapter (LoRA) trains in about {bytes_text(need)}")
    if wants_largest(wishes) and not model.is_api:
        reasons.insert(0, "the largest class of local models that this machine holds")
    if model.strengths:
        reasons.append(model.strengths)
    return reasons


def lora_memory(candidate: Candidate) -> int | None:
    """Bytes to train an adapter: 16-bit weights, one percent of them trained in 32 bit with gradient and two moments
    (16 bytes each), and as much again as a fifth of the weights for the activations of a short batch."""
    params = candidate.model.params
    return None if params is None else round(params * 2 * 1.2 + params * 0.01 * 16)


def _against(candidate: Candidate, wishes: Wishes) -> list[str]:
    model, warnings = candidate.model, []
    if model.commercial_use == "conditional" and wishes.commercial:
        warnings.append(f"commercial use under conditions: read {model.license_url or model.license}")
    if model.commercial_use == "" and wishes.commercial:
        warnings.append("its licence says nothing that we know of about commercial use")
    if model.gated and not candidate.installed:
        warnings.append(f"gated: accept its terms at https://huggingface.co/{model.repo} first")
    if wishes.latency == "fast" and model.is_api:
        warnings.append("a network API rarely returns its first token within 100 ms")
    if candidate.rate is not None and candidate.rate < READING_RATE and wishes.latency != "any":
        warnings.append(f"about {_rate(candidate.rate)} tokens/s is slower than a person reads")
    if wishes.language and knows_language(model, wishes.language) is None and not model.is_api:
        warnings.append(f"whether it knows {wishes.language} is not in the catalog: try it")
    if model.kind not in ("chat", "text", "code", "multimodal"):
        warnings.append("Heft downloads it; its own host answers for models that generate text")
    return warnings


def _conflicts(wishes: Wishes, passed: Sequence[Candidate]) -> list[str]:
    warnings = []
    home = "offline" if wishes.offline else "privacy"
    if wishes.at_home and wishes.performance == "best":
        warnings.append(f"{home} rules out the APIs, so best means the largest local model that fits")
    if wishes.privacy and wishes.budget == "low":
        warnings.append("low budget and privacy: the largest local model that fits, quantized where it must be")
    if wishes.offline and wishes.budget == "low" and not wishes.privacy:
        warnings.append("low budget would prefer cheap APIs, and offline rules them out")
    if wishes.budget == "low" and wishes.performance == "best" and not wishes.at_home:
        warnings.append(f"low budget and best performance pull apart: APIs above ${LOW_PRICE:g} per 1,000 stay behind")
    if wishes.budget == "high" and wishes.performance == "best" and not wishes.at_home:
        warnings.append("a high budget prefers weights of your own, the best performance the top APIs: APIs come first")
    if wishes.latency == "fast" and wishes.performance == "best":
        warnings.append("a first answer within 100 ms asks for a small model, the best performance for a large one")
    if wishes.specialised and not wishes.finetune:
        warnings.append("a narrow task without fine-tuning: try a prompt first, then another model, then fine-tuning")
    if wishes.finetune and not wishes.specialised:
        warnings.append("fine-tuning pays for a narrow task; for a broad one prompt a large pretrained model")
    largest = SMALL_PARAMS
    trains = any(not it.model.is_api and (it.model.params or largest + 1) <= largest for it in passed)
    if wishes.finetune and wishes.specialised and passed and not trains:
        warnings.append("no row that is left is small and open, so none can be trained on one card")
    return warnings


def _nothing_left(picks: Sequence[Pick], rejected: Sequence[Rejection]) -> list[str]:
    if picks:
        return []
    counts = Counter(row.filter for row in rejected if row.filter not in ("task", "status"))
    if not counts:
        return ["the catalog has no usable model for this task"]
    name, number = counts.most_common(1)[0]
    return [f"nothing is left; {name} rejected the most rows ({number}): relax it first"]


def _rate(rate: float) -> str:
    return f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
