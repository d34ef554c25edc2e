"""How fast a model would answer: tokens per second from memory bandwidth, before anything is downloaded.

Writing one token reads every active weight once, so the rate is bandwidth / bytes read; what is reached in practice is
about half of what the data sheet says. The sheet's numbers are the vendors' (peak bytes per second of the whole card).
"""

from __future__ import annotations

from tui.catalog.model import Model
from tui.fit.verdict import Fit
from tui.hardware.snapshot import Gpu, Snapshot

REACHED = 0.55
"""Share of the peak bandwidth that decoding reaches (the factor that llmfit found over many machines)."""

_GIGA = 10**9
_CARDS: tuple[tuple[str, int], ...] = (
    ("b200", 8000), ("h200", 4800), ("gh200", 4000), ("h100 pcie", 2000), ("h100 nvl", 3900), ("h100", 3350),
    ("a100-sxm4-80", 2039), ("a100 80", 1935), ("a100", 1555), ("mi300", 5300), ("mi250", 3200), ("l40", 864),
    ("l4", 300), ("a10g", 600), ("a10", 600), ("a40", 696), ("a30", 933), ("v100", 900), ("p100", 732), ("t4", 320),
    ("rtx pro 6000", 1792), ("rtx 6000 ada", 960), ("rtx a6000", 768), ("rtx a5000", 768), ("rtx a4000", 448),
    ("5090", 1792), ("5080", 960), ("5070", 672), ("5060", 448), ("4090", 1008), ("4080", 717), ("4070", 504),
    ("4060", 272), ("3090", 936), ("3080", 760), ("3070", 448), ("3060", 360), ("2080", 448), ("2070", 448),
    ("1080", 320), ("gb10", 273), ("orin", 205),
)  # fmt: skip
_BY_SIZE = ((8, 300), (16, 450), (24, 900), (48, 900), (80, 2000))
"""What a card of so many GB usually has, in GB/s, where the name says nothing."""
_LARGEST = 3350


def gpu_bandwidth(gpu: Gpu) -> tuple[int, bool]:
    """Bytes per second of a GPU's memory, and whether its name is in the table (else it is the usual of its size)."""
    name = gpu.name.casefold()
    for word, speed in _CARDS:
        if word in name:
            return speed * _GIGA, True
    return card_bandwidth(gpu.total), False


def card_bandwidth(memory: int) -> int:
    """What a card with ``memory`` bytes usually reads per second."""
    return next((speed for size, speed in _BY_SIZE if memory <= 1.1 * size * _GIGA), _LARGEST) * _GIGA


def ram_bandwidth(processors: int) -> int:
    """What the RAM of a machine with so many processors usually gives: two channels, or the many of a server."""
    return (40 if processors < 24 else 120 if processors < 64 else 200) * _GIGA


def bandwidth_of(fit: Fit, snapshot: Snapshot) -> tuple[int, str]:
    """Bytes per second of the device that ``fit`` chose, and where that number comes from, in words."""
    for gpu in snapshot.gpus:
        if fit.device == f"{gpu.label} {gpu.name}":
            speed, known = gpu_bandwidth(gpu)
            return speed, "its data sheet" if known else "the usual of a card of its size"
    if fit.device == "RAM":
        return ram_bandwidth(snapshot.host.cpu_count), "the usual of such a machine's RAM"
    return card_bandwidth(fit.capacity), "the usual of a card of its size"


def decode_rate(model: Model, fit: Fit, bandwidth: int) -> float | None:
    """Tokens per second of one conversation; None where the weights are not known. A mixture reads its active experts
    only."""
    if not fit.weights:
        return None
    share = model.active_params / model.params if model.active_params and model.params else 1.0
    return REACHED * bandwidth / (fit.weights * min(1.0, share))
