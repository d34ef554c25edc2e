"""What runs in llama.cpp is counted as that: no torch, the cache in 16 bit, nothing widened."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy
import pytest
from safetensors.numpy import save_file

from tui.catalog.build import Build
from tui.catalog.gguf_plan import ARCHITECTURES
from tui.catalog.model import Model
from tui.fit.engine import LLAMA_CPP, TRANSFORMERS, engine_on_cpu, will_run_in_llama
from tui.fit.memory_estimate import estimate, estimate_build
from tui.fit.overhead import CPU_PROCESS, CPU_PROCESS_GPTQ, CPU_PROCESS_LIGHT, CPU_PROCESS_LLAMA
from tui.fit.precision import parse_precision

CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 64, "vocab_size": 300,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "intermediate_size": 128,
          "hidden_act": "silu", "max_position_embeddings": 512,
          "quantization_config": {"quant_method": "gptq", "bits": 4, "group_size": 32, "sym": True}}  # fmt: skip


@pytest.fixture
def build(tmp_path: Path) -> Build:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"model.embed_tokens.weight": numpy.zeros((300, 64), numpy.float16)}, tmp_path / "model.safetensors")
    return Build(id="x", path=tmp_path, model="x", precision="gptq-4bit-g32", bytes=0)


@pytest.mark.parametrize("installed", [True, False])
def test_a_gptq_build_is_counted_in_the_engine_that_will_load_it(
    build: Build, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.fit.engine.has_llama_cpp", lambda: installed)
    assert engine_on_cpu(build.path) == (LLAMA_CPP if installed else TRANSFORMERS)
    numbers, asked = estimate_build(build, 512), estimate_build(build, 512, engine=TRANSFORMERS)
    assert asked.process_cpu == CPU_PROCESS_GPTQ and asked.terms(False)[1] == 2 * asked.kv_cache
    if installed:
        assert CPU_PROCESS_LLAMA <= numbers.process_cpu < CPU_PROCESS_GPTQ / 2
        assert numbers.terms(False)[:2] == numbers.terms(True)[:2]
    else:
        assert numbers == asked


def test_a_model_that_is_known_whole_is_counted_without_transformers(build: Build, row: Callable[[str], Model]) -> None:
    plain = {name: value for name, value in CONFIG.items() if name != "quantization_config"}
    found = []
    for more in ({}, {"a_word_of_its_own": 1}):
        (build.path / "config.json").write_text(json.dumps({**plain, **more}))
        found.append(estimate_build(replace(build, precision="float16"), 512).process_cpu)
    assert found == [CPU_PROCESS_LIGHT, CPU_PROCESS]
    assert estimate(row("llama-3.2-1b-instruct"), "", 1000).process_cpu == CPU_PROCESS_LIGHT
    assert estimate(row("gpt2-xl"), "", 1000).process_cpu == CPU_PROCESS


def test_a_build_that_llama_cpp_cannot_hold_is_counted_in_torch(build: Build) -> None:
    table = {**CONFIG["quantization_config"], "desc_act": True}
    (build.path / "config.json").write_text(json.dumps(CONFIG | {"quantization_config": table}))
    assert engine_on_cpu(build.path) == TRANSFORMERS


def test_a_planned_gptq_build_is_counted_there_too(
    row: Callable[[str], Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.fit.engine.has_llama_cpp", lambda: True)
    four = estimate(row("llama-3.2-1b-instruct"), "gptq-4bit", 1000)
    assert four.process_cpu < CPU_PROCESS_GPTQ / 2 and four.terms(False)[:2] == four.terms(True)[:2]
    assert estimate(row("gpt2-xl"), "gptq-4bit", 1000).process_cpu == CPU_PROCESS_GPTQ
    assert not will_run_in_llama(parse_precision("int8"), "LlamaForCausalLM")


def test_the_families_are_those_that_the_export_knows() -> None:
    names = {"llama": "Llama", "mistral": "Mistral", "qwen2": "Qwen2", "qwen3": "Qwen3", "gemma": "Gemma",
             "gemma2": "Gemma2", "gemma3_text": "Gemma3", "phi3": "Phi3", "smollm3": "SmolLM3"}  # fmt: skip
    assert set(names) == set(ARCHITECTURES)
    four = parse_precision("gptq-4bit")
    for name in names.values():
        assert will_run_in_llama(four, f"{name}ForCausalLM") == will_run_in_llama(four, "LlamaForCausalLM")
