"""The first run: what this machine is, what fits it, and one key for each way to begin, where the queue is empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.fit.verdict import Fit, Verdict
from tui.quantities import bytes_text
from tui.ui.lines.span import BLANK, Line, Span, line, wrap_line

if TYPE_CHECKING:
    from tui.hardware.snapshot import Snapshot

_WAYS = (
    ("4 g", "loads the starter, without a network"),
    ("1 w", "asks you, then picks three models"),
    ("1 g", "gets the model under the cursor"),
)
_HELP = (("?", "every key"), (":", "every action and model by name"), ("D", "is anything wrong here?"))


@dataclass(frozen=True, slots=True)
class Welcome:
    """What is known of this machine: its hardware, how many models fit it now, of how many, and whether there is a
    token for gated models."""

    snapshot: Snapshot
    fitting: int
    models: int
    has_token: bool


def welcome_of(snapshot: Snapshot, fits: Mapping[str, Fit], has_token: bool) -> Welcome:
    """Count what fits."""
    fitting = sum(fit.verdict is Verdict.FITS for fit in fits.values())
    return Welcome(snapshot, fitting, len(fits), has_token)


def welcome_lines(welcome: Welcome, width: int) -> list[Line]:
    """The words for a pane of ``width`` cells."""
    host, gpus = welcome.snapshot.host, welcome.snapshot.gpus
    room = max(20, width - 2)
    parts: list[Sequence[Span]] = [line(Span("Welcome to Heft.", "title")), BLANK]
    ram = f"{bytes_text(host.memory_available)} of RAM free"
    if gpus:
        names = sorted({gpu.name.removeprefix("NVIDIA ") for gpu in gpus})
        free = max(gpu.free for gpu in gpus)
        what = f"{len(gpus)} x {names[0]}" if len(names) == 1 and len(gpus) > 1 else ", ".join(names)
        parts.append(line(Span(f"This machine: {what}, {bytes_text(free)} free on the freest, {ram}.")))
    else:
        cores = f"{host.cpu_count} core" + ("s" if host.cpu_count != 1 else "")
        parts.append(line(Span(f"This machine: {host.cpu_name or 'CPU'}, {cores}, {ram}. ")))
        parts.append(line(Span("No GPU: models run on the CPU, so take small ones; quantizing works too.", "dim")))
    parts += [line(Span("● ", "ok"), Span(f"{welcome.fitting} of {welcome.models} models fit it now.")), BLANK]
    parts += [line(Span(f"{keys}  ", "key"), Span(words)) for keys, words in _WAYS]
    parts.append(BLANK)
    parts += [line(Span(f"{key:>3}  ", "key"), Span(words, "dim")) for key, words in _HELP]
    parts.append(BLANK)
    parts.append(line(Span("Jobs go on when you close this terminal.", "dim")))
    if not welcome.has_token:
        parts.append(line(Span("Gated models need a token: hf auth login.", "dim")))
    rows: list[Line] = [BLANK]
    for part in parts:
        rows += [(Span("  "), *row) for row in wrap_line(part, room, "     " if part and part[0].role == "key" else "")]
    return rows
