"""The angles by which query and key heads are turned at each position, without transformers.

For the ways whose angles do not change with the length of the text: as trained (Su et al., RoFormer, 2021), with
positions divided (kaiokendev, 2023), and Llama 3.1's, which divides the slow angles only. Bit for bit those of
transformers (``modeling_rope_utils``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

KINDS = {
    "default": set(),
    "linear": {"factor"},
    "llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
}
"""Ways to rotate, and the numbers that each needs."""


def knows_rotation(table: Any) -> bool:
    """Whether ``table`` (``rope_parameters`` of a configuration) names a way that is known, with just its numbers."""
    if not isinstance(table, Mapping) or not isinstance(table.get("rope_theta"), int | float):
        return False
    needed = KINDS.get(str(table.get("rope_type")))
    return needed is not None and needed <= set(table) <= needed | {"rope_theta", "rope_type"} | _HARMLESS


_HARMLESS = {"original_max_position_embeddings"}


class Rotation:
    """Called as transformers' rotary embedding is: gives the cosines and sines [1, positions, head size]."""

    def __init__(self, table: Mapping[str, Any], head_size: int) -> None:
        import torch

        places = torch.arange(0, head_size, 2, dtype=torch.int64).to(dtype=torch.float)
        frequencies = 1.0 / (table["rope_theta"] ** (places / head_size))
        if table["rope_type"] == "linear":
            frequencies /= table["factor"]
        if table["rope_type"] == "llama3":
            frequencies = _slowed(frequencies, table)
        self._frequencies = frequencies

    def __call__(self, like: Any, places: Any) -> tuple[Any, Any]:
        """For ``places`` [1, positions], in the type of ``like``."""
        import torch

        angles = places[..., None].float() * self._frequencies
        both = torch.cat((angles, angles), dim=-1)
        return both.cos().to(dtype=like.dtype), both.sin().to(dtype=like.dtype)


def _slowed(frequencies: Any, table: Mapping[str, Any]) -> Any:
    """Llama 3.1: slow ones divided by ``factor``, fast ones as they are, those between partly."""
    import torch

    factor, low, high = table["factor"], table["low_freq_factor"], table["high_freq_factor"]
    trained = table["original_max_position_embeddings"]
    longest, shortest = trained / low, trained / high
    wavelengths = 2 * math.pi / frequencies
    slowed = torch.where(wavelengths > longest, frequencies / factor, frequencies)
    share = (trained / wavelengths - low) / (high - low)
    between = (1 - share) * slowed / factor + share * slowed
    is_between = ~(wavelengths < shortest) * ~(wavelengths > longest)
    return torch.where(is_between, between, slowed)
