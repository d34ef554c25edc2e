"""Bytes of weights: published sizes of real GPTQ checkpoints, and exact bytes of real files."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy
import pytest
from safetensors.numpy import save_file

from tui.catalog.build import Build, Recipe
from tui.catalog.model import Shape
from tui.errors import UsageError
from tui.fit.cpu_weights import cpu_weights
from tui.fit.memory_estimate import estimate, estimate_build
from tui.fit.parameters import split_parameters
from tui.fit.precision import parse_precision
from tui.fit.weights import WeightBytes, weight_bytes, weights_on_disk

GB = 10**9
LLAMA = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 300,
    "max_position_embeddings": 512,
    "dtype": "float16",
}


@pytest.mark.parametrize(
    ("model_id", "precision", "published"),
    [  # sizes listed by huggingface.co/TheBloke/Llama-2-7B-GPTQ and Llama-2-13B-GPTQ, decimal GB
        ("llama-2-7b", "gptq-4bit-g128", 3.90 * GB),
        ("llama-2-7b", "gptq-4bit-g64", 4.02 * GB),
        ("llama-2-7b", "gptq-4bit-g32-act", 4.28 * GB),
        ("llama-2-13b", "gptq-4bit-g128", 7.26 * GB),
        ("llama-2-13b", "gptq-4bit-g32-act", 8.00 * GB),
    ],
)
def test_gptq_sizes_match_published_checkpoints(row, model_id, precision, published):
    assert estimate(row(model_id), precision).weights == pytest.approx(published, rel=0.005)


def test_every_matrix_of_a_gptq_checkpoint_is_counted(row):
    """TinyLlama 1.1B, matrix by matrix: qweight, qzeros, scales and g_idx of each, and what stays 16-bit."""
    matrices = [(2048, 2048), (2048, 256), (2048, 256), (2048, 2048), (2048, 5632), (2048, 5632), (5632, 2048)]
    for bits, group in ((4, 128), (8, 128), (3, 128), (2, 32), (4, -1)):
        block = 0
        for rows, columns in matrices:
            groups = rows // group if group > 0 else 1
            block += rows * columns * bits // 8 + groups * columns * bits // 8 + groups * columns * 2 + rows * 4
        kept = 2 * (2 * 32000 * 2048 + 22 * 2 * 2048 + 2048)
        label = Recipe(bits=bits, group_size=group).label
        assert estimate(row("tinyllama-1.1b-chat"), label).weights == 22 * block + kept, label


def test_embeddings_stay_16_bit_so_small_models_shrink_little(row):
    """A 0.6 B model with 152k words: half of its 4-bit build is embeddings; 0.5 byte per parameter would say 0.3 GB."""
    parts = dict(estimate(row("qwen3-0.6b"), "gptq-4bit").parts())
    kept = parts["embeddings, output layer and norms in 16 bit"]
    assert kept == pytest.approx(151936 * 1024 * 2, rel=0.001)
    assert estimate(row("qwen3-0.6b"), "gptq-4bit").weights == pytest.approx(0.54 * GB, rel=0.02)


@pytest.mark.parametrize(("precision", "per_param"), [("float32", 4), ("float16", 2), ("bfloat16", 2)])
def test_floating_point_weights_are_count_times_width(row, precision, per_param):
    assert estimate(row("llama-2-7b"), precision).weights == 6_738_415_616 * per_param


def test_int8_and_nf4_touch_linear_layers_only(row):
    model = row("llama-2-7b")
    split = split_parameters(model)
    assert estimate(model, "int8").weights == split.linear + 4 * split.outputs + 2 * split.kept
    assert estimate(model, "nf4").weights == split.linear // 2 + 4 * (split.linear // 64) + 2 * split.kept


def test_published_means_the_published_bytes(row):
    assert estimate(row("gpt-oss-20b")).weights == 13_760_000_000
    assert estimate(row("gpt-oss-20b")).precision == "mxfp4"
    assert estimate(row("gpt-neo-125m")).precision == "float32"
    assert estimate(row("llama-2-7b")).weights == 2 * 6_738_415_616


def test_all_experts_count(row):
    mixtral = estimate(row("mixtral-8x7b-v0.1"), "bfloat16")
    assert mixtral.weights == 2 * 46_702_792_704
    assert any("all experts" in note for note in mixtral.notes)


@pytest.mark.parametrize("word", ["gptq-5bit", "q4", "float17", "", "gptq", "gptq-4bit-gx"])
def test_words_that_are_no_precision(word):
    with pytest.raises(UsageError, match="not a precision"):
        parse_precision(word)


@pytest.mark.parametrize(
    ("word", "label", "bits", "group"),
    [
        ("FP16", "float16", 16, 0),
        ("bf16", "bfloat16", 16, 0),
        ("gptq-4bit", "gptq-4bit", 4, 128),
        ("gptq-3bit-g64-act-asym", "gptq-3bit-g64-act-asym", 3, 64),
        ("gptq-8bit-gall", "gptq-8bit-gall", 8, -1),
        ("awq-4bit-g128", "awq-4bit-g128", 4, 128),
        ("gguf-q4_k_m", "gguf-q4_k_m", 4.85, 0),
    ],
)
def test_words_that_are_a_precision(word, label, bits, group):
    precision = parse_precision(word)
    assert (precision.label, precision.bits, precision.group_size) == (label, bits, group)


def test_every_recipe_label_is_a_precision():
    for bits in (2, 3, 4, 8):
        for group in (-1, 32, 64, 128):
            for desc_act in (False, True):
                for sym in (False, True):
                    parse_precision(Recipe(bits=bits, group_size=group, desc_act=desc_act, sym=sym).label)


def test_a_float32_model_keeps_its_embeddings_in_32_bit(row):
    model = row("qwen3-0.6b")
    split = split_parameters(model)
    small = weight_bytes(parse_precision("gptq-4bit"), model.params, split)
    large = weight_bytes(parse_precision("gptq-4bit"), model.params, split, kept_bytes=4)
    assert large.total - small.total == 2 * split.kept


def test_a_build_is_counted_to_the_byte(tmp_path):
    first = {"model.embed_tokens.weight": numpy.zeros((300, 64), numpy.float16)}
    second = {
        "model.layers.0.self_attn.q_proj.qweight": numpy.zeros((8, 64), numpy.int32),
        "model.layers.0.self_attn.q_proj.scales": numpy.zeros((1, 64), numpy.float16),
        "lm_head.weight": numpy.zeros((300, 64), numpy.float32),
    }
    save_file(first, tmp_path / "model-00001-of-00002.safetensors")
    save_file(second, tmp_path / "model-00002-of-00002.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    numbers = estimate_build(build(tmp_path, "float16"), context=100)
    assert numbers.weights == 300 * 64 * 2 + 8 * 64 * 4 + 64 * 2 + 300 * 64 * 4
    assert dict(numbers.parts())["weights in F32"] == 300 * 64 * 4
    assert numbers.kv_cache == 2 * 2 * (2 * 16) * 100 * 2  # K and V, layers, heads x width, tokens, bytes
    assert (numbers.context, numbers.precision) == (100, "float16")


def test_a_build_in_float32_keeps_its_cache_in_float32(tmp_path):
    save_file({"a": numpy.zeros(10, numpy.float32)}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(LLAMA))
    half = estimate_build(build(tmp_path, "float16"), 100)
    assert estimate_build(build(tmp_path, "float32"), 100).kv_cache == 2 * half.kv_cache
    assert estimate_build(build(tmp_path, "gptq-4bit-g128"), 100).kv_cache == half.kv_cache
    assert estimate_build(build(tmp_path, "float16")).context == 512  # what the config says it can hold


def test_a_gguf_build_is_its_file(tmp_path):
    (tmp_path / "model-q4_0.gguf").write_bytes(b"GGUF" + bytes(996))
    assert weights_on_disk(tmp_path).total == 1000


@pytest.mark.parametrize("content", [b"", b"12345678{}", (2**40).to_bytes(8, "little") + b"{}"])
def test_what_cannot_be_read_is_unknown_and_not_zero(tmp_path, content):
    (tmp_path / "model.safetensors").write_bytes(content)
    (tmp_path / "config.json").write_text("not json")
    numbers = estimate_build(build(tmp_path, "float16"))
    assert numbers.weights is None and numbers.total is None and numbers.missing
    assert estimate_build(replace(build(tmp_path, ""), path=tmp_path / "nowhere")).total is None


def build(folder, precision):
    return Build(id="x", path=folder, model="x", precision=precision, bytes=0)


def test_the_hand_written_pass_keeps_embeddings_in_16_bit(row, monkeypatch):
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: True)
    untied = estimate(row("llama-3.1-8b-instruct"), "float16", 1000)
    tied = estimate(row("llama-3.2-1b-instruct"), "bfloat16", 1000)
    assert untied.terms(False)[0] == untied.weights
    embedding = 2 * 128256 * 2048
    packed = 3 * (tied.weights - embedding) // 4
    assert tied.terms(False)[0] == packed + embedding + 3 * embedding // 4, "the output layer is packed apart"
    mistral = row("mistral-7b-v0.1")
    inside, outside = (estimate(mistral, "bfloat16", tokens) for tokens in (4096, 4097))
    embedding = 2 * 32000 * 4096
    assert inside.terms(False)[0] == 3 * (inside.weights - embedding) // 4 + embedding
    assert outside.terms(False)[0] == inside.terms(False)[0] + embedding, "its window is shorter: transformers runs it"


def test_columns_are_packed_in_blocks_of_512_where_there_is_no_compiler(monkeypatch):
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: False)
    shape = Shape("LlamaForCausalLM", layers=2, hidden_size=576, intermediate_size=1500, vocab_size=1000)
    embedding, narrow, wide = 2 * 576 * 1000, 2 * 2 * 576 * 1500, 8_000_064
    found = cpu_weights(parse_precision("float16"), WeightBytes(2 * embedding + narrow + wide, ()), shape)
    assert found == embedding + embedding * 1024 // 576 + wide * 1024 // 576 + narrow * 1536 // 1500
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: True)
    found = cpu_weights(parse_precision("float16"), WeightBytes(2 * embedding + narrow + wide, ()), shape)
    assert found == 2 * embedding + narrow + wide
    found = cpu_weights(parse_precision("bfloat16"), WeightBytes(2 * embedding + narrow + wide, ()), shape)
    kept = embedding + (embedding + wide) * 12 // 16 + narrow
    assert found == kept, "1,500 columns are no multiple of 64"


def test_32_bits_are_packed_in_28_but_for_an_embedding_and_what_shares_it(monkeypatch):
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: True)
    shape = Shape("LlamaForCausalLM", layers=2, hidden_size=64, intermediate_size=128, vocab_size=1000)
    embedding, layers = 4 * 64 * 1000, 8 * 100_000
    wanted = parse_precision("float32")
    tied = WeightBytes(embedding + layers, ())
    assert cpu_weights(wanted, tied, shape) == embedding + 7 * layers // 8
    apart = WeightBytes(2 * embedding + layers, (), head_apart=True)
    assert cpu_weights(wanted, apart, shape) == embedding + 7 * (embedding + layers) // 8
    falcon = replace(shape, architecture="FalconForCausalLM")
    assert cpu_weights(wanted, tied, falcon) == tied.total
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: False)
    assert cpu_weights(wanted, tied, shape) == tied.total


def test_a_cpu_without_16_bit_arithmetic_widens_embeddings_and_cache(row, monkeypatch):
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: True)
    untied, tied = row("phi-3-mini-4k"), row("gemma-3-4b-it")
    numbers = estimate(untied, "float16", 1000)
    embedding = 32064 * 3072
    assert numbers.terms(False)[0] == numbers.weights + 2 * embedding
    assert numbers.terms(False)[1] == 2 * numbers.kv_cache
    embedding = 2 * 262_208 * 2560
    numbers = estimate(tied, "bfloat16", 1000)  # a packed output layer of its own comes on top
    kept = 3 * (numbers.weights - embedding) // 4 + 2 * embedding + 3 * embedding // 4
    assert numbers.terms(False)[0] == kept
    monkeypatch.setattr("tui.fit.engine.has_llama_cpp", lambda: False)
    untied = row("llama-2-7b")
    quantized = estimate(untied, "gptq-4bit", 1000)
    kept = dict(quantized.parts())["embeddings, output layer and norms in 16 bit"]
    assert quantized.terms(False)[0] == quantized.weights + kept
    assert estimate(untied, "float32", 1000).terms(False)[1] == estimate(untied, "float32", 1000).terms(True)[1]


def test_a_cpu_with_bfloat16_is_counted_on_for_nothing_less(row, monkeypatch):
    """Its host may find float32 activations to be as fast, and then keeps the cache in them."""
    sizes = []
    for native in (True, False):
        monkeypatch.setattr("tui.fit.cpu_weights.computes_bfloat16_here", lambda native=native: native)
        sizes.append(estimate(row("llama-2-7b"), "bfloat16", 1000).terms(False))
    assert sizes[0] == sizes[1]
    assert sizes[0][1] == 2 * estimate(row("llama-2-7b"), "bfloat16", 1000).kv_cache


def test_experts_and_layers_of_their_own_kind_are_not_packed(row, tmp_path, monkeypatch):
    monkeypatch.setattr("tui.fit.cpu_weights.has_compiler", lambda: True)
    mixtral = estimate(row("mixtral-8x7b-v0.1"), "bfloat16", 1000)
    assert mixtral.terms(False)[0] == pytest.approx(2 * mixtral.weights, rel=0.01)
    falcon = estimate(row("falcon-7b"), "float16", 1000)
    head = 2 * 65024 * 4544  # the output layer shares the embedding, and is packed in 16 bit besides
    assert falcon.terms(False)[0] == 2 * falcon.weights + head
    gpt = estimate(row("gpt2-xl"), "float16", 1000)
    head = 2 * 50257 * 1600
    assert gpt.terms(False)[0] == gpt.weights + 2 * head, "an embedding in 32 bits and a head in 16"
    tensors = {
        "model.embed_tokens.weight": numpy.zeros((300, 64), numpy.float16),
        "model.layers.0.mlp.experts.0.w1.weight": numpy.zeros((64, 64), numpy.float16),
        "lm_head.weight": numpy.zeros((300, 64), numpy.float16),
    }
    save_file(tensors, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**LLAMA, "architectures": ["MixtralForCausalLM"]}))
    numbers = estimate_build(build(tmp_path, "float16"), 100)
    experts, embedding = 64 * 64 * 2, 300 * 64 * 2
    assert numbers.terms(False)[0] == 2 * experts + 3 * embedding
