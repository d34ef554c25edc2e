"""From a folder to a model on a device. Only safetensors, never code from the folder, never the network."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.catalog.build import PROVENANCE_FILE
from tui.errors import BuildBrokenError, HeftError
from tui.workers.host import fp16_linear
from tui.workers.host.lean_torch import complete_torch, import_torch
from tui.workers.host.loading_ahead import LoadingAhead
from tui.workers.host.making_fast import FastModel, make_fast
from tui.workers.host.mapped_pages import give_back_pages
from tui.workers.host.taking_apart import keeps_all_in_sight
from tui.workers.reporter import Reporter
from tui.workers.weights import load_weights, release_memory

_DEFAULT_CONTEXT = 4096


@dataclass(slots=True)
class LoadedModel:
    """A model that can answer. ``context`` counts tokens; ``seconds`` tells where the loading time went."""

    model: Any
    tokenizer: Any
    generation: Any
    device: str
    dtype: str
    context: int
    weight_bytes: int
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    later: Callable[[Callable[[], bool]], object] | None = None
    """What a host may do while nobody asks (``FastModel``)."""


def load(reporter: Reporter, folder: Path, context: int | None) -> LoadedModel:
    """Load the build in ``folder``; raises ``BuildBrokenError`` or ``HeftError`` with what to do."""
    # two threads that spin for each other cost an order of magnitude on a machine that others use too
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    seconds: dict[str, float] = {}
    total = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if not total:
        raise BuildBrokenError(
            f"{folder.name} holds no safetensors weights", "Heft loads safetensors only; download the model again"
        )
    ahead = LoadingAhead(reporter, folder)
    reporter.progress(0, total, "B", "loading libraries")
    with _timed(seconds, "libraries"):
        torch = import_torch()
    device = _device(torch, reporter)
    reporter.check()
    found = _lightly(reporter, folder, ahead, seconds, context) if device == "cpu" else None
    found = found or _by_transformers(reporter, folder, device, seconds, total)
    model, tokenizer, config = found.model, found.tokenizer, found.config
    dtype, halves, load_as = found.dtype, found.halves, str(reporter.job.spec.get("load_as") or "")
    ahead.compiled()
    reporter.check()
    limit = context_limit(config, tokenizer)
    native = dtype is torch.bfloat16 and computes_bfloat16()
    span = min(context or limit, limit)
    if load_as:
        fast = FastModel(model)
        fast.notes.append(f"quantized while loading: {load_as}")
    else:
        fast = make_fast(reporter, model, tokenizer, span, halves=halves, native=native, total=total)
    model, notes = fast.model, fast.notes
    seconds |= fast.seconds
    release_memory()  # the C library keeps what measuring and packing have freed: 175 MB and more
    give_back_pages(folder.glob("*.safetensors"))
    reporter.check()
    reporter.progress(total, total, "B", "ready")
    if context and context > limit:
        notes.append(f"the model reads {limit} tokens at most; {context} were asked for")
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        generation=getattr(model, "generation_config", None),
        device=device,
        dtype=str(model.dtype).removeprefix("torch."),
        context=min(context or limit, limit),
        weight_bytes=total,
        notes=notes,
        seconds=seconds,
        later=fast.later,
    )


@dataclass(slots=True)
class _Found:
    """What a folder holds, in ``dtype``; ``halves``: stored in 16 bits for a CPU to keep."""

    model: Any
    tokenizer: Any
    config: Any
    dtype: Any
    halves: bool


def _lightly(
    reporter: Reporter, folder: Path, ahead: LoadingAhead, seconds: dict[str, float], context: int | None
) -> _Found | None:
    """Without transformers; None where that cannot be."""
    if not ahead.is_light:
        return None
    import torch

    reporter.progress(0, None, "B", "loading the tokenizer")
    with _timed(seconds, "tokenizer"):
        read = ahead.tokenizer()
    reporter.check()
    if read is None:
        return None
    tokenizer, config, generation = read
    limit = context_limit(config, tokenizer)
    if not keeps_all_in_sight(config, min(context or limit, limit)):
        return None
    reporter.progress(0, None, "B", "loading weights")
    with _timed(seconds, "weights"), _broken(folder, "weights"):
        halves = stored_in_halves(torch, config)
        dtype = own_dtype(torch, config) if halves else compute_dtype(torch, config, "cpu")
        model = ahead.model(config, generation, dtype)
    return None if model is None else _Found(model, tokenizer, config, dtype, halves)


def _by_transformers(reporter: Reporter, folder: Path, device: str, seconds: dict[str, float], total: int) -> _Found:
    with _timed(seconds, "libraries"):
        complete_torch()
        import torch
        import transformers

        quiet(transformers)
    reporter.check()
    reporter.progress(0, total, "B", "loading the tokenizer")
    with _timed(seconds, "tokenizer"), _broken(folder, "tokenizer"):
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    reporter.check()
    reporter.progress(0, total, "B", "loading weights")
    with _timed(seconds, "weights"), _broken(folder, "weights"):
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        load_as = str(reporter.job.spec.get("load_as") or "")
        halves = device == "cpu" and not load_as and stored_in_halves(torch, config)
        dtype = own_dtype(torch, config) if halves else compute_dtype(torch, config, device)
        named = str(dtype).removeprefix("torch.")
        model, _ = load_weights(folder, dtype=named, device=device, load_as=load_as, config=config)
    return _Found(model, tokenizer, config, dtype, halves)


def context_limit(config: Any, tokenizer: Any) -> int:
    """The longest text in tokens that the model was made for."""
    text = config.get_text_config(decoder=True)
    for name in ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len", "context_length"):
        found = getattr(text, name, None)
        if isinstance(found, int) and found > 0:
            return found
    found = getattr(tokenizer, "model_max_length", None)
    return int(found) if isinstance(found, int) and 0 < found < 10**7 else _DEFAULT_CONTEXT


def quiet(transformers: Any) -> None:
    """No progress bars or advice in the log: a terminal draws them, a file only fills up."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in ("transformers", "optimum", "gptqmodel", "torchao"):
        logging.getLogger(name).setLevel(logging.ERROR)


