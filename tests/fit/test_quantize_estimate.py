"""What a quantize job takes, against measured runs and known failures."""

from __future__ import annotations

import pytest

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Model, Shape
from tui.fit.config_facts import folder_model
from tui.fit.memory_estimate import estimate, quantize_estimate
from tui.starter import MODEL_ID, starter_folder

MiB, GiB = 2**20, 2**30


@pytest.mark.parametrize(
    ("model_id", "hessian"),
    [  # the first is the allocation that a GPTQModel user's 405B run failed with: "Tried to allocate 10.56 GiB"
        ("llama-3.1-405b", 10.5625 * GiB),
        ("llama-3.1-70b", 3.0625 * GiB),
        ("llama-3.1-8b", 0.765625 * GiB),
    ],
)
def test_the_widest_layer_decides_the_hessian(row, model_id, hessian):
    terms = dict(quantize_estimate(row(model_id), Recipe()).terms)
    assert terms["Hessian of the widest layer and its inverse"] == 2 * hessian


def test_a_measured_run_on_a_cpu():
    """A Llama of 1024 x 12 with 8,192 words (152 M parameters) in float32 with 4 short texts peaked at 1,039 MiB."""
    shape = Shape(
        architecture="LlamaForCausalLM", layers=12, hidden_size=1024, intermediate_size=2816, attention_heads=16,
        kv_heads=4, head_dim=64, vocab_size=8192, tied_embeddings=False, dtype="float32",
    )  # fmt: skip
    block = 1024 * (1024 + 2 * 256) + 1024 * 1024 + 3 * 1024 * 2816
    params = 12 * (block + 2 * 1024) + 2 * 8192 * 1024 + 1024
    model = Model(id="mid", name="mid", params=params, shape=shape)
    numbers = quantize_estimate(model, Recipe(samples=4, sample_length=512), float32=True)
    assert 1.0 < numbers.ram / (1039 * MiB) < 1.35
    weights = numbers.disk - dict(numbers.disk_terms)["tokenizer and config"]
    assert weights == pytest.approx(131.6 * MiB, rel=0.01)  # what that run wrote


def test_every_sum_has_its_terms(row):
    numbers = quantize_estimate(row("llama-2-7b"), Recipe())
    assert numbers.memory == sum(size for _, size in numbers.terms)
    assert numbers.ram == sum(size for _, size in numbers.ram_terms)
    assert numbers.disk == sum(size for _, size in numbers.disk_terms)
    assert numbers.disk - 20_000_000 == estimate(row("llama-2-7b"), "gptq-4bit-g128").weights


def test_a_gpu_holds_a_block_and_not_the_model(row):
    numbers = quantize_estimate(row("llama-2-70b"), Recipe())
    assert numbers.memory < 40 * 10**9 < numbers.ram_beside_gpu


def test_calibration_is_counted(row):
    few = quantize_estimate(row("llama-2-7b"), Recipe(samples=128, sample_length=512), float32=True)
    many = quantize_estimate(row("llama-2-7b"), Recipe(samples=512, sample_length=2048), float32=True)
    extra = (4096 + 2 * 128) * (512 * 2048 - 128 * 512)
    assert many.memory - few.memory == extra * 2 * 2  # what goes in and comes out, in 16 bit
    assert many.ram - few.ram == extra * 4 * 4  # and is copied twice more for a checkpoint
    again = quantize_estimate(row("llama-2-7b"), Recipe(route="optimum"), float32=True)
    assert "copies for a checkpoint" not in dict(again.ram_terms)


def test_a_measured_job_and_what_lies_beside_its_weights(row):
    starter = folder_model(starter_folder(), MODEL_ID)
    source = Build(MODEL_ID, starter_folder(), MODEL_ID, "float16", 0)
    made = 3_404_128  # bytes of the build that a job made of it
    numbers = quantize_estimate(starter, Recipe(), source, float32=True)
    assert made <= numbers.disk < 1.05 * made
    assert 1_131_712_512 <= numbers.ram < 1.1 * 1_131_712_512  # what that job reached
    unknown, listed = (quantize_estimate(row("llama-2-7b"), Recipe(), files_beside=size).disk for size in (None, 0))
    assert unknown - listed == 20_000_000 - 64_000


def test_a_cpu_without_bfloat16_holds_the_model_in_32_bit(row):
    model = row("mistral-7b-v0.1")  # bfloat16
    wide, narrow = (quantize_estimate(model, Recipe(), float32=choice) for choice in (True, False))
    assert dict(wide.ram_terms)["whole model in 32 bit"] == 4 * model.params
    assert dict(narrow.ram_terms)["whole model in 16 bit"] == 2 * model.params
    assert wide.memory == narrow.memory


def test_checkpoints_need_disk_where_the_family_can_resume(row):
    assert quantize_estimate(row("llama-2-7b"), Recipe()).disk_working > 2 * 3_800_000_000
    assert quantize_estimate(row("llama-2-7b"), Recipe(route="optimum")).disk_working == 0
    assert quantize_estimate(row("opt-1.3b"), Recipe()).disk_working == 0


def test_without_dimensions_it_is_unknown():
    numbers = quantize_estimate(Model(id="x", name="x", params=10**9), Recipe())
    assert (numbers.memory, numbers.ram) == (None, None) and numbers.notes
