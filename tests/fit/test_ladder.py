"""Verdicts over contexts and devices, terms that add up, the quantize job held against the machine."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fit.conftest import GB, gpu, machine
from tui.catalog.build import Recipe
from tui.fit.ladder import contexts_for, ladders, precisions_of
from tui.fit.memory_estimate import estimate, quantize_estimate
from tui.fit.quantize_fit import judge_quantize
from tui.fit.verdict import Verdict, fit_model
from tui.hardware.snapshot import Disk, GpuProcess

CASES = ("llama-3.1-8b", "gemma-2-2b-it", "qwen3.5-2b", "gpt-oss-20b", "nllb-200-600m", "bert-base-uncased", "gpt2")


@pytest.mark.parametrize("model_id", CASES)
@pytest.mark.parametrize("precision", ["", "gptq-4bit", "int8"])
@pytest.mark.parametrize("on_gpu", [True, False])
def test_parts_add_up_to_the_total(row, model_id, precision, on_gpu):
    for numbers in (estimate(row(model_id), precision), estimate(row(model_id), precision).with_context(700)):
        assert sum(size for _, size in numbers.parts(on_gpu)) == numbers.terms(on_gpu)[3]
        assert all(size > 0 and name for name, size in numbers.parts(on_gpu))


def test_a_ladder_says_where_it_stops_fitting(row):
    model = row("llama-3.1-8b")
    seen = machine(gpu(0, 24, 20))
    rungs = ladders(model, seen)["bfloat16"]
    assert [rung.context for rung in rungs] == contexts_for(131072)
    verdicts = [rung.verdict for rung in rungs]
    assert verdicts[0] is Verdict.FITS and verdicts[-1] is Verdict.DOES_NOT_FIT
    assert Verdict.FITS_EMPTY in verdicts
    for rung in rungs:  # the same as asking for each context
        fit = fit_model(model, seen, context=rung.context)
        assert (fit.total, fit.verdict) == (rung.total, rung.verdict)


def test_ladders_of_what_keeps_no_cache_and_of_cards_that_are_not_here(row):
    assert ladders(row("bert-base-uncased"), machine()) == {}
    assert ladders(row("gpt-4"), machine()) == {}
    (rungs,) = ladders(row("llama-3.1-8b"), machine(), precisions=("gptq-4bit",), memory=24 * GB).values()
    assert rungs[0].verdict is Verdict.FITS and rungs[-1].verdict is Verdict.FITS


def test_precisions_are_those_that_can_be_had(row):
    assert precisions_of(row("llama-3.1-8b"))[0] == "bfloat16" and "gptq-4bit" in precisions_of(row("llama-3.1-8b"))
    assert precisions_of(row("qwen3.5-2b")) == ("bfloat16",)  # no GPTQ build of it can be loaded
    assert precisions_of(row("gpt-oss-20b")) == ("mxfp4",)


def test_every_device_gets_a_verdict_of_its_own(row):
    holder = GpuProcess(4121, 44 * GB, owner="alice")
    seen = machine(gpu(0, 80, 36, holder), gpu(1, 16, 16), gpu(2, 24, 24), ram=64, available=8)
    fit = fit_model(row("llama-3.1-8b"), seen)
    assert [(device.device[:5], device.verdict) for device in fit.devices] == [
        ("GPU 0", Verdict.FITS),
        ("GPU 1", Verdict.DOES_NOT_FIT),
        ("GPU 2", Verdict.FITS),
        ("RAM", Verdict.FITS_EMPTY),
    ]
    large = fit_model(row("llama-3.1-8b"), seen, context=131072, batch=2)
    assert "pid 4121 of alice holds 44.0 GB of GPU 0" in large.devices[0].reason
    assert fit_model(row("llama-3.1-8b"), seen, memory=24 * GB).devices == ()


def test_a_split_is_offered_with_the_share_of_each_card(row):
    model = row("llama-3.1-70b")
    two = machine(gpu(0, 85, 85), gpu(1, 85, 85), ram=64, available=8)
    better = fit_model(model, two, precision="bfloat16", context=4096).better
    assert "split over 2 GPUs" in better and "--tensor-parallel-size 2" in better
    numbers = estimate(model, "bfloat16", 4096)
    share = (numbers.weights + numbers.kv_cache) / 2 + 0.1 * numbers.weights / 2
    assert f"{share / GB:.1f} GB of each" in better
    busy = machine(gpu(0, 85, 85), gpu(1, 85, 20), ram=64, available=8)
    assert "split" not in fit_model(model, busy, precision="bfloat16", context=4096).better


def test_the_quantize_job_is_held_against_memory_ram_and_disk(row):
    numbers = quantize_estimate(row("llama-3.1-8b"), Recipe())
    label = Recipe().label
    room = replace(machine(gpu(0, 24, 24)), disks=(Disk("builds", "/b", 900 * GB, 400 * GB),))
    fine = judge_quantize(numbers, label, room)
    assert fine.verdict is Verdict.FITS and fine.device.startswith("GPU 0") and fine.total == numbers.memory
    assert sum(size for _, size in fine.terms) == fine.total and fine.ram == numbers.ram_beside_gpu
    full = replace(room, disks=(Disk("builds", "/b", 900 * GB, 3 * GB),))
    assert judge_quantize(numbers, label, full).verdict is Verdict.DOES_NOT_FIT
    assert "of disk" in judge_quantize(numbers, label, full).reason
    tight = judge_quantize(numbers, label, replace(room, host=machine(available=4).host))
    assert tight.verdict is Verdict.FITS_EMPTY and "RAM beside the GPU" in tight.reason
    on_cpu = judge_quantize(numbers, label, machine())
    assert on_cpu.device == "RAM" and on_cpu.total == numbers.ram and on_cpu.ram == 0
