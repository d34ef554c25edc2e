"""Evaluate: what a build is worth, on the held-out text or on a text of the user's.

The same definitions and the same text as quantizing uses for before and after, so the numbers can be held side by side.
Where the original of a quantized build is on this disk, both are measured, one after the other in this process; the
figures on the built-in text are kept in the build's own heft.json.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tui.catalog.build import Quality
from tui.catalog.build_card import CARD_FILE, card_text
from tui.catalog.build_folder import folder_problem
from tui.catalog.provenance import read_provenance, write_provenance
from tui.catalog.weight_files import weights_size
from tui.errors import BuildBrokenError, UsageError
from tui.fit.quantize_plan import context_of, dtype_of
from tui.settings import load_settings
from tui.workers.calibration import read_file, scoring_texts, text_sha256
from tui.workers.divergence import Divergence, LogitsWriter
from tui.workers.figures import Figures, PeakMemory, figures
from tui.workers.gguf_score import evaluate_gguf, is_gguf
from tui.workers.libraries import device_of, has_native_bfloat16, load_libraries, peak_memory
from tui.workers.perplexity import Listener
from tui.workers.reporter import Reporter
from tui.workers.weights import load_weights, loader_of, release_memory


def run(reporter: Reporter) -> dict[str, Any]:
    """Measure the build of ``reporter.job``; returns perplexity, tokens, text, text_sha256, speed, peak_memory, seconds
    and ``quality``, which has before and after where the original is here."""
    started = time.monotonic()
    source = reporter.source()
    if is_gguf(source):
        return evaluate_gguf(reporter, source)
    original = Path(str(reporter.job.spec.get("original") or ""))
    for folder in (source, original) if original.name else (source,):
        problem = folder_problem(folder)
        if problem:
            raise BuildBrokenError(f"{folder.name} is not whole: {problem}", "download or quantize it again")
    reporter.progress(0, unit="tokens", message=f"loading {source.name}")
    load_libraries(reporter.paths)
    from transformers import AutoTokenizer

    reporter.check()
    tokenizer = AutoTokenizer.from_pretrained(source)
    file = str(reporter.job.spec.get("text") or "")
    texts, name = (read_file(Path(file), tokenizer), file) if file else scoring_texts(source, reporter.job.model)
    limit = load_settings(reporter.paths.settings_file).quantize.loss_limit
    quality, found = _compared(reporter, source, original, tokenizer, texts, name, limit)
    if not found.tokens:
        raise UsageError(f"{name} has no two tokens to score", "give a longer text")
    if not file and original.name:
        _keep(reporter, source, quality)
    return {
        "build": str(reporter.job.spec.get("build") or source.name),
        "perplexity": found.perplexity,
        "tokens": found.tokens,
        "text": name,
        "text_sha256": text_sha256(texts),
        "speed": found.speed,
        "memory": found.memory,
        "quality": asdict(quality) | {"relative_loss": quality.relative_loss, "flagged": quality.is_flagged},
        "peak_memory": peak_memory(),
        "seconds": round(time.monotonic() - started, 1),
    }


def _compared(
    reporter: Reporter, source: Path, original: Path, tokenizer: Any, texts: Sequence[str], name: str, limit: float
) -> tuple[Quality, Figures]:
    if not original.name:
        found = _measured(reporter, source, tokenizer, texts, None)
        return _quality(None, found, name, limit, None, source), found
    logits = reporter.folder / "logits.bin"
    try:
        writer = LogitsWriter(logits)
        before = _measured(reporter, original, tokenizer, texts, writer)
        writer.close()
        divergence = Divergence(logits)
        after = _measured(reporter, source, tokenizer, texts, divergence)
        divergence.close()
    finally:
        logits.unlink(missing_ok=True)
    quality = _quality(before, after, name, limit, original, source)
    return (
        Quality(
            **asdict(quality)
            | {
                "kl_divergence": divergence.kl_divergence,
                "top1_agreement": divergence.top1_agreement,
                "positions": divergence.positions,
            }
        ),
        after,
    )


def _quality(
    before: Figures | None, after: Figures, name: str, limit: float, original: Path | None, source: Path
) -> Quality:
    return Quality(
        perplexity_before=before.perplexity if before else None,
        perplexity_after=after.perplexity,
        tokens=after.tokens,
        text=name,
        speed_before=before.speed if before else None,
        speed_after=after.speed,
        memory_before=before.memory if before else None,
        memory_after=after.memory,
        size_before=weights_size(original) if original else None,
        size_after=weights_size(source),
        limit=limit,
    )


def _measured(
    reporter: Reporter, folder: Path, tokenizer: Any, texts: Sequence[str], listen: Listener | None
) -> Figures:
    reporter.check()
    reporter.progress(0, unit="tokens", message=f"loading {folder.name}")
    device = device_of(reporter.job.device)
    dtype = dtype_of(folder, device=device, native_bfloat16=has_native_bfloat16())
    memory = PeakMemory(device)
    model, _ = load_weights(folder, dtype=dtype, device=device, loader=loader_of(folder))

    def step(tokens: int) -> None:
        reporter.check()
        reporter.progress(tokens, unit="tokens", message=f"scoring {folder.name}")

    reporter.check()
    reporter.progress(0, unit="tokens", message=f"speed of {folder.name}")
    found = figures(model, tokenizer, texts, context=context_of(folder), memory=memory, step=step, listen=listen)
    del model
    gc.collect()
    release_memory()
    return found


def _keep(reporter: Reporter, source: Path, quality: Quality) -> None:
    facts = read_provenance(source)
    if facts and source.parent == reporter.paths.builds:
        facts |= {"quality": asdict(quality)}
        if facts.get("recipe"):
            beside = source / f".{CARD_FILE}"
            beside.write_text(card_text(source.name, facts), encoding="utf-8")
            beside.replace(source / CARD_FILE)
        write_provenance(source, facts)
