"""What a recipe means for a source: decided from config.json and the weights' headers alone."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from tui.catalog.build import Recipe
from tui.errors import BuildBrokenError, RecipeError
from tui.fit.quantize_plan import Plan, make_plan
from tui.fit.quantize_routes import refuse_method

WIDTH, INNER = 128, 192


def model_folder(
    folder: Path, config: dict[str, Any] | None = None, shapes: dict[str, tuple[int, ...]] | None = None, **more: Any
) -> Path:
    """A folder with real files of the shape that a Llama has, all zeros."""
    layer = {
        "self_attn.q_proj": (WIDTH, WIDTH),
        "mlp.up_proj": (INNER, WIDTH),
        "mlp.down_proj": (WIDTH, INNER),
        "input_layernorm": (WIDTH,),
    }
    tensors = {f"model.layers.{n}.{name}.weight": shape for n in range(2) for name, shape in layer.items()}
    tensors |= {"model.embed_tokens.weight": (64, WIDTH)} | (shapes or {})
    folder.mkdir(parents=True, exist_ok=True)
    save_file({name: np.zeros(shape, np.float16) for name, shape in tensors.items()}, folder / "model.safetensors")
    table = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": WIDTH, "dtype": "float16"}
    table |= {"max_position_embeddings": 512} | (config or {}) | more
    (folder / "config.json").write_text(json.dumps(table))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def plan_for(folder: Path, recipe: Recipe = Recipe(group_size=64), device: str = "cpu", native: bool = False) -> Plan:  # noqa: B008
    return make_plan(folder, recipe, device=device, native_bfloat16=native)


def test_a_llama_goes_through_gptqmodel_and_can_resume(tmp_path: Path) -> None:
    plan = plan_for(model_folder(tmp_path / "m"))
    assert (plan.route, plan.offload, plan.resumable, plan.layers, plan.context) == ("gptqmodel", True, True, 2, 512)
    assert {linear.module for linear in plan.linears} == {"self_attn.q_proj", "mlp.up_proj", "mlp.down_proj"}
    assert len(plan.linears) == 6
    assert plan.act_group_aware


def test_output_is_estimated_from_shapes(tmp_path: Path) -> None:
    plan = plan_for(model_folder(tmp_path / "m"))
    embedding_and_norms = 2 * (64 * WIDTH + 2 * WIDTH)
    weights = 2 * (WIDTH * WIDTH + 2 * WIDTH * INNER) // 2
    groups = 2 * (2 * WIDTH + 2 * INNER + 3 * WIDTH) * (16 + 4) // 8
    group_indices = 2 * 4 * (WIDTH + WIDTH + INNER)
    assert plan.output_bytes == embedding_and_norms + weights + groups + group_indices


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bits": 5}, "5 bits"),
        ({"group_size": 100}, "group size of 100"),
        ({"group_size": -1}, "one group per row cannot run on a CPU"),
        ({"damp_percent": 0.0}, "damp_percent 0.0"),
        ({"samples": 0}, "0 calibration samples"),
        ({"method": "hqq"}, "hqq is not a method"),
        ({"method": "awq", "bits": 8}, "AWQ checkpoints have 4 bits"),
        ({"method": "awq", "group_size": -1}, "AWQ with one group per row"),
        ({"method": "awq", "desc_act": True}, "AWQ knows no activation order"),
        ({"method": "rtn", "route": "optimum"}, "optimum quantizes with GPTQ alone"),
        ({"route": "magic"}, "'magic' is not a route"),
    ],
)
def test_values_that_no_model_takes_are_refused_in_words(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words) as caught:
        plan_for(model_folder(tmp_path / "m"), replace(Recipe(), **change))
    assert caught.value.hint


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_one_group_per_row_is_allowed_where_a_kernel_takes_it(tmp_path: Path, bits: int) -> None:
    assert not plan_for(model_folder(tmp_path / "m"), Recipe(bits=bits, group_size=-1)).act_group_aware


def test_a_gpu_takes_four_bits_in_one_group(tmp_path: Path) -> None:
    assert plan_for(model_folder(tmp_path / "m"), Recipe(group_size=-1), device="cuda").dtype == "float16"


def test_a_group_that_does_not_divide_a_layer_names_the_layer_and_a_size_that_does(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        plan_for(model_folder(tmp_path / "m"), Recipe(group_size=128))
    assert caught.value.summary == (
        "model.layers.0.mlp.down_proj has 192 input features, which groups of 128 do not divide"
    )
    assert caught.value.hint == "use group size 64"


def test_a_layer_that_does_not_fill_words_is_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", shapes={"model.layers.1.mlp.up_proj.weight": (INNER + 8, WIDTH)})
    with pytest.raises(RecipeError, match=r"model\.layers\.1\.mlp\.up_proj has 200 output features"):
        plan_for(folder)


def test_a_router_is_not_a_layer_to_quantize(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", shapes={"model.layers.0.mlp.gate.weight": (6, WIDTH)})
    assert "mlp.gate" not in {linear.module for linear in plan_for(folder).linears}


@pytest.mark.parametrize(
    ("config", "label"),
    [
        ({"quant_method": "gptq", "bits": 4, "group_size": 128}, "gptq-4bit-g128"),
        ({"quant_method": "awq", "bits": 4, "group_size": 64}, "awq-4bit-g64"),
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, "bitsandbytes-4bit"),
        ({"quant_method": "fp8"}, "fp8"),
    ],
)
def test_what_is_quantized_already_is_refused_by_name(tmp_path: Path, config: dict[str, Any], label: str) -> None:
    folder = model_folder(tmp_path / "done", quantization_config=config)
    with pytest.raises(RecipeError, match="done is already quantized") as caught:
        plan_for(folder)
    assert label in caught.value.summary
    assert "original" in caught.value.hint


def test_a_gguf_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model-Q4_K_M.gguf").write_bytes(b"GGUF")
    with pytest.raises(RecipeError, match="GGUF"):
        plan_for(tmp_path)


@pytest.mark.parametrize("model_type", ["falcon"])
def test_models_that_transformers_reloads_as_garbage_are_loaded_by_gptqmodel(tmp_path: Path, model_type: str) -> None:
    folder = model_folder(tmp_path / "m", model_type=model_type)
    plan = plan_for(folder)
    assert (plan.route, plan.loader) == ("gptqmodel", "gptqmodel")
    with pytest.raises(RecipeError, match="optimum finds no linear layers"):
        plan_for(folder, Recipe(group_size=64, route="optimum"))


@pytest.mark.parametrize("key", ["num_experts", "num_local_experts", "n_routed_experts"])
def test_mixtures_of_experts_are_loaded_by_gptqmodel(tmp_path: Path, key: str) -> None:
    folder = model_folder(tmp_path / "m", {key: 8})
    assert plan_for(folder).loader == "gptqmodel"
    with pytest.raises(RecipeError, match="leaves the experts"):
        plan_for(folder, Recipe(group_size=64, route="optimum"))
    assert plan_for(model_folder(tmp_path / "m", {key: 1})).loader == "transformers"


def test_what_no_library_knows_is_refused_with_what_works(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no GPTQ library knows RWKV.*--load-as int8"):
        plan_for(model_folder(tmp_path / "m", model_type="rwkv"))


def test_fused_projections_take_the_route_that_reloads(tmp_path: Path) -> None:
    fused = {f"model.layers.{n}.mlp.gate_up_proj.weight": (2 * INNER, WIDTH) for n in range(2)}
    folder = model_folder(tmp_path / "m", shapes=fused, model_type="phi3", architectures=["Phi3ForCausalLM"])
    plan = plan_for(folder)
    assert (plan.route, plan.offload, plan.resumable) == ("optimum", False, False)
    assert plan.loader == "transformers"
    assert plan_for(folder, Recipe(group_size=64, route="gptqmodel")).loader == "gptqmodel"
    with pytest.raises(RecipeError, match="phi3 models are not quantized with AWQ"):
        plan_for(folder, Recipe("awq", group_size=64))


def test_awq_wants_layers_that_its_scales_cancel_in(tmp_path: Path) -> None:
    names = ("self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj")
    rest = {f"model.layers.{n}.{name}.weight": (INNER, WIDTH) for n in range(2) for name in names}
    awq = Recipe("awq", group_size=64)
    assert plan_for(model_folder(tmp_path / "llama", shapes=rest), awq).route == "gptqmodel"
    for folder in (model_folder(tmp_path / "bare"), model_folder(tmp_path / "opt", shapes=rest, model_type="opt")):
        with pytest.raises(RecipeError, match="does not cancel out"):
            plan_for(folder, awq)
        plan_for(folder)
    with pytest.raises(RecipeError, match="bloom models are not quantized with AWQ"):
        refuse_method(awq, {"model_type": "bloom"})


def test_gpt_neox_is_not_moved_to_disk(tmp_path: Path) -> None:
    plan = plan_for(model_folder(tmp_path / "m", model_type="gpt_neox"))
    assert (plan.route, plan.offload, plan.resumable) == ("gptqmodel", False, False)


def test_optimum_is_refused_where_layers_differ(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", layer_types=["sliding_attention", "full_attention"], model_type="gemma3_text")
    assert plan_for(folder).route == "gptqmodel"
    with pytest.raises(RecipeError, match="full_attention and sliding_attention"):
        plan_for(folder, Recipe(group_size=64, route="optimum"))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"is_encoder_decoder": True}, "encoder-decoder"),
        ({"architectures": ["LlavaForConditionalGeneration"]}, "LlavaForConditionalGeneration"),
    ],
)
def test_other_kinds_of_models_are_refused(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        plan_for(model_folder(tmp_path / "m", change))


def test_fused_experts_leave_nothing_to_quantize(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    save_file({"model.layers.0.mlp.experts.up.weight": np.zeros((4, 64, 64), np.float16)}, folder / "model.safetensors")
    with pytest.raises(RecipeError, match="stores its experts joined in one tensor"):
        plan_for(folder)


def test_a_torn_source_is_named(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(BuildBrokenError, match=r"model\.safetensors is damaged.*100 bytes off"):
        plan_for(folder)


@pytest.mark.parametrize(
    ("stored", "device", "native", "dtype"),
    [
        (np.float16, "cpu", False, "float32"),
        (np.float16, "cpu", True, "float32"),
        (np.float16, "cuda", False, "float16"),
        (np.float32, "cuda", False, "float16"),
        (np.float32, "cpu", True, "float32"),
    ],
)
def test_the_dtype_follows_the_device(tmp_path: Path, stored: Any, device: str, native: bool, dtype: str) -> None:
    folder = model_folder(tmp_path / "m")
    save_file({"model.layers.0.mlp.up_proj.weight": np.zeros((64, 64), stored)}, folder / "model.safetensors")
    plan = plan_for(folder, device=device, native=native)
    assert plan.dtype == dtype
    assert plan.save_dtype == np.dtype(stored).name
