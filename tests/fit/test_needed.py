"""What would I need: the smallest card, checked against the verdict for a card of just that size."""

from __future__ import annotations

import pytest

from tests.fit.conftest import GB, gpu, machine
from tui.catalog.model import Api, Model
from tui.fit.context import longest_context
from tui.fit.memory_estimate import estimate
from tui.fit.needed import CARDS, needs, smallest_card
from tui.fit.verdict import Verdict, fit_model
from tui.hardware.snapshot import GpuProcess


@pytest.mark.parametrize("model_id", ["llama-2-7b", "qwen3-8b", "llama-3.3-70b-instruct", "gpt2", "gpt-oss-20b"])
def test_the_card_takes_it_and_the_next_smaller_does_not(row, model_id):
    model = row(model_id)
    for need in needs(model, context=2048):
        assert need.card in CARDS
        assert fit_model(model, machine(), precision=need.precision, context=2048, memory=need.card).verdict == "fits"
        smaller = [card for card in CARDS if card < need.card]
        if smaller:
            fit = fit_model(model, machine(), precision=need.precision, context=2048, memory=smaller[-1])
            assert fit.verdict is Verdict.DOES_NOT_FIT
        longer = fit_model(model, machine(), precision=need.precision, context=need.longest, memory=need.card)
        assert longer.verdict is Verdict.FITS
        if need.longest < model.context_length:
            more = fit_model(model, machine(), precision=need.precision, context=need.longest + 256, memory=need.card)
            assert more.verdict is Verdict.DOES_NOT_FIT


def test_what_nobody_sells_and_what_is_not_known(row):
    assert [need.card for need in needs(row("llama-3.1-405b"), context=2048)] == [None, None, 288 * GB]
    (unknown,) = needs(Model(id="x", name="x", quantization="gptq-4bit"))
    assert (unknown.total, unknown.card, unknown.longest) == (None, None, None)
    assert needs(Model(id="z", name="z", api=Api("OpenAI", "z", "https://example.org"))) == ()
    assert smallest_card(24 * GB) == 24 * GB and smallest_card(24 * GB + 1) == 32 * GB and smallest_card(None) is None


def test_the_longest_context_is_exact_to_a_step(row):
    numbers = estimate(row("llama-2-7b"), "float16", 4096)
    room = numbers.with_context(1000).total
    assert longest_context(numbers, room, 4096) == 768
    assert longest_context(numbers, room, 900) == 900
    assert longest_context(numbers, GB, 4096) is None


def test_a_job_of_ours_in_the_way_is_named(row):
    ours = [GpuProcess(pid=1, used=8 * GB, mine=True, job_id=12), GpuProcess(pid=2, used=12 * GB, mine=True, job_id=7)]
    theirs = GpuProcess(pid=4121, used=2 * GB, owner="mallory")
    fit = fit_model(row("llama-2-7b"), machine(gpu(0, 24, 2, *ours, theirs)), precision="gptq-4bit", context=2048)
    assert fit.verdict is Verdict.FITS_EMPTY
    assert fit.better.startswith("cancel job 12, which holds 8.00 GB, and it fits")
    fit = fit_model(row("llama-2-7b"), machine(gpu(0, 24, 2, *ours, theirs)), precision="float16", context=2048)
    assert "cancel the jobs 12, 7, and it fits" in fit.better
    alone = fit_model(row("llama-2-7b"), machine(gpu(0, 24, 2, theirs)), precision="float16", context=2048)
    assert "cancel" not in alone.better


def test_quantized_in_ram_where_no_gpu_takes_even_that(row):
    fit = fit_model(row("llama-2-70b"), machine(gpu(0, 24, 24), ram=128, available=60), context=2048)
    assert fit.verdict is Verdict.DOES_NOT_FIT
    assert "gptq-4bit fits into RAM" in fit.better and "CPU" in fit.better
