"""A model: a row of the catalog or a result of the hub search; what exists in the world, not what is on this disk."""

from __future__ import annotations

from dataclasses import dataclass

from tui.catalog.tensors import Tensors


@dataclass(frozen=True, slots=True)
class Api:
    """How a commercial or hosted model is reached. Prices are US dollars per million tokens, dated."""

    provider: str
    model_id: str
    base_url: str
    key_env: str = ""
    openai_compatible: bool = True
    retired: bool = False
    retired_on: str = ""
    replacement: str = ""
    price_in: float | None = None
    price_out: float | None = None
    price_date: str = ""
    note: str = ""
    price_source: str = ""


@dataclass(frozen=True, slots=True)
class Shape:
    """The dimensions that the fit estimate needs; None where they are not known."""

    architecture: str = ""
    layers: int | None = None
    kv_layers: int | None = None
    hidden_size: int | None = None
    intermediate_size: int | None = None
    attention_heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int | None = None
    sliding_window: int | None = None
    tied_embeddings: bool | None = None
    dtype: str = ""
    kv_bytes_per_token: int | None = None
    sliding_layers: int | None = None
    """How many of ``kv_layers`` look back ``sliding_window`` tokens only; None: as the architecture usually does."""
    kv_width: int | None = None
    """Numbers that a full-attention layer keeps per token, where it is not 2 x ``kv_heads`` x ``head_dim``: the
    compressed cache of multi-head latent attention, or wider global heads."""
    cross_layers: int | None = None
    """Layers that also keep keys and values of an encoder's output."""
    cross_tokens: int | None = None
    """Length of that output in tokens; None: as long as the context."""
    state_bytes: int | None = None
    """Bytes per sequence that recurrent, convolution and linear-attention layers keep, whatever the context."""


@dataclass(frozen=True, slots=True)
class Model:
    """One row. ``params`` counts parameters, ``context_length`` tokens. ``source`` is "starter", "catalog", "user",
    "hub" or "folder". ``repo`` is an ``org/name`` on the hub, or an absolute folder for the starter and for local
    folders. ``commercial_use`` is "yes", "conditional", "no" or "" when unknown."""

    id: str
    name: str
    repo: str = ""
    revision: str = ""
    family: str = ""
    vendor: str = ""
    kind: str = "text"
    open: bool = True
    status: str = "active"
    params: int | None = None
    params_is_estimate: bool = False
    active_params: int | None = None
    context_length: int | None = None
    license: str = ""
    license_url: str = ""
    commercial_use: str = ""
    gated: bool = False
    released: str = ""
    weights_bytes: int | None = None
    """Bytes of the published weights in their published dtype, where known."""
    shape: Shape = Shape()
    api: Api | None = None
    formats: tuple[str, ...] = ()
    downloads: int | None = None
    likes: int | None = None
    updated: str = ""
    quantization: str = ""
    """How the published weights are already quantized ("gptq", "awq", "bitsandbytes", "gguf", ...), else empty."""
    gguf: str = ""
    """Which of a repository's GGUF quantizations is wanted ("q8_0"); empty takes 4 bits."""
    strengths: str = ""
    limitations: str = ""
    dataset: str = ""
    note: str = ""
    first_run: bool = False
    laptop_cpu: bool = False
    stated_vram: int | None = None
    ollama: str = ""
    facts_source: str = ""
    confidence: str = ""
    source: str = "catalog"
    alt_repos: tuple[str, ...] = ()
    """Other repositories with the same weights, or the nearest ones."""
    base_model: str = ""
    """The repository that it was tuned from."""
    tokens_trained: int | None = None
    license_confidence: str = ""
    tensors: Tensors | None = None
    """Its exact tensors, where the heads of the published files were read; None: only counts are known."""

    @property
    def is_api(self) -> bool:
        """Reached over the network instead of being loaded."""
        return self.api is not None and not self.repo

    @property
    def is_local_folder(self) -> bool:
        """Its repository is a folder on this machine."""
        return self.repo.startswith("/")

    @property
    def reference(self) -> str:
        """What to call it by elsewhere: its repository; the starter, whose folder is inside this package, by its id."""
        return self.id if self.source == "starter" or not self.repo else self.repo

    @property
    def place(self) -> str:
        """Where it comes from, for people: its repository, or that it is inside this package."""
        return "inside this package" if self.source == "starter" else self.repo

    @property
    def unusable_because(self) -> str:
        """Why nobody can use this row today, in words; empty when it can be used."""
        if self.api is not None and self.api.retired:
            since = f" on {self.api.retired_on}" if self.api.retired_on else ""
            instead = f"; use {self.api.replacement} instead" if self.api.replacement else ""
            return f"retired{since}{instead}"
        reasons = {
            "retired": "retired",
            "announced-only": "announced, but the weights were never released",
            "paper-only": "described in a paper, never released",
            "by-request": "weights are given on request only",
            "product": "a product without public weights or API",
            "research-only": "kept inside the laboratory that made it",
            "elsewhere": "its weights are not in a repository that Heft can download",
        }
        return reasons.get(self.status, "")


@dataclass(frozen=True, slots=True)
class ModelFilter:
    """What a person is looking for; every set field must hold. ``min_params``/``max_params`` count parameters."""

    text: str = ""
    task: str = ""
    family: str = ""
    license: str = ""
    commercial: bool = False
    min_params: int | None = None
    max_params: int | None = None
    open_only: bool = False
    api_only: bool = False
    sort: str = ""
    limit: int | None = None
