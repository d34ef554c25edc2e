"""Splitting a count into what a quantizer touches and what it does not, on real rows."""

from __future__ import annotations

import pytest

from tui.catalog.model import Model, Shape
from tui.fit.parameters import split_parameters


@pytest.mark.parametrize(
    ("model_id", "intermediate", "tied"),
    [  # intermediate_size and tie_word_embeddings as in each model's published config.json
        ("llama-2-7b", 11008, False),
        ("llama-2-70b", 28672, False),
        ("llama-3.1-8b", 14336, False),
        ("llama-3.1-405b", 53248, False),
        ("llama-3.2-1b-instruct", 8192, True),
        ("tinyllama-1.1b-chat", 5632, False),
        ("smollm2-135m-instruct", 1536, True),
        ("mistral-7b-v0.1", 14336, False),
        ("qwen2.5-0.5b-instruct", 4864, True),
        ("qwen2.5-7b-instruct", 18944, False),
        ("deepseek-r1-distill-qwen-1.5b", 8960, False),
        ("qwen3-0.6b", 3072, True),
        ("qwen3-8b", 12288, False),
        ("gemma-2-2b-it", 9216, True),
        ("gemma-3-1b-it", 6912, True),
        ("phi-4", 17920, False),
        ("olmo-2-0425-1b-instruct", 8192, False),
    ],
)
def test_the_feed_forward_width_is_solved_for(row, model_id, intermediate, tied):
    model = row(model_id)
    split = split_parameters(model)
    shape = model.shape
    queries = shape.attention_heads * shape.head_dim
    keys = shape.kv_heads * shape.head_dim
    block = shape.hidden_size * (2 * queries + 2 * keys + 3 * intermediate)
    assert split.exact and split.total == model.params
    assert split.linear == shape.layers * block
    embeddings = shape.vocab_size * shape.hidden_size * (1 if tied else 2)
    assert 0 < split.kept - embeddings < 0.001 * model.params  # norms and biases
    assert split.largest_input == max(intermediate, shape.hidden_size, queries)


def test_a_count_that_no_width_explains_is_split_by_the_embeddings_alone(row):
    model = row("opt-1.3b")
    split = split_parameters(model)
    assert not split.exact
    assert split.kept == 50272 * 2048  # tied
    assert split.linear == model.params - split.kept
    assert split.largest_input == pytest.approx(8192, rel=0.01)


def test_dimensions_in_the_row_are_believed():
    shape = Shape(
        architecture="LlamaForCausalLM", layers=2, hidden_size=64, intermediate_size=160, attention_heads=4, kv_heads=2,
        head_dim=16, vocab_size=1000, tied_embeddings=True,
    )  # fmt: skip
    block = 64 * (64 + 2 * 32) + 64 * 64 + 3 * 64 * 160
    total = 2 * (block + 2 * 64) + 1000 * 64 + 64
    split = split_parameters(Model(id="x", name="x", params=total, shape=shape))
    assert (split.linear, split.kept, split.exact) == (2 * block, total - 2 * block, True)


def test_without_a_count_or_dimensions_there_is_nothing_to_split(row):
    assert split_parameters(row("sdxl-base-1.0")) is None
    assert split_parameters(Model(id="x", name="x")) is None
