"""The fit of a whole list: the highest precision that fits, and the same numbers as the full answer."""

from __future__ import annotations

from tests.fit.conftest import GB, gpu, machine
from tui.catalog.catalog_file import load_catalog
from tui.catalog.model import Api, Model
from tui.fit.ranking import best_fit
from tui.fit.verdict import Verdict, fit_model


def test_the_highest_precision_that_fits_now(row):
    model = row("llama-2-7b")
    for free, precision in ((24, "float16"), (12, "gptq-8bit"), (8, "gptq-4bit")):
        fit = best_fit(model, machine(gpu(0, free, free)))
        assert (fit.verdict, fit.precision) == (Verdict.FITS, precision)


def test_a_smaller_one_now_beats_a_larger_one_later(row):
    fit = best_fit(row("llama-2-7b"), machine(gpu(0, 24, 8)))
    assert (fit.verdict, fit.precision) == (Verdict.FITS, "gptq-4bit")
    fit = best_fit(row("llama-2-7b"), machine(gpu(0, 24, 2)))
    assert (fit.verdict, fit.precision) == (Verdict.FITS_EMPTY, "float16")


def test_ram_where_no_gpu_is_large_enough(row):
    fit = best_fit(row("llama-2-70b"), machine(gpu(0, 24, 24), ram=256, available=200))
    assert (fit.verdict, fit.device, fit.precision) == (Verdict.FITS, "RAM", "float16")


def test_what_fits_nowhere(row):
    fit = best_fit(row("llama-3.1-405b"), machine(gpu(0, 24, 24), ram=32, available=20))
    assert (fit.verdict, fit.precision) == (Verdict.DOES_NOT_FIT, "gptq-4bit")
    assert fit.total > 200 * GB


def test_rows_that_cannot_be_judged(row):
    assert best_fit(Model(id="y", name="y"), machine()).verdict is Verdict.UNKNOWN
    provider = Model(id="z", name="z", api=Api("OpenAI", "z", "https://example.org"))
    assert best_fit(provider, machine()).reason == "runs at the provider"


def test_float32_is_not_offered_where_16_bit_says_the_same(row):
    assert best_fit(row("gpt-neo-125m"), machine()).precision == "float16"
    assert best_fit(row("bert-base-ner"), machine()).precision == "float16"
    assert best_fit(row("gpt-oss-20b"), machine()).precision == "mxfp4"


def test_every_row_of_the_catalog_agrees_with_the_full_answer(paths):
    snapshot = machine(gpu(0, 24, 20), ram=64, available=40)
    for model in load_catalog(paths).models:
        quick = best_fit(model, snapshot)
        if model.is_api or quick.device == "RAM":
            continue
        full = fit_model(model, snapshot, precision=quick.precision)
        same = ("weights", "kv_cache", "overhead", "total", "verdict", "device", "context")
        assert [getattr(quick, name) for name in same] == [getattr(full, name) for name in same], model.id


def test_a_row_that_was_changed_is_estimated_anew():
    first = Model(id="same", name="a", kind="vision", params=10**9)
    assert best_fit(first, machine()).weights == 2 * 10**9
    assert best_fit(Model(id="same", name="a", kind="vision", params=10**6), machine()).weights == 2 * 10**6


def test_another_snapshot_is_looked_at_anew(row):
    assert best_fit(row("gpt2"), machine(ram=8, available=6)).verdict is Verdict.FITS
    assert best_fit(row("gpt2"), machine(ram=0.1, available=0.1)).verdict is Verdict.DOES_NOT_FIT
