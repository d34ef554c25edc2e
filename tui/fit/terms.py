"""What a model takes, term by term: weights, cache and overhead, on a GPU and in the machine's RAM."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tui.catalog.model import Shape
from tui.fit.activations import activations
from tui.fit.kv_cache import kv_cache


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes. A term is None where the numbers behind it are unknown, and ``missing`` says which. ``overhead`` is that
    of a GPU, ``overhead_cpu`` that of a process in RAM but for its activations, ``process_cpu`` of it before anything
    is loaded. ``weight_parts`` are the terms of ``weights`` by name."""

    weights: int | None
    kv_cache: int | None
    overhead: int | None
    notes: tuple[str, ...] = ()
    overhead_cpu: int | None = None
    weight_parts: tuple[tuple[str, int], ...] = ()
    precision: str = ""
    context: int = 0
    batch: int = 1
    missing: str = ""
    shape: Shape | None = None
    """The dimensions behind ``kv_cache``; None for a model that keeps none."""
    value_bytes: int = 2
    weights_cpu: int | None = None
    kv_cache_cpu: int | None = None
    value_bytes_cpu: int = 2
    """The same in the RAM of a CPU that computes in 32 bit (``cpu_weights.py``); None: as on a GPU."""
    process_cpu: int = 0
    guessed: bool = False
    """The cache is not this model's own but the usual one of its size."""

    def with_context(self, tokens: int) -> MemoryEstimate:
        """The same with another context length in tokens."""
        if self.shape is None:
            return replace(self, context=tokens)
        cache = kv_cache(self.shape, tokens, self.batch, self.value_bytes)
        in_ram = kv_cache(self.shape, tokens, self.batch, self.value_bytes_cpu)
        if not cache.known:
            return replace(self, context=tokens)
        return replace(self, kv_cache=cache.total, kv_cache_cpu=in_ram.total, context=tokens)

    def terms(self, on_gpu: bool) -> tuple[int | None, int | None, int | None, int | None]:
        """Weights, cache, overhead and their sum, on a GPU or in the machine's RAM."""
        if on_gpu:
            return self.weights, self.kv_cache, self.overhead, self.total
        weights = self.weights if self.weights_cpu is None else self.weights_cpu
        cache = self.kv_cache if self.kv_cache_cpu is None else self.kv_cache_cpu
        overhead = self.overhead
        if self.overhead_cpu is not None:
            overhead = self.overhead_cpu + activations(self.shape, self.context, self.batch, self.value_bytes_cpu)
        return weights, cache, overhead, _sum(weights, cache, overhead)

    def parts(self, on_gpu: bool = True) -> tuple[tuple[str, int], ...]:
        """Everything that the sum of ``terms`` is made of, by name; none where a term is unknown."""
        weights, cache, overhead, total = self.terms(on_gpu)
        if weights is None or cache is None or overhead is None or total is None:
            return ()
        rows = list(self.weight_parts) or [("weights", weights)]
        wider = weights - sum(size for _, size in rows)
        if wider > 0:
            rows.append(("what this CPU keeps of them besides", wider))
        elif wider:
            name, size = max(rows, key=lambda row: row[1])
            rows[rows.index((name, size))] = (f"{name}, packed without loss", size + wider)
        if self.shape is not None:
            values = self.value_bytes if on_gpu else self.value_bytes_cpu
            for name, size in kv_cache(self.shape, self.context, self.batch, values).parts:
                rows.append((f"{name} in {8 * values} bit" if name.startswith("cache") else name, size))
        process = 0 if on_gpu else self.process_cpu
        rest = "CUDA context, kernels and activations" if on_gpu else "activations and the allocator's slack"
        return (
            *rows,
            *((name, size) for name, size in (("process and libraries", process), (rest, overhead - process)) if size),
        )

    @property
    def total(self) -> int | None:
        """What a GPU must give; None when a term is unknown."""
        return _sum(self.weights, self.kv_cache, self.overhead)

    @property
    def total_cpu(self) -> int | None:
        """What the machine's RAM must give; None when a term is unknown."""
        return self.terms(False)[3]


def _sum(*terms: int | None) -> int | None:
    total = 0
    for term in terms:
        if term is None:
            return None
        total += term
    return total
