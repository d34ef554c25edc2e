"""What is measured of one loaded model: memory, speed and perplexity, the same way for an original and for a build."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.workers.calibration import token_ids
from tui.workers.libraries import peak_memory
from tui.workers.perplexity import Listener, perplexity

PROMPT_TOKENS = 16
NEW_TOKENS = 24
SPEED_SECONDS = 10.0
"""A measurement of speed generates so many tokens after such a prompt, for at most so many seconds."""


@dataclass(frozen=True, slots=True)
class Figures:
    """``perplexity`` over ``tokens``; ``speed`` in generated tokens per second, None when it could not be told;
    ``memory`` in bytes, at the peak of loading and generating, beyond what the process held before."""

    perplexity: float
    tokens: int
    speed: float | None
    memory: int


class PeakMemory:
    """Bytes that loading and generating take at their peak: of the GPU where the model is on one, else resident."""

    def __init__(self, device: str) -> None:
        self._on_gpu = device == "cuda"
        if self._on_gpu:
            import torch

            torch.cuda.reset_peak_memory_stats()
            self._before = int(torch.cuda.memory_allocated())
        else:
            reset_peak()
            self._before = resident()

    def bytes(self) -> int:
        """The peak since this object was made, less what was held then."""
        if self._on_gpu:
            import torch

            return max(0, int(torch.cuda.max_memory_allocated()) - self._before)
        return max(0, peak_memory() - self._before)


def reset_peak() -> None:
    """Let the kernel count this process's peak of resident memory anew (Linux: 5 into clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def resident() -> int:
    """Bytes of this process in memory now."""
    import os

    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def figures(
    model: Any,
    tokenizer: Any,
    texts: Sequence[str],
    *,
    context: int,
    memory: PeakMemory,
    step: Callable[[int], None] = lambda tokens: None,
    listen: Listener | None = None,
) -> Figures:
    """Measure ``model``, which was loaded after ``memory`` began to count."""
    speed = decode_speed(model, tokenizer, texts, context)
    taken = memory.bytes()
    found = perplexity(model, tokenizer, texts, context=context, step=step, listen=listen)
    return Figures(found.value, found.tokens, speed, taken)


def decode_speed(model: Any, tokenizer: Any, texts: Sequence[str], context: int) -> float | None:
    """Generated tokens per second, one at a time, without the reading of the prompt; None when nothing came."""
    import torch

    ids = next((row for row in (token_ids(tokenizer, text) for text in texts) if len(row) > 1), None)
    new = min(NEW_TOKENS, context - PROMPT_TOKENS - 1)
    if ids is None or new < 2:
        return None
    prompt = torch.tensor([ids[:PROMPT_TOKENS]], device=model.device)

    def generate(count: int) -> tuple[float, int]:
        started = time.monotonic()
        with torch.inference_mode():
            answer = model.generate(
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                max_new_tokens=count,
                min_new_tokens=count,
                do_sample=False,
                max_time=SPEED_SECONDS,
                pad_token_id=tokenizer.eos_token_id or 0,
            )
        if model.device.type == "cuda":
            torch.cuda.synchronize()
        return time.monotonic() - started, int(answer.shape[1]) - prompt.shape[1]

    generate(1)
    first, _ = generate(1)
    whole, made = generate(new)
    return (made - 1) / (whole - first) if made > 1 and whole > first else None
