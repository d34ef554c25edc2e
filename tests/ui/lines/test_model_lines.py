from __future__ import annotations

from dataclasses import replace

import pytest

from tui.catalog.model import Api, Model
from tui.fit.verdict import Fit, Verdict
from tui.ui.lines.fit_lines import fit_lines
from tui.ui.lines.model_facts import fact_lines
from tui.ui.lines.model_lines import (
    ModelRow,
    about_lines,
    columns_for,
    context_text,
    fit_mark,
    header_line,
    model_line,
    size_text,
)
from tui.ui.lines.span import plain, width_of

MODEL = Model(
    id="qwen3-8b", name="Qwen3 8B", repo="Qwen/Qwen3-8B", vendor="Alibaba", params=8_190_000_000, context_length=40960,
    license="Apache-2.0", commercial_use="yes", weights_bytes=16_400_000_000, kind="chat",
)  # fmt: skip


def fit(verdict: Verdict, precision: str = "gptq-4bit") -> Fit:
    return Fit(
        6 * 10**9, 10**9, 5 * 10**8, 75 * 10**8, 8 * 10**9, 24 * 10**9, verdict, "because", "GPU 0", precision, 8192
    )


@pytest.mark.parametrize("width", [24, 40, 60, 72, 100, 160, 220])
def test_header_and_rows_have_the_same_columns_at_every_width(width: int) -> None:
    row = model_line(ModelRow(MODEL, True, fit(Verdict.FITS)), width)
    assert width_of(row) <= width
    assert width_of(row) == width_of(header_line(width))


def test_wide_lists_have_every_column_and_narrow_ones_what_matters_most() -> None:
    everything = {"params", "active", "context", "license", "kind", "size", "fit", "here", "source"}
    assert set(columns_for(130)[1]) == everything
    assert set(columns_for(46)[1]) == {"fit", "params"}


def test_what_a_very_wide_line_has_to_spare_is_the_licences() -> None:
    assert columns_for(138)[1]["license"] == 15
    assert columns_for(150)[1]["license"] == 27
    assert columns_for(300)[1]["license"] == 32


def test_verdicts_are_told_by_glyph_and_word() -> None:
    marks = {verdict: fit_mark(fit(verdict)).text for verdict in Verdict}
    assert marks[Verdict.FITS] == "● 4-bit"
    assert marks[Verdict.FITS_EMPTY] == "◐ 4-bit busy"
    assert marks[Verdict.DOES_NOT_FIT] == "○ too big"
    assert len({text[0] for text in marks.values()}) == len(marks)


def test_a_mixture_shows_both_counts_and_a_licence_its_sign() -> None:
    row = plain(model_line(ModelRow(replace(MODEL, active_params=3_300_000_000)), 150))
    assert "8.19B" in row and "3.3B" in row and "✓ Apache-2.0" in row
    assert "3.3B" not in plain(model_line(ModelRow(MODEL), 150))
    forbidden = replace(MODEL, license="CC-BY-NC-4.0", commercial_use="no")
    assert "✗ CC-BY-NC-4.0" in plain(model_line(ModelRow(forbidden), 150))


def test_a_row_of_the_hub_tells_how_liked_and_how_old_it_is() -> None:
    found = replace(MODEL, source="hub", downloads=1_230_000, likes=45, updated="2026-05-01", formats=("safetensors",))
    about = plain(about_lines(ModelRow(found), 120)[0])
    for part in ("1.23M downloads", "45 likes", "changed 2026-05-01", "safetensors"):
        assert part in about


def test_an_api_and_an_unusable_model_say_so() -> None:
    api = Model(id="gpt", name="GPT", api=Api("OpenAI", "gpt", "https://x"))
    assert fit_mark(None, api).text == "↗ API"
    gone = Model(id="g", name="G", status="paper-only")
    assert fit_mark(None, gone).text.startswith("✗")
    assert "never released" in plain(about_lines(ModelRow(gone), 80)[1])


def test_sizes_that_are_computed_say_so() -> None:
    assert size_text(MODEL) == "16.4 GB"
    assert size_text(Model(id="x", name="x", params=10**9)) == "~2.00 GB"
    assert size_text(Model(id="x", name="x")) == "—"
    assert context_text(131072) == "128k"
    assert context_text(None) == "—"


def test_every_term_of_the_fit_is_shown_with_its_reason() -> None:
    rows = [plain(row) for row in fit_lines([fit(Verdict.FITS), fit(Verdict.DOES_NOT_FIT, "float16")], 90)]
    assert any(
        "4-bit" in row and "6.00 GB" in row and "1.00 GB" in row and "500 MB" in row and "7.50 GB" in row
        for row in rows
    )
    assert any("does not fit" in row for row in rows)
    assert any("because" in row for row in rows)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_facts_wrap_beside_their_labels(width: int) -> None:
    rows = fact_lines(MODEL, width)
    assert all(width_of(row) <= width for row in rows)
    assert "Apache-2.0, commercial use allowed" in " ".join(" ".join(plain(row).split()) for row in rows)
