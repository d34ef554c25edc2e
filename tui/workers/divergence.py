"""How far a quantized model's next-token distributions are from the original's, position by position.

The original's logits are written to a file while its perplexity is measured, and read again while the build's is, so
that both models are never in memory at once (llama.cpp's ``perplexity --kl-divergence`` does the same).
"""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

POSITIONS = 2048
FILE_LIMIT = 512_000_000
"""Most positions that are compared, and most bytes that their logits may take on disk."""


class _EveryNth:
    """Picks evenly spaced positions, the same ones of two measurements over the same text."""

    def __init__(self) -> None:
        self._seen = 0

    def pick(self, logits: Any, total: int) -> Any:
        """The rows of ``logits`` that are compared."""
        most = max(1, min(POSITIONS, FILE_LIMIT // (4 * logits.shape[1])))
        stride = -(-total // most)
        first = -self._seen % stride
        self._seen += logits.shape[0]
        return logits[first::stride]


class LogitsWriter:
    """Keeps the original's logits in ``file``; to be handed to ``perplexity`` as its listener."""

    def __init__(self, file: Path) -> None:
        self._picker = _EveryNth()
        self._stream: IO[bytes] = file.open("wb")

    def __call__(self, logits: Any, total: int) -> None:
        """Write the picked rows as float32."""
        self._picker.pick(logits, total).float().cpu().contiguous().numpy().tofile(self._stream)

    def close(self) -> None:
        """Nothing more comes."""
        self._stream.close()


class Divergence:
    """Compares a build with what ``LogitsWriter`` kept; to be handed to ``perplexity`` as its listener."""

    def __init__(self, file: Path) -> None:
        self._picker = _EveryNth()
        self._stream: IO[bytes] = file.open("rb")
        self._divergence = 0.0
        self._agreed = 0
        self.positions = 0

    def __call__(self, logits: Any, total: int) -> None:
        """Add the picked rows: KL(original || build) = sum p (log p - log q), in nats."""
        import numpy
        import torch

        got = self._picker.pick(logits, total).float().cpu()
        kept = numpy.fromfile(self._stream, dtype=numpy.float32, count=got.numel())
        if kept.size != got.numel():
            raise ValueError("the original's logits are of another text or vocabulary")
        wanted = torch.from_numpy(kept).view_as(got)
        log_p, log_q = wanted.log_softmax(-1), got.log_softmax(-1)
        self._divergence += float((log_p.exp() * (log_p - log_q)).sum())
        self._agreed += int((wanted.argmax(-1) == got.argmax(-1)).sum())
        self.positions += got.shape[0]

    @property
    def kl_divergence(self) -> float | None:
        """Mean over the positions in nats; None when there were none."""
        return self._divergence / self.positions if self.positions else None

    @property
    def top1_agreement(self) -> float | None:
        """Share of positions at which both find the same token most likely."""
        return self._agreed / self.positions if self.positions else None

    def close(self) -> None:
        """Nothing more comes."""
        self._stream.close()
