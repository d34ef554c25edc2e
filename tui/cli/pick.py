"""``heft pick``: from a few answers to the three models to try, with reasons, and why every other row is out."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from typing import Any

from tui.cli.facts import fit_facts, model_facts
from tui.cli.output import Output
from tui.pick.decision import Pick, Picked
from tui.pick.wishes import Wishes
from tui.workbench import Workbench

_ANSWERED = (
    *("task", "budget", "privacy", "performance", "latency"),
    *("finetune", "specialised", "offline", "commercial", "language"),
)


def pick(arguments: Namespace, output: Output) -> int:
    """Print the best three and the warnings; with ``--json`` also every rejected row. Exit code 3 when none is left."""
    wishes = Wishes(**{name: getattr(arguments, name) for name in _ANSWERED})
    picked = Workbench().pick(wishes, arguments.memory)
    output.document(picked_facts(picked))
    for number, best in enumerate(picked.picks, 1):
        output.text(f"{number}. {best.model.name}  ({best.model.id})")
        for reason in best.reasons:
            output.text(f"   + {reason}")
        for warning in best.warnings:
            output.text(f"   ! {warning}")
    for warning in picked.warnings:
        output.note(f"heft: {warning}")
    if picked.others:
        output.text(f"also possible: {', '.join(picked.others[:6])}")
    counts: dict[str, int] = {}
    for row in picked.rejected:
        counts[row.filter] = counts.get(row.filter, 0) + 1
    words = ", ".join(f"{name} {number}" for name, number in counts.items())
    output.text(f"rejected: {words} (--json names each row)" if words else "no row was rejected")
    return 0 if picked.picks else 3


def picked_facts(picked: Picked) -> dict[str, Any]:
    """The JSON of the answer."""
    return {
        "wishes": asdict(picked.wishes),
        "picks": [_pick_facts(best) for best in picked.picks],
        "others": list(picked.others),
        "rejected": [asdict(row) for row in picked.rejected],
        "warnings": list(picked.warnings),
    }


def _pick_facts(best: Pick) -> dict[str, Any]:
    return model_facts(best.model) | {
        "precision": best.precision,
        "tokens_per_second": None if best.rate is None else round(best.rate, 2),
        "price_per_1k_requests": None if best.price is None else round(best.price, 6),
        "download": best.download,
        "installed": best.installed,
        "fit": None if best.model.is_api else fit_facts(best.fit),
        "score": best.score,
        "scores": {name: round(value, 4) for name, value in asdict(best.scores).items()},
        "reasons": list(best.reasons),
        "warnings": list(best.warnings),
    }