def _device(torch: Any, reporter: Reporter) -> str:
    wanted = reporter.job.device
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise HeftError(
            f"the queue gave this host {wanted}, but torch {torch.__version__} sees no GPU",
            "run heft doctor: torch and the driver must fit each other",
        )
    return "cuda:0" if torch.cuda.is_available() else "cpu"  # CUDA_VISIBLE_DEVICES shows the given GPU alone


def own_dtype(torch: Any, config: Any) -> Any:
    """The type that the checkpoint is stored in, or None where it does not say."""
    named = getattr(config.get_text_config(decoder=True), "dtype", None) or getattr(config, "dtype", None)
    return getattr(torch, named, None) if isinstance(named, str) else named


def compute_dtype(torch: Any, config: Any, device: str) -> Any:
    """The model's own type on a GPU; on a CPU float32, unless the CPU computes in the model's bfloat16."""
    own = own_dtype(torch, config)
    if device != "cpu":
        return own or torch.float16
    return torch.bfloat16 if own is torch.bfloat16 and computes_bfloat16() else torch.float32


def packs_on_cpu(torch: Any, config: Any) -> bool:
    """Whether a checkpoint's 16-bit weights are kept in 16 bits while the CPU computes in 32."""
    computes_in_full = compute_dtype(torch, config, "cpu") is torch.float32
    return stored_in_halves(torch, config) and computes_in_full and fp16_linear.is_supported()


def stored_in_halves(torch: Any, config: Any) -> bool:
    """Whether a checkpoint holds plain weights of 16 bits."""
    quantized = getattr(config, "quantization_config", None) is not None
    return own_dtype(torch, config) in (torch.float16, torch.bfloat16) and not quantized


def computes_bfloat16() -> bool:
    """Whether this CPU has bfloat16 arithmetic; without it, bfloat16 is several times slower than float32."""
    with contextlib.suppress(OSError):
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
        return "avx512_bf16" in flags or "amx_bf16" in flags or "bf16" in flags
    return False


def provenance(folder: Path) -> dict[str, Any]:
    """What Heft wrote about the build when it made it; empty for folders of other tools."""
    try:
        value = json.loads((folder / PROVENANCE_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


@contextlib.contextmanager
def _broken(folder: Path, what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        hint = "download the model again, or look into the log"
        if "trust_remote_code" in str(error):
            first, hint = "it needs code from its own folder, which Heft does not run", "choose another model"
        raise BuildBrokenError(f"the {what} of {folder.name} cannot be loaded: {first}", hint) from error
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise BuildBrokenError(
            f"the weights of {folder.name} are damaged: {error}", "download the model again"
        ) from error


@contextlib.contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    """Adds to what ``name`` has taken."""
    started = time.monotonic()
    yield
    seconds[name] = round(seconds.get(name, 0.0) + time.monotonic() - started, 3)
