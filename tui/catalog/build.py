"""A build: weights on this disk, complete and loadable, with their provenance."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROVENANCE_FILE = "heft.json"
"""Written into every folder that Heft makes; the sign that a build is whole."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a build is made from another one. ``method`` is "gptq", "awq" or "rtn" (rounding, no calibration);
    ``group_size`` -1 means one group per row; ``act_group_aware`` reorders columns inside groups (GPTQ without
    ``desc_act``). ``calibration`` is a file, a set of the hub ("wikitext2") or a built-in kind ("code"), empty for the
    built-in mixture; ``samples`` and ``sample_length`` (tokens) bound it; ``seed`` picks them."""

    method: str = "gptq"
    bits: int = 4
    group_size: int = 128
    desc_act: bool = False
    sym: bool = True
    act_group_aware: bool = True
    damp_percent: float = 0.05
    calibration: str = ""
    samples: int = 128
    sample_length: int = 512
    seed: int = 0
    route: str = "auto"
    """"gptqmodel", "optimum", or "auto": whichever reloads in plain transformers for this architecture."""

    @property
    def label(self) -> str:
        """Short name: ``gptq-4bit-g128``."""
        group = f"-g{self.group_size}" if self.group_size > 0 else "-gall"
        asym = "" if self.sym or self.method == "awq" else "-asym"  # AWQ checkpoints are as a rule
        return f"{self.method}-{self.bits}bit{group}" + ("-act" if self.desc_act else "") + asym


LOSS_LIMIT = 0.1
"""Share of perplexity above which a build is marked, unless the settings say otherwise."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What quantizing cost, before (the original) and after, measured in one process on the same held-out text.

    Perplexities over ``tokens`` scored tokens of ``text``; ``kl_divergence`` (nats) of the next-token distributions and
    ``top1_agreement`` (share) over ``positions`` of them; ``speed`` in generated tokens per second; ``memory`` in bytes
    at the peak of loading and generating; ``size`` in bytes of weights on disk. ``limit`` is the loss above which the
    build is marked. What was not measured is None.
    """

    perplexity_before: float | None = None
    perplexity_after: float | None = None
    tokens: int | None = None
    text: str = ""
    kl_divergence: float | None = None
    top1_agreement: float | None = None
    positions: int | None = None
    speed_before: float | None = None
    speed_after: float | None = None
    memory_before: int | None = None
    memory_after: int | None = None
    size_before: int | None = None
    size_after: int | None = None
    limit: float | None = None

    @property
    def relative_loss(self) -> float | None:
        """(after - before) / before, or None when not measured."""
        if not self.perplexity_before or self.perplexity_after is None:
            return None
        return self.perplexity_after / self.perplexity_before - 1

    @property
    def is_flagged(self) -> bool:
        """Whether it lost more than its limit: the build is kept, and every list says so."""
        loss = self.relative_loss
        return loss is not None and not loss <= (LOSS_LIMIT if self.limit is None else self.limit)


@dataclass(frozen=True, slots=True)
class Build:
    """A folder that a chat can be held with. ``id`` is what a person types; ``model`` is the catalog id or repository
    it came from; ``precision`` is "float32", "float16", "bfloat16" or a recipe label; ``bytes`` counts its files."""

    id: str
    path: Path
    model: str
    precision: str
    bytes: int
    revision: str = ""
    repo: str = ""
    recipe: Recipe | None = None
    quality: Quality | None = None
    created: str = ""
    source: str = "heft"
    """"heft" for the builds folder, "hub-cache" for the Hugging Face cache, "folder" for a path somebody gave."""
    problem: str = ""
    """Why it cannot be loaded (a missing shard, a damaged header), naming the file; empty when it is whole."""
    provenance: dict[str, Any] = field(default_factory=dict)
