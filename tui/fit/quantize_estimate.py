"""What making a quantized build takes: memory on the device, RAM and disk, each with its terms.

GPTQ works through the model block by block. For each linear layer it collects the Hessian of the layer's inputs, a
float32 matrix of inputs x inputs, and inverts it, so the widest input decides (a 53,248-wide one takes 10.6 GiB).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Model
from tui.catalog.needed_files import is_weights
from tui.fit.cpu_weights import computes_bfloat16_here
from tui.fit.parameters import Parameters, split_parameters
from tui.fit.precision import parse_precision
from tui.fit.weights import weight_bytes, weights_on_disk

PROCESS = 720_000_000
"""Bytes of a process with torch, transformers, optimum and gptqmodel that has quantized a small model, less that model
and its calibration set: 710 MB at the peak with gptqmodel 7.6.0, float32 on a CPU, 128 samples of 512 tokens."""
DEVICE_CONTEXT = 500_000_000
"""Bytes that CUDA and its kernels take on a GPU before the first tensor."""
TOKENIZER_FILES = 20_000_000
"""Bytes of tokenizer and config beside the weights where nobody has listed them."""
CARD_FILES = 64_000
"""Bytes of config, card and provenance that a job adds."""
_RESUMABLE = ("LlamaFor", "Qwen3MoeFor")
"""Families that GPTQModel's checkpoints know (``quantize_routes.py``)."""


@dataclass(frozen=True, slots=True)
class QuantizeEstimate:
    """Bytes, None where the dimensions are unknown. ``memory`` is taken on a GPU that does the work and
    ``ram_beside_gpu`` next to it; ``ram`` is taken where the CPU does it. ``disk`` is the size of the result, and
    ``disk_working`` is taken besides while the job runs, for checkpoints. ``terms`` explains ``memory``, ``ram_terms``
    explains ``ram``, ``disk_terms`` explains ``disk``."""

    memory: int | None
    ram: int | None
    disk: int | None
    terms: tuple[tuple[str, int], ...] = ()
    ram_terms: tuple[tuple[str, int], ...] = ()
    disk_terms: tuple[tuple[str, int], ...] = ()
    ram_beside_gpu: int | None = None
    disk_working: int = 0
    notes: tuple[str, ...] = ()


def quantize_estimate(
    model: Model,
    recipe: Recipe,
    source: Build | None = None,
    *,
    float32: bool | None = None,
    files_beside: int | None = None,
) -> QuantizeEstimate:
    """Estimate the job of making ``recipe`` out of ``model`` or its build ``source``. ``float32``: the CPU computes in
    32 bit; None asks this machine, as only one with bfloat16 instructions quantizes a bfloat16 model as it is.
    ``files_beside``: bytes of the hub's files beside the weights; what is on this disk is looked at."""
    split = split_parameters(model)
    label = parse_precision(recipe.label)
    stored = weights_on_disk(source.path) if source is not None else None
    result = weight_bytes(label, model.params, split, kept_bytes=4 if model.shape.dtype == "float32" else 2)
    if split is None or result is None or not model.shape.hidden_size:
        published = stored.total if stored else model.weights_bytes
        note = "its dimensions are not in the catalog, so the memory of the job is not known"
        return QuantizeEstimate(None, None, published, notes=(note,))
    wide = float32 if float32 is not None else model.shape.dtype != "bfloat16" or not computes_bfloat16_here()
    value = 4 if wide else 2
    work = _work(model, split, recipe)
    terms = (
        ("CUDA and kernels", DEVICE_CONTEXT),
        ("one block in 16 bit", 2 * split.linear // (model.shape.layers or 1)),
        ("embeddings in 16 bit", 2 * split.kept),
        *work,
        ("calibration inputs and outputs", 2 * _calibration(model, recipe, 2)),
    )
    ram_terms = (
        ("process and libraries", PROCESS),
        (f"whole model in {8 * value} bit", value * split.total),
        *work,
        ("calibration inputs and outputs", 2 * _calibration(model, recipe, value)),
        *_checkpoint_in_memory(2, model, recipe, value),
    )
    disk_terms = (*result.parts, ("tokenizer and config", _beside(model, source, files_beside)))
    whole = stored.total if stored else 2 * split.total
    notes = () if split.exact else ("the widths of its layers are inferred from its size",)
    return QuantizeEstimate(
        memory=_total(terms),
        ram=_total(ram_terms),
        disk=_total(disk_terms),
        terms=terms,
        ram_terms=ram_terms,
        disk_terms=disk_terms,
        ram_beside_gpu=PROCESS + whole + _total(_checkpoint_in_memory(3, model, recipe, 2)),
        disk_working=_checkpoints(model, recipe, result.total),
        notes=notes,
    )


def _beside(model: Model, source: Build | None, listed: int | None) -> int:
    """Bytes of what a build has beside its weights."""
    folder = source.path if source is not None else Path(model.repo) if model.is_local_folder else None
    if folder is not None and folder.is_dir():
        try:
            return CARD_FILES + sum(
                file.stat().st_size for file in folder.iterdir() if file.is_file() and not is_weights(file.name)
            )
        except OSError:
            return TOKENIZER_FILES
    return TOKENIZER_FILES if listed is None else CARD_FILES + listed


def _work(model: Model, split: Parameters, recipe: Recipe) -> tuple[tuple[str, int], ...]:
    """The float32 matrices of the widest layer: its Hessian and the inverse of it, and the weights being rounded."""
    if recipe.method != "gptq":
        return (("the largest layer in 32 bit", 4 * split.largest_linear),)
    return (
        ("Hessian of the widest layer and its inverse", 2 * 4 * split.largest_input**2),
        ("the largest layer in 32 bit", 4 * split.largest_linear),
    )


def _calibration(model: Model, recipe: Recipe, value_bytes: int) -> int:
    """What goes into a block for the whole calibration set: a vector for each token, and the sines and cosines of its
    position, which the loop keeps for every sample anew."""
    shape = model.shape
    values = (shape.hidden_size or 0) + 2 * (shape.head_dim or 0)
    return recipe.samples * recipe.sample_length * values * value_bytes


def _checkpoint_in_memory(copies: int, model: Model, recipe: Recipe, value: int) -> tuple[tuple[str, int], ...]:
    """What writing a checkpoint takes: the inputs are copied, laid out as a file and laid out once more as bytes. Where
    a CPU computes, the outputs of the block are inputs by then and need no place of their own."""
    if not _can_resume(model, recipe):
        return ()
    return (("copies for a checkpoint", copies * _calibration(model, recipe, value)),)


def _checkpoints(model: Model, recipe: Recipe, result: int) -> int:
    """Two generations of the states between blocks and two of the finished layers, for families that can resume."""
    return 2 * _calibration(model, recipe, 4) + 2 * result if _can_resume(model, recipe) else 0


def _can_resume(model: Model, recipe: Recipe) -> bool:
    return recipe.method == "gptq" and recipe.route != "optimum" and model.shape.architecture.startswith(_RESUMABLE)


def _total(terms: tuple[tuple[str, int], ...]) -> int:
    return sum(size for _, size in terms)
