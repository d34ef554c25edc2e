"""Holds a saved build to what was quantized, in a process of its own: ``python -m tui.workers.verify REQUEST.json``.

It loads the original and then the build as anybody's plain transformers would, and compares: which modules are
quantized, what each of them answers to the noted vectors, whether all else is the original bit for bit, logits on fixed
inputs, and perplexity. Several ways of making a build go wrong without an error; this is where they are found.
"""

from __future__ import annotations

import gc
import hashlib
import json
import math
import os
import sys
from pathlib import Path
from typing import Any

from tui.workers.calibration import token_ids
from tui.workers.divergence import Divergence, LogitsWriter
from tui.workers.figures import Figures, PeakMemory, figures
from tui.workers.libraries import peak_memory
from tui.workers.perplexity import Listener
from tui.workers.quantize.checking import Request
from tui.workers.quantize.probes import read_probes, vectors
from tui.workers.weights import GPTQMODEL, load_weights, release_memory

PROBE_TOLERANCE = 0.01
"""How far a reloaded layer's answer may be off, as a share of its length: scales are stored in 16 bits."""
LOGITS_TOLERANCE = 1.0
"""Above this share of their length the logits have nothing to do with the original's (3 bits and more)."""
PERPLEXITY_TOLERANCE = 3.0
"""A build with at least 4 bits that is so many times as perplexed as its original is broken."""
FIXED_TOKENS = 64


def main(words: list[str]) -> int:
    """Read the request, compare, write the result; returns 0 when a result is written, equal or not."""
    request = Request(**json.loads(Path(words[0]).read_text(encoding="utf-8")))
    result = compare(request)
    beside = Path(request.result).with_suffix(".tmp")
    beside.write_text(json.dumps(result), encoding="utf-8")
    beside.replace(request.result)
    return 0


def compare(request: Request) -> dict[str, Any]:
    """Compare the build with what was noted and with its source.

    Returns ``differences`` (one sentence each, empty when the build is right), the figures, and how many modules are
    quantized.
    """
    from transformers import AutoTokenizer

    noted = read_probes(Path(request.probes))
    texts = json.loads(Path(request.texts).read_text(encoding="utf-8"))
    tokenizer = AutoTokenizer.from_pretrained(request.source)
    fixed = fixed_inputs(tokenizer, texts, request.context)

    _tell("loading the original")
    memory = PeakMemory(request.device)
    model, _ = _load(request.source, request, "transformers")
    kept = {} if request.method == "awq" else _kept(model, noted)  # AWQ scales norms and biases along
    wanted = _logits(model, fixed)
    logits = Path(request.result).with_name("logits.bin")
    writer = LogitsWriter(logits)
    before = _figures(model, tokenizer, texts, request, "the original", memory, writer)
    writer.close()
    highest = peak_memory()
    del model
    _release()

    _tell("loading the build in a fresh process")
    memory = PeakMemory(request.device)
    model, missing = _load(request.build, request, request.loader)
    if missing:  # what is missing is filled with whatever was in memory: nothing can be computed with it
        return {"differences": [f"{len(missing)} weights are missing in the saved build ({missing[0]}, …)"]}
    if request.loader == GPTQMODEL:
        kept = {name: digest for name, digest in kept.items() if not _taken_apart(name, model, noted)}
    differences = [*compare_modules(model, noted), *compare_kept(model, kept)]
    off = relative_distance(_logits(model, fixed), wanted)
    divergence = Divergence(logits)
    own = AutoTokenizer.from_pretrained(request.build)
    after = _figures(model, own, texts, request, "the build", memory, divergence)
    divergence.close()
    logits.unlink()
    differences += compare_quality(off, before.perplexity, after.perplexity, request.bits)
    return {
        "differences": differences,
        "quality": {
            "perplexity_before": before.perplexity,
            "perplexity_after": after.perplexity,
            "tokens": after.tokens,
            "kl_divergence": divergence.kl_divergence,
            "top1_agreement": divergence.top1_agreement,
            "positions": divergence.positions,
            "speed_before": before.speed,
            "speed_after": after.speed,
            "memory_before": before.memory,
            "memory_after": after.memory,
        },
        "logits_distance": off,
        "probe_distance": max((distance for _, distance in probe_distances(model, noted)), default=0.0),
        "quantized_modules": len(quantized_modules(model)),
        "kernels": kernels(model),
        "peak_memory": max(highest, peak_memory()),
    }


def compare_modules(model: Any, noted: dict[str, Any]) -> list[str]:
    """Sentences about quantized modules that are missing, too many, or answer otherwise than was noted."""
    loaded = set(quantized_modules(model))
    missing, surplus = sorted(set(noted) - loaded), sorted(loaded - set(noted))
    found = []
    if missing:
        found.append(
            f"{len(missing)} of {len(noted)} quantized layers are not quantized when reloaded ({missing[0]}, …)"
        )
    if surplus:
        found.append(f"{len(surplus)} layers reload as quantized that never were ({surplus[0]}, …)")
    wrong = [(name, distance) for name, distance in probe_distances(model, noted) if not distance <= PROBE_TOLERANCE]
    if wrong:
        name, distance = wrong[0]
        found.append(f"{len(wrong)} of {len(noted)} layers reload with other weights ({name} is off by {distance:.1%})")
    return found


