"""The distance of two models' next-token distributions: the same positions, exact where it can be worked out."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tui.workers import divergence as module
from tui.workers.divergence import Divergence, LogitsWriter


def compared(file: Path, wanted: list[Any], got: list[Any]) -> Divergence:
    total = sum(len(part) for part in wanted)
    writer = LogitsWriter(file)
    for part in wanted:
        writer(part, total)
    writer.close()
    found = Divergence(file)
    for part in got:
        found(part, total)
    found.close()
    return found


def test_a_model_is_at_no_distance_from_itself(tmp_path: Path) -> None:
    logits = [torch.randn(5, 11), torch.randn(3, 11)]
    found = compared(tmp_path / "l", logits, logits)
    assert found.kl_divergence == pytest.approx(0, abs=1e-9)
    assert (found.top1_agreement, found.positions) == (1.0, 8)


def test_the_divergence_is_that_of_the_textbook(tmp_path: Path) -> None:
    p, q = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[0.25, 0.5, 0.25]])
    found = compared(tmp_path / "l", [p.log()], [q.log()])
    assert found.kl_divergence == pytest.approx(0.5 * math.log(2) + 0.25 * math.log(0.5))
    assert found.top1_agreement == 0.0


def test_the_positions_are_the_same_however_the_rows_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POSITIONS", 7)
    logits = torch.randn(50, 6)
    found = compared(tmp_path / "l", [logits[:9], logits[9:10], logits[10:]], [logits[:30], logits[30:]])
    assert found.kl_divergence == pytest.approx(0, abs=1e-9)
    assert found.positions == 7


def test_another_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="another text or vocabulary"):
        compared(tmp_path / "l", [torch.randn(4, 5)], [torch.randn(4, 6)])
