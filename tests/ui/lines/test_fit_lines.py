"""The fit of one model on screen: every term, every device, every context, and the job of making it smaller."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.fit.ladder import Rung
from tui.fit.quantize_fit import QuantizeFit
from tui.fit.verdict import Fit, Measured, OnDevice, Verdict
from tui.ui.lines.fit_lines import chosen_fit, device_lines, fit_lines, ladder_lines, part_lines, quantize_lines
from tui.ui.lines.span import plain, width_of

GB = 10**9
DEVICES = (
    OnDevice("GPU 0 NVIDIA L4", 20 * GB, 3 * GB, 24 * GB, Verdict.FITS_EMPTY, "3.00 GB free: pid 7 of ann holds 21 GB"),
    OnDevice("GPU 1 NVIDIA T4", 20 * GB, 15 * GB, 16 * GB, Verdict.DOES_NOT_FIT, "16.0 GB in all"),
    OnDevice("RAM", 22 * GB, 60 * GB, 64 * GB, Verdict.FITS, "60.0 GB free"),
)
PARTS = (("weights", 16 * GB), ("cache of full layers", 3 * GB), ("CUDA context", GB))


def fit(verdict: Verdict, precision: str = "bfloat16") -> Fit:
    return Fit(
        16 * GB, 3 * GB, GB, 20 * GB, 3 * GB, 24 * GB, verdict, "because", "GPU 0 NVIDIA L4", precision, 8192,
        parts=PARTS, devices=DEVICES,
    )  # fmt: skip


def test_the_best_precision_that_fits_is_the_chosen_one() -> None:
    fits = [fit(Verdict.DOES_NOT_FIT), fit(Verdict.FITS_EMPTY, "gptq-8bit"), fit(Verdict.FITS, "gptq-4bit")]
    assert chosen_fit(fits) is fits[2]
    assert chosen_fit(fits[:2]) is fits[1]
    assert chosen_fit(fits[:1]) is fits[0]
    assert chosen_fit(fits, "bfloat16") is fits[0]
    assert chosen_fit([]) is None


def test_every_device_has_its_verdict_and_nothing_is_added_up() -> None:
    rows = [plain(row) for row in device_lines(fit(Verdict.FITS_EMPTY), 90)]
    assert rows[1].startswith("◐ GPU 0 L4") and "pid 7 of ann holds 21 GB" in rows[1] + rows[2]
    assert any(row.startswith("○ GPU 1 T4") and "20.0 GB needed" in row for row in rows)
    assert any(row.startswith("● RAM") and "22.0 GB needed" in row for row in rows)


def test_the_parts_are_the_sum() -> None:
    rows = [plain(row) for row in part_lines(fit(Verdict.FITS), 60)]
    assert "16-bit" in rows[0]
    assert [row.split()[0] for row in rows[1:]] == ["16.0", "3.00", "1.00", "20.0"]


def test_what_was_measured_here_names_its_precision() -> None:
    taken = Measured("org/a", "transformers", "cpu", 1024, 1_020_000_000, 1024, "resident memory", "")
    fits = [
        replace(fit(Verdict.FITS), measured=taken),
        fit(Verdict.FITS, "gptq-8bit"),
        replace(fit(Verdict.FITS, "gptq-4bit"), measured=replace(taken, bytes=7 * 10**8)),
    ]
    rows = [plain(row).strip() for row in fit_lines(fits, 90) if "measured" in plain(row)]
    assert rows == [
        "✓ measured here: 1.02 GB at 1,024 tokens (16-bit)",
        "✓ measured here: 700 MB at 1,024 tokens (4-bit)",
    ]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_the_ladder_keeps_to_the_width_and_marks_what_was_asked(width: int) -> None:
    rungs = [Rung(512 << power, power * GB, list(Verdict)[power // 4]) for power in range(9)]
    rows = ladder_lines({"bfloat16": rungs, "gptq-4bit": rungs}, 8192, width)
    assert all(width_of(row) <= width for row in rows)
    assert "[8k]" in plain(rows[1])
    assert plain(rows[2]).strip().startswith("16-bit") and "◐" in plain(rows[2])
    column = plain(rows[1]).index("8k")
    assert plain(rows[2])[column - 1 : column + 2].strip() == "◐"


def test_a_model_without_a_cache_has_no_ladder() -> None:
    assert ladder_lines({}, 8192, 80) == []


def test_the_quantize_job_tells_memory_and_disk() -> None:
    job = QuantizeFit(
        "gptq-4bit-g128", "RAM", 19 * GB, 21 * GB, 25 * GB, 0, 21 * GB, 9 * GB, 80 * GB, 6 * GB, Verdict.FITS,
        "needs 19.0 GB; RAM has 21.0 GB free", (("process and libraries", 10**9),),
    )  # fmt: skip
    shown = " ".join(plain(row) for row in quantize_lines(job, 80))
    assert "● needs 19.0 GB" in shown and "9.00 GB of disk while it runs, 6.00 GB after" in shown
    assert quantize_lines(None, 80) == []