def compare_kept(model: Any, kept: dict[str, str]) -> list[str]:
    """Sentences about weights that were not quantized and are not the original's any more."""
    loaded = {name: _sha256(tensor) for name, tensor in _named_tensors(model) if name in kept}
    wrong = sorted(name for name, digest in kept.items() if loaded.get(name) != digest)
    if not wrong:
        return []
    return [f"{len(wrong)} weights that are not quantized differ from the original ({wrong[0]}, …)"]


def compare_quality(off: float, before: float, after: float, bits: int) -> list[str]:
    """Sentences about logits and perplexity that no faithful build of so many bits has."""
    found = []
    if not math.isfinite(off) or (bits >= 3 and off > LOGITS_TOLERANCE):
        found.append(f"its logits are {off:.0%} off the original's")
    if not math.isfinite(after):
        found.append("its perplexity is not a number")
    elif bits >= 4 and math.isfinite(before) and after > before * PERPLEXITY_TOLERANCE:
        found.append(f"its perplexity is {after:.4g}, the original's {before:.4g}")
    return found


def quantized_modules(model: Any) -> dict[str, Any]:
    """The packed modules of a loaded model by name."""
    return {name: module for name, module in model.named_modules() if hasattr(module, "qweight")}


def probe_distances(model: Any, noted: dict[str, Any]) -> list[tuple[str, float]]:
    """For each noted module that is loaded as quantized, how far its answer is off, relative to its length."""
    import torch

    found = []
    for name, module in quantized_modules(model).items():
        if name not in noted:
            continue
        scales = module.scales
        inputs = vectors(module.in_features).to(scales.device, dtype=model.dtype)
        bias = module.bias
        with torch.inference_mode():
            answer = module(inputs) - (bias if bias is not None else 0)
        found.append((name, relative_distance(answer.float().cpu(), noted[name])))
    return found


def relative_distance(got: Any, wanted: Any) -> float:
    """||got - wanted|| / ||wanted||; infinite when a number is not finite or the shapes differ."""
    if got.shape != wanted.shape:
        return math.inf
    distance = float((got.double() - wanted.double()).norm() / wanted.double().norm().clamp_min(1e-30))
    return distance if math.isfinite(distance) else math.inf


def fixed_inputs(tokenizer: Any, texts: list[str], context: int) -> list[list[int]]:
    """The first tokens of the first three texts that are long enough."""
    length = min(FIXED_TOKENS, context)
    rows = [token_ids(tokenizer, text)[:length] for text in texts]
    return [row for row in rows if len(row) > 1][:3]


def kernels(model: Any) -> list[str]:
    """Names of the kernels that run the quantized modules."""
    return sorted({type(module).__name__ for module in quantized_modules(model).values()})


def _load(folder: str, request: Request, loader: str) -> tuple[Any, list[str]]:
    return load_weights(Path(folder), dtype=request.dtype, device=request.device, loader=loader)


def _release() -> None:
    gc.collect()
    release_memory()


def _logits(model: Any, rows: list[list[int]]) -> Any:
    import torch

    with torch.inference_mode():
        parts = [model(input_ids=torch.tensor([row], device=model.device)).logits[0].float().cpu() for row in rows]
    return torch.cat(parts)


def _figures(
    model: Any, tokenizer: Any, texts: list[str], request: Request, which: str, memory: PeakMemory, listen: Listener
) -> Figures:
    def step(tokens: int) -> None:
        _tell(f"perplexity of {which}: {tokens} tokens")

    _tell(f"speed of {which}")
    return figures(model, tokenizer, texts, context=request.context, memory=memory, step=step, listen=listen)


def _kept(model: Any, noted: dict[str, Any]) -> dict[str, str]:
    return {name: _sha256(tensor) for name, tensor in _named_tensors(model) if _owner(name) not in noted}


def _taken_apart(name: str, model: Any, noted: dict[str, Any]) -> bool:
    """Whether a weight of the original is not in the build by that name because its layers were quantized one by one:
    joined experts, joined projections."""
    owner = _owner(name)
    beside = f"{_owner(owner)}."
    return name not in dict(_named_tensors(model)) and any(module.startswith((f"{owner}.", beside)) for module in noted)


def _named_tensors(model: Any) -> list[tuple[str, Any]]:
    return [*model.named_parameters(), *((name, value) for name, value in model.named_buffers() if value.dim() > 1)]


def _owner(name: str) -> str:
    return name.rpartition(".")[0]


def _sha256(tensor: Any) -> str:
    import torch

    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return hashlib.sha256(raw).hexdigest()


def _tell(message: str) -> None:
    # The quantize worker reads these lines; the libraries' own words go to the log.
    descriptor = os.environ.get("HEFT_VERIFY_NEWS")
    if descriptor:
        os.write(int(descriptor), message.encode() + b"\n")


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)
