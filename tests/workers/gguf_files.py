"""Writes and reads GGUF files in a test: the exporter's own functions without a job around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tui.catalog.gguf_plan import GgufPlan, plan_gguf
from tui.workers.export.checking import Report, check_tokens, check_weights
from tui.workers.export.checkpoint import Checkpoint
from tui.workers.export.vocabulary import read_vocabulary
from tui.workers.export.writing import EMBEDDING, write
from tui.workers.llama_cpp import LlamaCpp


def exported(source: Path, file: Path, kind: str = "auto", *, tokens: bool = False) -> tuple[GgufPlan, Report]:
    """Write ``file`` from ``source`` and read it back."""
    plan = plan_gguf(source, kind)
    checkpoint = Checkpoint(source, bits=plan.bits, version=plan.version)
    vocabulary = read_vocabulary(source, plan.config, checkpoint.shape(EMBEDDING)[0])
    written = write(plan, checkpoint, vocabulary, {"general.name": "tiny"}, file, lambda *_: None)
    report = check_weights(file, plan, checkpoint, written, lambda *_: None)
    if tokens:
        with Loaded(file, 64, light=True) as llama:
            report.tokens, note = check_tokens(lambda text, mark: llama.tokens(text, special=mark), source, vocabulary)
            report.notes += [note] if note else []
    return plan, report


class Loaded:
    """A file in llama.cpp for the length of a ``with``."""

    def __init__(self, file: Path, context: int, *, light: bool = False) -> None:
        self._llama = LlamaCpp(file, file.with_name("l.sock"), context=context, threads=1, light=light)

    def __enter__(self) -> LlamaCpp:
        return self._llama

    def __exit__(self, *_: object) -> None:
        self._llama.close()


def next_logits(file: Path, prompts: Sequence[list[int]], context: int, vocabulary: int) -> np.ndarray[Any, Any]:
    """Log probabilities of every token after each prompt, as llama.cpp computes them; NaN where the answer ended."""
    rows = np.full((len(prompts), vocabulary), np.nan)
    with Loaded(file, context) as llama:
        for row, prompt in zip(rows, prompts, strict=True):
            for chunk in chunks_of(llama, {"prompt": prompt, "max_tokens": 1, "logprobs": vocabulary}):
                found = chunk["choices"][0].get("logprobs") if chunk.get("choices") else None
                for entry in found["content"][0]["top_logprobs"] if found else ():
                    row[entry["id"]] = entry["logprob"]
    return rows


def chunks_of(llama: LlamaCpp, body: dict[str, Any]) -> list[dict[str, Any]]:
    """All that comes for one greedy completion."""
    came: list[dict[str, Any]] = []

    def heard(chunk: dict[str, Any]) -> bool:
        came.append(chunk)
        return False

    llama.complete({"stream": True, "temperature": 0, **body}, heard)
    return came
