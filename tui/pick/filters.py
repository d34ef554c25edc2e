"""The filters of the decision tree, in their order: each says in words why a row is out, or nothing.

What comes first is what is named: a row behind an API that the licence forbids too is rejected by its licence.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tui.catalog.model import Model
from tui.fit.verdict import Fit, Verdict
from tui.pick.language import knows_language
from tui.pick.wishes import Wishes
from tui.quantities import bytes_text, count_text

FAST_PARAMS = 3_500_000_000
"""Parameters (active ones for a mixture) above which a local model does not begin to answer within 100 ms; rows that
call themselves 3B have up to 3.4B."""
READING_RATE = 5.0
"""Tokens per second at which a person reads; a slower answer keeps its reader waiting."""

TASK_SPECIFIC = ("classification", "ner", "embedding")
"""Kinds of encoders that answer in one step."""

_CONVERSING = "ForConditionalGeneration"
_OWN_CODE = ("QWenLMHeadModel", "Phi3SmallForCausalLM", "OpenMoeForCausalLM", "MolmoForCausalLM")
"""Families that need code from their own repository, which Heft does not run."""
_IN_PARTS = ("adapter only", "weight diff")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row with what this machine says about it. ``rate`` is tokens per second, ``disk`` the free bytes where a
    download would go (None: not asked)."""

    model: Model
    fit: Fit
    rate: float | None = None
    installed: bool = False
    disk: int | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """The first filter that a row did not pass, by name, and why in words."""

    id: str
    filter: str
    reason: str


_Filter = Callable[[Candidate, Wishes], str]


def rejection(candidate: Candidate, wishes: Wishes) -> Rejection | None:
    """The first filter that ``candidate`` fails, or None."""
    for name, test in FILTERS:
        reason = test(candidate, wishes)
        if reason:
            return Rejection(candidate.model.id, name, reason)
    return None


def does_task(model: Model, wishes: Wishes) -> bool:
    """Whether ``model`` is of a kind for the task; models that also see pictures chat as well."""
    if model.kind in wishes.kinds:
        return True
    talks = model.is_api or model.shape.architecture.endswith(_CONVERSING)
    return "chat" in wishes.kinds and model.kind == "multimodal" and talks


def _task(candidate: Candidate, wishes: Wishes) -> str:
    model = candidate.model
    if model.source == "starter":
        return "it is there to try Heft with; it knows little else"
    return "" if does_task(model, wishes) else f"it is for {model.kind}, not for {wishes.task}"


def _status(candidate: Candidate, wishes: Wishes) -> str:
    model = candidate.model
    if model.unusable_because:
        return model.unusable_because
    if not model.is_api and not model.repo:
        return "there is no repository to get it from"
    if model.shape.architecture in _OWN_CODE:
        return "it needs code from its own repository, which Heft does not run"
    if "not from_pretrained" in model.limitations:
        return f"Heft cannot download it: {model.limitations}"
    if any(word in model.limitations for word in _IN_PARTS):
        return f"its repository does not hold the whole model: {model.limitations}"
    return ""


def _license(candidate: Candidate, wishes: Wishes) -> str:
    if not wishes.commercial or candidate.model.commercial_use != "no":
        return ""
    return f"its licence ({candidate.model.license or 'not stated'}) forbids commercial use"


def _language(candidate: Candidate, wishes: Wishes) -> str:
    if not wishes.language or knows_language(candidate.model, wishes.language) is not False:
        return ""
    return f"it was not made for {wishes.language}"


def _offline(candidate: Candidate, wishes: Wishes) -> str:
    return "it is reached over the network" if wishes.offline and candidate.model.is_api else ""


def _privacy(candidate: Candidate, wishes: Wishes) -> str:
    api = candidate.model.api
    leaves = wishes.privacy and candidate.model.is_api
    return f"what is asked goes to {api.provider if api else 'its provider'}" if leaves else ""


def _memory(candidate: Candidate, wishes: Wishes) -> str:
    fit = candidate.fit
    if candidate.model.is_api or fit.verdict is Verdict.FITS:
        return ""
    if fit.verdict is Verdict.UNKNOWN:
        return f"whether it fits is {fit.reason}"
    need = f"{bytes_text(fit.total)} in {fit.precision}"
    if fit.verdict is Verdict.FITS_EMPTY:
        return f"needs {need}; {fit.device} has {bytes_text(fit.free)} free now of {bytes_text(fit.capacity)}"
    return f"needs {need} at least; {fit.device} has {bytes_text(fit.capacity)}"


def _disk(candidate: Candidate, wishes: Wishes) -> str:
    size, free = candidate.model.weights_bytes, candidate.disk
    if candidate.model.is_api or candidate.installed or size is None or free is None or size <= free:
        return ""
    return f"its download of {bytes_text(size)} is more than the {bytes_text(free)} that are free on the disk"


def _latency(candidate: Candidate, wishes: Wishes) -> str:
    model = candidate.model
    if model.is_api or model.kind in TASK_SPECIFIC:
        return ""
    active = model.active_params or model.params or 0
    if wishes.latency == "fast" and active > FAST_PARAMS:
        return f"{count_text(active)} parameters per token are too many for a first answer within 100 ms"
    if wishes.latency == "normal" and candidate.rate is not None and candidate.rate < READING_RATE:
        return f"about {candidate.rate:.1f} tokens/s here, slower than a person reads"
    return ""


FILTERS: tuple[tuple[str, _Filter], ...] = (
    ("task", _task),
    ("status", _status),
    ("license", _license),
    ("language", _language),
    ("offline", _offline),
    ("privacy", _privacy),
    ("memory", _memory),
    ("disk", _disk),
    ("latency", _latency),
)
"""Name and test, in the order in which they are asked."""


def filter_names() -> Iterator[str]:
    """The names of the filters, in their order."""
    return (name for name, _ in FILTERS)
