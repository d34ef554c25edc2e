"""Evaluate a GGUF build: its perplexity as llama.cpp computes it, by the definition that all other builds have.

llama.cpp's server tells the probability of what it draws and of nothing else, so each token of the text is forced in
turn; its cache makes that one step of decoding per token.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from tui.catalog.build_folder import folder_problem
from tui.catalog.gguf_header import read_gguf_header
from tui.catalog.weight_files import weight_files
from tui.errors import BuildBrokenError, UsageError
from tui.workers.calibration import read_file, scoring_texts, text_sha256
from tui.workers.environment import free_cores
from tui.workers.libraries import peak_memory
from tui.workers.llama_cpp import LlamaCpp, own_address
from tui.workers.perplexity import LIMIT, WINDOW, choose, windows
from tui.workers.reporter import Reporter


def is_gguf(path: Path) -> bool:
    """Whether the build in ``path`` is a GGUF file, whole or in parts."""
    try:
        names = weight_files(path)
    except OSError:
        return False
    return bool(names) and names[0].endswith(".gguf")


def evaluate_gguf(reporter: Reporter, source: Path) -> dict[str, Any]:
    """Measure the build; returns perplexity, tokens, text, text_sha256, speed (tokens per second) and seconds."""
    started = time.monotonic()
    problem = folder_problem(source)
    if problem:
        raise BuildBrokenError(f"{source.name} is not whole: {problem}", "download or export it again")
    file = (source.parent if source.is_file() else source) / weight_files(source)[0]
    given = str(reporter.job.spec.get("text") or "")
    texts, name = (read_file(Path(given)), given) if given else scoring_texts(source, reporter.job.model)
    length = min(int(read_gguf_header(file).fact("context_length") or WINDOW), WINDOW)
    reporter.progress(0, unit="tokens", message=f"loading {source.name} into llama.cpp")
    llama = LlamaCpp(file, own_address(reporter.paths, reporter.job.id), context=length, threads=free_cores())
    try:
        begin = str(llama.props().get("bos_token") or "")
        framed = [not (begin and text.startswith(begin)) for text in texts]  # a rendered chat has its own first token
        ids = [llama.tokens(text, special=True, frame=frame) for text, frame in zip(texts, framed, strict=True)]
        rows = choose(ids, LIMIT)
        found = [window for row in rows for window in windows(row, length)]
        total, loss, count, scoring = sum(window.scored for window in found), 0.0, 0, time.monotonic()
        for window in found:
            for place in range(window.first, len(window.ids)):
                reporter.check()
                told = llama.log_probability(window.ids[:place], window.ids[place])
                loss, count = loss - (told or 0.0), count + (told is not None)
                reporter.progress(count, total, "tokens", f"scoring {name}")
    finally:
        llama.close()
    if not count:
        raise UsageError(f"{name} has no two tokens to score", "give a longer text")
    return {
        "build": str(reporter.job.spec.get("build") or source.name),
        "perplexity": math.exp(min(700.0, loss / count)),
        "tokens": count,
        "text": name,
        "text_sha256": text_sha256(texts),
        "engine": "llama.cpp",
        "speed": round(count / max(1e-9, time.monotonic() - scoring), 1),
        "peak_memory": peak_memory(),
        "seconds": round(time.monotonic() - started, 1),
    }
