"""Holding an estimate against machines: the freest GPU, who is in the way, and what would make it fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.fit.conftest import GB, gpu, machine
from tui.catalog.build import Build, Recipe
from tui.catalog.model import Api, Model
from tui.errors import UsageError
from tui.fit.memory_estimate import MemoryEstimate, estimate
from tui.fit.verdict import Verdict, fit_model, judge
from tui.hardware.snapshot import GpuProcess, Snapshot

ANNA = GpuProcess(4121, 44 * GB, owner="anna", command="python train.py")


def need(total: float) -> MemoryEstimate:
    """An estimate of ``total`` GB on a GPU and in RAM."""
    size = int(total * GB)
    return MemoryEstimate(size - GB, 0, GB, overhead_cpu=GB, precision="float16", context=2048)


def test_the_gpu_with_the_most_free_memory_is_chosen():
    fit = judge(need(20), machine(gpu(0, 24, 10), gpu(1, 24, 22, name="NVIDIA A10"), gpu(2, 24, 21)))
    assert (fit.verdict, fit.device, fit.free, fit.capacity) == (Verdict.FITS, "GPU 1 NVIDIA A10", 22 * GB, 24 * GB)
    assert fit.total == fit.weights + fit.kv_cache + fit.overhead == 20 * GB
    assert "20.0 GB" in fit.reason and "22.0 GB free" in fit.reason


def test_the_owner_of_the_memory_in_the_way_is_named():
    fit = judge(need(50), machine(gpu(0, 80, 36, ANNA)))
    assert fit.verdict is Verdict.FITS_EMPTY
    assert fit.reason.startswith("fits empty, not now: pid 4121 of anna holds 44.0 GB of GPU 0")
    assert "needs 50.0 GB, 36.0 GB free" in fit.reason


@pytest.mark.parametrize(
    ("processes", "words"),
    [
        ((replace(ANNA, job_id=7),), "job 7 of ours holds 44.0 GB"),
        ((replace(ANNA, mine=True),), "your pid 4121 holds 44.0 GB"),
        ((replace(ANNA, owner=""),), "pid 4121 holds 44.0 GB"),
        ((replace(ANNA, used=None),), "1 processes hold 44.0 GB"),
        ((), "processes that cannot be seen hold 44.0 GB of GPU 0"),
        (
            (ANNA, GpuProcess(2, 3 * GB, owner="ben"), GpuProcess(3, GB), GpuProcess(4, GB)),
            "pid 4121 of anna holds 44.0 GB and pid 2 of ben holds 3.00 GB of GPU 0 and 2 more",
        ),
    ],
)
def test_whoever_holds_it(processes, words):
    assert words in judge(need(50), machine(gpu(0, 80, 36, *processes))).reason


def test_gpus_are_never_summed():
    fit = judge(need(40), machine(gpu(0, 24, 24), gpu(1, 24, 24)))
    assert fit.verdict is Verdict.DOES_NOT_FIT and fit.capacity == 24 * GB
    assert "the largest of 2 GPUs, GPU 0, has 24.0 GB in all and a model is not split" in fit.reason


def test_among_equally_large_gpus_the_freest_is_shown():
    fit = judge(need(90), machine(gpu(0, 80, 10, ANNA), gpu(1, 80, 70)))
    assert (fit.device, fit.free) == ("GPU 1 NVIDIA L4", 70 * GB)


def test_an_empty_card_that_is_large_enough_beats_a_free_one_that_is_not():
    fit = judge(need(50), machine(gpu(0, 24, 24), gpu(1, 80, 10, ANNA)))
    assert (fit.verdict, fit.device, fit.free) == (Verdict.FITS_EMPTY, "GPU 1 NVIDIA L4", 10 * GB)


def test_lost_hidden_and_reserved_memory_does_not_count():
    broken = gpu(0, 80, 80, error="the GPU is lost")
    hidden = gpu(1, 80, 80, hidden=True)
    small = gpu(2, 24, 23, reserved=GB)
    fit = judge(need(23.5), machine(broken, hidden, small))
    assert (fit.verdict, fit.capacity, fit.device) == (Verdict.DOES_NOT_FIT, 23 * GB, "GPU 2 NVIDIA L4")
    assert judge(need(1), machine(broken, ram=8, available=6)).device == "RAM"


def test_mig_slices_are_devices_of_their_own():
    slice_ = gpu(100, 40, 39, mig=True, parent=0, slice=1, name="NVIDIA H100 MIG 3g.40gb")
    assert judge(need(30), machine(slice_)).device == "GPU 0 slice 1 NVIDIA H100 MIG 3g.40gb"


def test_without_a_gpu_it_is_ram():
    fit = judge(need(20), machine(ram=64, available=30))
    assert (fit.verdict, fit.device, fit.free, fit.capacity) == (Verdict.FITS, "RAM", 30 * GB, 64 * GB)
    fit = judge(need(40), machine(ram=64, available=30))
    assert fit.verdict is Verdict.FITS_EMPTY and "other programs hold 34.0 GB of RAM" in fit.reason
    assert judge(need(70), machine(ram=64, available=30)).verdict is Verdict.DOES_NOT_FIT


def test_ram_has_its_own_overhead():
    numbers = MemoryEstimate(10 * GB, GB, 2 * GB, overhead_cpu=GB // 2)
    assert judge(numbers, machine()).total == 11.5 * GB
    assert judge(numbers, machine(gpu(0, 24, 24))).total == 13 * GB
    on_cpu = judge(numbers, machine(gpu(0, 24, 24)), device="cpu")
    assert (on_cpu.device, on_cpu.overhead) == ("RAM", GB // 2)


def test_a_card_that_is_only_asked_about():
    crowded = machine(gpu(0, 80, 1, ANNA))
    fit = judge(need(20), crowded, memory=24 * GB)
    assert (fit.verdict, fit.device, fit.free) == (Verdict.FITS, "24 GB card", 24 * GB)
    fit = judge(need(25), crowded, memory=24 * GB)
    assert fit.verdict is Verdict.DOES_NOT_FIT and "a 24 GB card has 24.0 GB in all" in fit.reason


def test_exactly_enough_is_enough():
    assert judge(need(24), machine(), memory=24 * GB).verdict is Verdict.FITS
    assert judge(need(24), machine(), memory=24 * GB - 1).verdict is Verdict.DOES_NOT_FIT


def test_what_is_not_known_is_said():
    fit = fit_model(Model(id="x", name="x"), machine())
    assert (fit.verdict, fit.total) == (Verdict.UNKNOWN, None)
    assert fit.reason == "not known: the number of its parameters"
    fit = fit_model(Model(id="x", name="x", params=10**9), machine())
    assert fit.verdict is Verdict.UNKNOWN and fit.reason == "not known: its layers and heads"
    assert (fit.weights, fit.kv_cache) == (2 * 10**9, None)


def test_a_model_of_a_provider_runs_there():
    model = Model(id="x", name="x", api=Api("Anthropic", "x-1", "https://example.org"))
    fit = fit_model(model, machine(), context=5000)
    assert (fit.verdict, fit.reason, fit.total) == (Verdict.UNKNOWN, "runs at the provider (Anthropic)", None)


def test_llama_2_7b_on_a_16_gb_card(row):
    fit = fit_model(row("llama-2-7b"), machine(), context=2048, memory=16 * GB)
    assert fit.verdict is Verdict.FITS
    assert fit.weights == 13_476_831_232 and fit.kv_cache == 2048 * 524_288 and fit.overhead == 1_347_683_124
    fit = fit_model(row("llama-2-7b"), machine(), context=4096, memory=16 * GB)
    assert fit.verdict is Verdict.DOES_NOT_FIT
    first, second = fit.better.split("; or ")
    assert first == "gptq-8bit needs 10.0 GB and fits"
    assert second == "a context of 2,048 tokens fits"


def test_a_shorter_context_is_the_longest_that_fits(row):
    model, card = row("llama-3.1-8b"), 24 * GB
    fit = fit_model(model, machine(), context=131072, memory=card)
    words = fit.better.rsplit("a context of ", 1)[1]
    tokens = int(words.split()[0].replace(",", ""))
    assert estimate(model, "", tokens).total <= card < estimate(model, "", tokens + 256).total


def test_where_no_precision_fits_both_are_changed(row):
    fit = fit_model(row("llama-3.1-8b"), machine(), context=131072, memory=10 * GB)
    assert fit.better.startswith("gptq-4bit: a context of ") and fit.better.endswith("tokens fits")


def test_ram_is_offered_where_no_gpu_can(row):
    small_card = machine(gpu(0, 8, 7), ram=64, available=40)
    fit = fit_model(row("llama-2-13b"), small_card, context=2048)
    assert fit.verdict is Verdict.DOES_NOT_FIT and "it fits into RAM" in fit.better
    assert "RAM" not in fit_model(row("llama-2-13b"), small_card, context=2048, memory=8 * GB).better


def test_nothing_helps_a_model_that_is_far_too_large(row):
    fit = fit_model(row("llama-3.1-405b"), machine(ram=16, available=12))
    assert fit.verdict is Verdict.DOES_NOT_FIT and fit.better == ""


def test_gptq_is_not_offered_where_it_does_not_work(row):
    for model_id in ("bert-large-ner", "sdxl-base-1.0", "gpt2-xl", "falcon-7b", "gpt-oss-20b", "rwkv-4-7b"):
        assert "gptq" not in fit_model(row(model_id), machine(), memory=GB).better, model_id


def test_fewer_bits_only(row):
    fit = fit_model(row("llama-2-70b"), machine(), precision="gptq-4bit", memory=24 * GB)
    assert "gptq" not in fit.better
    fit = fit_model(row("llama-2-13b"), machine(), precision="gptq-8bit", memory=12 * GB)
    assert "gptq-8bit" not in fit.better and "gptq-4bit" in fit.better


def test_a_build_on_this_disk_is_asked_for_its_own_bytes(row, tmp_path: Path):
    missing = Build(id="x", path=tmp_path, model="llama-2-7b", precision="float16", bytes=0, recipe=Recipe())
    fit = fit_model(row("llama-2-7b"), machine(), build=missing)
    assert fit.verdict is Verdict.UNKNOWN and fit.weights is None


@pytest.mark.parametrize(("context", "batch"), [(0, 1), (-5, 1), (10, 0)])
def test_numbers_that_are_not_possible(row, context, batch):
    with pytest.raises(UsageError, match="is not possible"):
        fit_model(row("llama-2-7b"), machine(), context=context, batch=batch)


def test_an_empty_snapshot_fits_nothing_and_raises_nothing(row):
    assert fit_model(row("gpt2"), Snapshot()).verdict is Verdict.DOES_NOT_FIT


def test_the_assumed_context_is_said(row):
    fit = fit_model(row("llama-3.1-8b"), machine())
    assert fit.context == 8192 and "for a context of 8,192 tokens; the model can hold 131,072" in fit.notes
    assert fit_model(row("gpt2"), machine()).context == 1024
    assert not any("context" in note for note in fit_model(row("llama-3.1-8b"), machine(), context=100).notes)
