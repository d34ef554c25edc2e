"""The cache, layer kind by layer kind, from configs as they are published and from rows of the catalog."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tui.catalog.model import Model, Shape
from tui.fit.kv_cache import kv_cache
from tui.fit.memory_estimate import estimate
from tui.fit.shape import shape_from_config

MiB, GiB = 2**20, 2**30
LLAMA_3_8B = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "num_hidden_layers": 32, "hidden_size": 4096,
    "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": 128256, "intermediate_size": 14336,
    "torch_dtype": "bfloat16",
}  # fmt: skip
GEMMA_2 = {
    "architectures": ["Gemma2ForCausalLM"], "model_type": "gemma2", "num_hidden_layers": 26, "hidden_size": 2304,
    "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "sliding_window": 4096,
}  # fmt: skip


def cache(config: dict, context: int, batch: int = 1, value_bytes: int = 2):
    return kv_cache(shape_from_config(config), context, batch, value_bytes)


@pytest.mark.parametrize(("context", "expected"), [(8192, GiB), (32768, 4 * GiB), (131072, 16 * GiB)])
def test_llama_3_8b(context, expected):
    assert cache(LLAMA_3_8B, context).total == expected


def test_it_grows_with_batch_and_width():
    assert cache(LLAMA_3_8B, 1024, batch=4).total == 4 * cache(LLAMA_3_8B, 1024).total
    assert cache(LLAMA_3_8B, 1024, value_bytes=4).total == 2 * cache(LLAMA_3_8B, 1024).total


def test_every_second_layer_of_gemma_2_slides():
    per_token = 2 * 4 * 256 * 2
    found = cache(GEMMA_2, 8192)
    assert (found.full, found.sliding) == (13 * 8192 * per_token, 13 * 4096 * per_token)
    assert cache(GEMMA_2, 1000).sliding == 13 * 1000 * per_token


def test_listed_layers_win_over_patterns():
    kinds = ["sliding_attention"] * 25 + ["full_attention"]
    shape = shape_from_config({**GEMMA_2, "layer_types": kinds})
    assert (shape.kv_layers, shape.sliding_layers) == (26, 25)


@pytest.mark.parametrize(
    ("extra", "sliding"),
    [
        ({"model_type": "gemma3_text", "sliding_window": 512}, 22),  # 26 layers, every sixth is full
        ({"model_type": "gemma3_text", "sliding_window": 512, "sliding_window_pattern": 13}, 24),
        ({"model_type": "gpt_oss", "sliding_window": 128}, 13),
        ({"model_type": "mistral", "sliding_window": 4096}, 26),
        ({"model_type": "mistral", "sliding_window": None}, 0),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": False}, 0),
        ({"model_type": "qwen2", "sliding_window": 4096, "use_sliding_window": True, "max_window_layers": 20}, 6),
        ({"model_type": "llama", "sliding_window": 4096}, 0),  # a key that Llama does not know
    ],
)
def test_how_many_layers_slide(extra, sliding):
    assert shape_from_config({**GEMMA_2, **extra}).sliding_layers == sliding


def test_latent_attention_keeps_its_compressed_form():
    """DeepSeek-V3: 61 layers of 512 + 64 numbers; expanded it would be 128 heads x (192 + 128)."""
    config = {
        "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "num_hidden_layers": 61,
        "hidden_size": 7168, "num_attention_heads": 128, "num_key_value_heads": 128, "kv_lora_rank": 512,
        "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
    }  # fmt: skip
    assert cache(config, 1000).total == 61 * 576 * 1000 * 2


def test_hybrids_keep_a_cache_in_their_attention_layers_only():
    config = {
        "architectures": ["Qwen3NextForCausalLM"], "model_type": "qwen3_next", "num_hidden_layers": 48,
        "hidden_size": 2048, "num_attention_heads": 16, "num_key_value_heads": 2, "head_dim": 256,
        "full_attention_interval": 4, "linear_num_value_heads": 32, "linear_num_key_heads": 16,
        "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4,
    }  # fmt: skip
    shape = shape_from_config(config)
    assert shape.kv_layers == 12
    found = kv_cache(shape, 4096)
    assert found.full == 12 * 2 * 2 * 256 * 2 * 4096
    matrices, convolution = 32 * 128 * 128 * 4, (2 * 16 * 128 + 32 * 128) * 4 * 2
    assert found.state == 36 * (matrices + convolution)
    assert kv_cache(shape, 8192).state == found.state


def test_jamba_lists_its_attention_layers_by_period():
    config = {
        "architectures": ["JambaForCausalLM"], "model_type": "jamba", "num_hidden_layers": 32, "hidden_size": 4096,
        "num_attention_heads": 32, "num_key_value_heads": 8, "attn_layer_period": 8, "attn_layer_offset": 4,
        "mamba_d_state": 16, "mamba_d_conv": 4, "mamba_expand": 2,
    }  # fmt: skip
    shape = shape_from_config(config)
    assert shape.kv_layers == 4 and shape.state_bytes == 28 * 8192 * (16 * 4 + 4 * 2)


def test_recurrent_models_keep_a_constant_state():
    config = {"architectures": ["RwkvForCausalLM"], "model_type": "rwkv", "num_hidden_layers": 12, "hidden_size": 768}
    shape = shape_from_config(config)
    assert shape.kv_layers == 0
    assert kv_cache(shape, 100).total == kv_cache(shape, 100_000).total == 5 * 768 * 12 * 4


def test_shared_caches_of_gemma_3n_are_counted_once():
    config = {
        "architectures": ["Gemma3nForConditionalGeneration"],
        "text_config": {
            "model_type": "gemma3n_text", "num_hidden_layers": 30, "hidden_size": 2048, "num_attention_heads": 8,
            "num_key_value_heads": 2, "head_dim": 256, "sliding_window": 512, "num_kv_shared_layers": 10,
            "layer_types": (["sliding_attention"] * 4 + ["full_attention"]) * 6,
        },
    }  # fmt: skip
    shape = shape_from_config(config)
    assert (shape.kv_layers, shape.sliding_layers) == (20, 16)


@pytest.mark.parametrize(
    ("config", "heads"),
    [
        ({"model_type": "falcon", "num_attention_heads": 71, "multi_query": True}, 1),
        ({"model_type": "falcon", "num_attention_heads": 128, "new_decoder_architecture": True, "num_kv_heads": 8}, 8),
        ({"model_type": "gpt_bigcode", "n_head": 48, "multi_query": True}, 1),
        ({"model_type": "mpt", "n_heads": 32, "attn_config": {"kv_n_heads": 4}}, 4),
        ({"model_type": "gpt2", "n_head": 12}, 12),
    ],
)
def test_key_value_heads_under_every_name(config, heads):
    assert shape_from_config(config).kv_heads == heads


def test_names_of_gpt_2():
    shape = shape_from_config(
        {
            "architectures": ["GPT2LMHeadModel"],
            "model_type": "gpt2",
            "n_layer": 12,
            "n_embd": 768,
            "n_head": 12,
            "vocab_size": 50257,
        }
    )
    assert (shape.layers, shape.hidden_size, shape.attention_heads, shape.head_dim) == (12, 768, 12, 64)
    assert shape.tied_embeddings is True and kv_cache(shape, 1024).total == 2 * 12 * 768 * 1024 * 2


def test_encoders_keep_nothing():
    config = {
        "architectures": ["BertForTokenClassification"], "model_type": "bert", "num_hidden_layers": 12,
        "hidden_size": 768, "num_attention_heads": 12,
    }  # fmt: skip
    assert cache(config, 512).total == 0


def test_a_decoder_with_an_encoder_keeps_both():
    config = {
        "architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper", "is_encoder_decoder": True,
        "d_model": 384, "decoder_layers": 4, "decoder_attention_heads": 6, "num_hidden_layers": 4, "vocab_size": 51865,
        "max_source_positions": 1500,
    }  # fmt: skip
    found = cache(config, 448)
    assert (found.full, found.cross) == (4 * 2 * 384 * 448 * 2, 4 * 2 * 384 * 1500 * 2)


@pytest.mark.parametrize("config", [{}, {"hidden_size": "big"}, {"num_hidden_layers": -1}, {"architectures": 3}])
def test_a_config_that_says_nothing_leaves_it_unknown(config):
    assert not cache(config, 100).known


def test_a_count_per_token_is_enough():
    found = kv_cache(Shape(kv_bytes_per_token=1000), 64)
    assert found.known and found.total == 64_000
    assert kv_cache(Shape(kv_bytes_per_token=1000), 64, value_bytes=4).total == 128_000


@pytest.mark.parametrize(
    ("model_id", "context", "expected"),
    [
        ("llama-2-7b", 4096, 524_288 * 4096),
        ("llama-3.1-8b", 131072, 16 * GiB),
        ("mistral-7b-v0.1", 32768, 131_072 * 4096),  # every layer slides over 4,096 tokens
        ("falcon-7b", 2048, 8192 * 2048),
        ("gpt-neo-125m", 2048, 2 * 12 * 768 * 2 * 2048 * 2),  # published in float32; its window only masks
        ("bert-base-ner", 512, 0),
        ("rwkv-4-169m", 1024, 0),
        ("sdxl-base-1.0", 1024, 0),
        ("lfm2-1.2b", 32768, 12_288 * 32768),
        ("whisper-tiny", 448, 4 * 2 * 384 * (448 + 1500) * 2),
    ],
)
def test_rows_of_the_catalog(row, model_id, context, expected):
    assert estimate(row(model_id), "", context).kv_cache == expected


def test_a_row_of_the_hub_gets_the_usual_cache_of_its_size_and_says_so():
    listed = Model("org/x", "x", repo="org/x", params=8_000_000_000, kind="chat", source="hub")
    numbers = estimate(listed, "float16", 8192)
    assert numbers.guessed and "usual for its size" in " ".join(numbers.notes)
    assert numbers.kv_cache == pytest.approx(1.07e9, rel=0.15)  # Llama 3.1 8B keeps 1.07 GB
    known = replace(listed, shape=Shape(layers=32, hidden_size=4096, attention_heads=32, kv_heads=8))
    assert not estimate(known, "float16", 8192).guessed
    assert estimate(replace(listed, source="catalog"), "float16", 8192).kv_cache is None


def test_a_gguf_repository_is_what_a_download_of_it_fetches():
    listed = Model("org/x", "x", repo="org/x", params=8_000_000_000, kind="chat", source="hub", quantization="gguf")
    assert estimate(listed).precision == "gguf-q4_k_m"
    assert estimate(listed).weights == pytest.approx(4.85e9, rel=0.01)
