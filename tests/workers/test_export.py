"""From GPTQ to GGUF without loss: every block of every architecture, what llama.cpp computes with it, and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.workers.gguf_files import exported, next_logits
from tests.workers.gguf_models import OWN, SHAPE, gptq_folder, model_of, plain_folder
from tests.workers.worker_job import WorkerJob
from tui.catalog.gguf_header import read_gguf_header
from tui.catalog.gguf_plan import plan_gguf
from tui.catalog.library import Library
from tui.catalog.provenance import read_provenance
from tui.errors import BuildBrokenError, HeftError, RecipeError
from tui.jobs.job import Kind, State
from tui.paths import Paths
from tui.starter import starter_folder
from tui.workers.export.checking import check_weights
from tui.workers.export.checkpoint import Checkpoint
from tui.workers.export.vocabulary import read_vocabulary
from tui.workers.export.writing import EMBEDDING, write

pytestmark = pytest.mark.slow
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 10000.0,
    "short_factor": [1.0 + 0.1 * place for place in range(8)],
    "long_factor": [2.0 + place for place in range(8)],
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 128, "rope_theta": 1e6}
SCALED: list[tuple[str, dict[str, Any]]] = [
    (
        "llama",
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
                "rope_theta": 10000.0,
            }
        },
    ),
    ("mistral", {"rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}),
    ("qwen3", {"rope_parameters": YARN}),
    ("smollm3", {"rope_parameters": YARN}),
    (
        "phi3",
        {"rope_parameters": LONGROPE, "original_max_position_embeddings": 256, "max_position_embeddings": 1024},
    ),
    (
        "gemma3_text",
        {
            "rope_parameters": {
                "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
            }
        },
    ),
]


def distances(file: Path, model: Any, lengths: tuple[int, ...], context: int = 256) -> list[float]:
    """Relative distance of llama.cpp's log probabilities from transformers', for prompts of several lengths."""
    import torch

    torch.set_num_threads(1)
    ids = np.random.default_rng(0).integers(6, SHAPE["vocab_size"], 400).tolist()
    prompts = [ids[:length] for length in lengths]
    with torch.inference_mode():
        wanted = np.array(
            [torch.log_softmax(model(torch.tensor([prompt])).logits[0, -1], -1).numpy() for prompt in prompts]
        )
    found = next_logits(file, prompts, context, SHAPE["vocab_size"])
    pairs = [(row, want) for row, want in zip(found, wanted, strict=True) if not np.isnan(row).any()]
    assert len(pairs) >= len(lengths) - 1, "llama.cpp answered too few prompts"
    return [float(np.linalg.norm(row - want) / np.linalg.norm(want - want.mean())) for row, want in pairs]


@pytest.mark.parametrize("model_type", OWN)
def test_blocks_are_the_gptq_weights_and_the_graph_is_the_models(model_type: str, tmp_path: Path) -> None:
    folder, model = gptq_folder(tmp_path / "gptq", model_type)
    plan, report = exported(folder, tmp_path / "q4.gguf")
    assert (plan.type, plan.exact, report.difference) == ("Q4_0", True, 0.0)
    assert report.packed == sum(name.endswith(".qweight") for name in Checkpoint(folder, bits=4)._places)
    assert report.others == 0.0
    exported(plain_folder(tmp_path / "plain", model), tmp_path / "f32.gguf", "f32")
    assert max(distances(tmp_path / "f32.gguf", model, (2, 7, 40))) < 4e-3
    assert max(distances(tmp_path / "q4.gguf", model, (2, 7, 40))) < 8e-2, "llama.cpp rounds activations to 8 bits"


@pytest.mark.parametrize(("model_type", "more"), SCALED)
def test_scaled_positions_are_computed_alike(model_type: str, more: dict[str, Any], tmp_path: Path) -> None:
    model = model_of(model_type, **more)
    plan, _ = exported(plain_folder(tmp_path / "plain", model), tmp_path / "f32.gguf", "f32")
    context = min(plan.context, 512)
    assert max(distances(tmp_path / "f32.gguf", model, (2, 30, 150, 250), context)) < 1e-2
    assert ("longrope" in " ".join(plan.notes)) == (model_type == "phi3")


@pytest.mark.parametrize(
    ("bits", "sym", "version", "group", "kind", "limit"),
    [
        (4, True, 2, 64, "Q4_0", 0.0),
        (2, True, 1, 64, "Q4_0", 0.0),
        (3, True, 1, 32, "Q4_0", 0.0),
        (3, True, 2, 64, "Q4_0", 0.0),
        (8, True, 1, 32, "Q8_0", 0.0),
        (8, True, 2, 64, "Q8_0", 0.0),
        (4, False, 1, 32, "Q4_1", 2e-4),
        (4, False, 2, 32, "Q4_1", 2e-4),
    ],
)
def test_bits_zeros_and_formats(
    bits: int, sym: bool, version: int, group: int, kind: str, limit: float, tmp_path: Path
) -> None:
    folder, model = gptq_folder(tmp_path / "gptq", "llama", bits=bits, sym=sym, version=version, group=group, shards=3)
    checkpoint = Checkpoint(folder, bits=bits, version=version)
    ours = checkpoint.floats("model.layers.1.mlp.down_proj.weight")
    assert np.array_equal(ours, model.model.layers[1].mlp.down_proj.weight.detach().numpy()), "unpacked by definition"
    plan, report = exported(folder, tmp_path / "out.gguf")
    assert plan.type == kind and plan.exact == sym
    assert report.difference <= limit and (report.difference == 0.0) == sym
    types = read_gguf_header(tmp_path / "out.gguf").bytes_by_type
    assert set(types) == {kind, "F16", "F32"}


def test_phi3_split_by_gptqmodel_is_joined_again(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder, _ = gptq_folder(tmp_path / "fused", "phi3")
    exported(folder, tmp_path / "fused.gguf")
    split = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if "gate_up_proj" in name and not name.endswith("g_idx"):
            halves = torch.chunk(tensor, 2, dim=-1)
            for half, part in zip(halves, ("gate_proj", "up_proj"), strict=True):
                split[name.replace("gate_up_proj", part)] = half.contiguous()
        elif "gate_up_proj" in name:
            split[name.replace("gate_up_proj", "gate_proj")] = tensor
            split[name.replace("gate_up_proj", "up_proj")] = tensor.clone()
        else:
            split[name] = tensor
    save_file(split, folder / "model.safetensors")
    exported(folder, tmp_path / "split.gguf")
    assert (tmp_path / "split.gguf").read_bytes() == (tmp_path / "fused.gguf").read_bytes()


def test_a_wrong_block_is_found_when_the_file_is_read_back(tmp_path: Path) -> None:
    import gguf

    folder, _ = gptq_folder(tmp_path / "gptq", "llama")
    plan = plan_gguf(folder)
    checkpoint = Checkpoint(folder, bits=4)
    vocabulary = read_vocabulary(folder, plan.config, checkpoint.shape(EMBEDDING)[0])
    file = tmp_path / "out.gguf"
    written = write(plan, checkpoint, vocabulary, {}, file, lambda *_: None)
    reader = gguf.GGUFReader(file, "r+")
    block = next(tensor for tensor in reader.tensors if tensor.name == "blk.1.ffn_down.weight")
    block.data[5, 7] ^= 0x10  # one weight, by one step
    del reader, block
    with pytest.raises(BuildBrokenError, match="differs by"):
        check_weights(file, plan, checkpoint, written, lambda *_: None)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"desc_act": True}, "desc_act"),
        ({"group_size": 16}, "groups have 16"),
        ({"bits": 3, "sym": False}, "3-bit asymmetric"),
        ({"bits": 8, "sym": False}, "8-bit asymmetric"),
        ({"quant_method": "awq"}, "awq"),
        ({"checkpoint_format": "marlin"}, "marlin"),
    ],
)
def test_quantizations_that_no_block_holds_are_refused(said: dict[str, Any], words: str, tmp_path: Path) -> None:
    table = {"quant_method": "gptq", "bits": 4, "group_size": 32, **said}
    folder = config_only(tmp_path, {"quantization_config": table})
    with pytest.raises(RecipeError, match=words):
        plan_gguf(folder)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"model_type": "opt"}, "opt"),
        ({"model_type": "gemma2", "query_pre_attn_scalar": 256, "head_dim": 64}, "query_pre_attn_scalar"),
        ({"model_type": "gemma3_text", "layer_types": ["full_attention"] * 2}, "6th layer"),
        ({"model_type": "smollm3", "no_rope_layers": [1, 0]}, "fourth layer"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0}}, "dynamic"),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": 16}}, "yarn"),
        ({"hidden_act": "relu"}, "relu"),
        ({"mlp_bias": True}, "biases"),
        ({"num_hidden_layers": None}, "does not say its num_hidden_layers"),
        ({"model_type": "qwen2", "layer_types": ["sliding_attention", "full_attention"]}, "sliding window"),
    ],
)
def test_models_that_llama_cpp_computes_otherwise_are_refused(
    config: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=words):
        plan_gguf(config_only(tmp_path, config))


def config_only(folder: Path, config: dict[str, Any]) -> Path:
    """A folder that refusals are decided from: a config, and a tokenizer that is never read."""
    base = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2, "head_dim": 32}
    (folder / "config.json").write_text(json.dumps({**base, "sliding_window": 16, **config}))
    (folder / "tokenizer.json").write_text("{}")
    (folder / "model.safetensors").write_bytes((8).to_bytes(8, "little") + b"{}      ")
    return folder


def test_windows_bound_the_context_where_llama_cpp_has_none(tmp_path: Path) -> None:
    plan = plan_gguf(config_only(tmp_path, {"model_type": "mistral", "sliding_window": 128}))
    assert plan.context == 128 and "sliding window" in plan.notes[0]


def test_columns_in_another_order_are_found_though_the_config_is_silent(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder, _ = gptq_folder(tmp_path / "gptq", "llama")
    tensors = load_file(folder / "model.safetensors")
    index = tensors["model.layers.0.mlp.up_proj.g_idx"]
    tensors["model.layers.0.mlp.up_proj.g_idx"] = index.flip(0).contiguous()
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(RecipeError, match="g_idx"):
        exported(folder, tmp_path / "out.gguf")


def test_sixteen_bits_become_every_type(tmp_path: Path) -> None:
    sizes = {}
    for kind in ("f16", "bf16", "q8_0", "q4_0"):
        plan, report = exported(starter_folder(), tmp_path / f"{kind}.gguf", kind)
        assert plan.type == kind.upper() and not plan.exact
        assert report.others == {"f16": 0.0}.get(kind, report.others) < 0.05
        sizes[kind] = (tmp_path / f"{kind}.gguf").stat().st_size
    assert sizes["q4_0"] < sizes["q8_0"] < sizes["f16"] and abs(sizes["bf16"] - sizes["f16"]) < 20_000


def export_job(paths: Paths, source: Path, name: str, kind: str = "auto") -> WorkerJob:
    return WorkerJob(paths, Kind.EXPORT, "tiny", {"build": "tiny", "path": str(source), "type": kind, "name": name})


def test_a_job_makes_a_build_with_provenance_that_the_library_knows(tmp_path: Path, paths: Paths) -> None:
    folder, _ = gptq_folder(tmp_path / "gptq", "qwen2", shards=2)
    work = export_job(paths, folder, "tiny-q4_0")
    try:
        job = work.run()
        assert job.state is State.DONE, work.log
        assert (job.result["type"], job.result["max_difference"], job.result["exact"]) == ("Q4_0", 0.0, True)
        assert job.result["tokens_compared"] > 1000
        build = Library(paths).build("tiny-q4_0")
        assert (build.precision, build.problem, build.source) == ("gguf-q4_0", "", "heft")
        facts = read_provenance(build.path)
        assert facts["source_build"] == "tiny" and facts["source_sha256"]["config.json"]
        assert [file.suffix for file in build.path.glob("*.gguf")] == [".gguf"]
        assert not list(paths.builds.glob(".making*"))
        again = export_job(paths, folder, "tiny-q4_0")
        assert again.run().result["path"] == str(build.path), "the same export is not made twice"
        again.close()
    finally:
        work.close()


def test_a_job_that_cannot_be_exact_fails_with_the_reason_and_leaves_nothing(tmp_path: Path, paths: Paths) -> None:
    folder, _ = gptq_folder(tmp_path / "gptq", "llama", desc_act=True)
    work = export_job(paths, folder, "tiny-q4_0")
    try:
        job = work.run()
        assert job.state is State.FAILED and job.failure is not None
        assert "desc_act" in job.failure.summary
        assert list(paths.builds.iterdir()) == []
    finally:
        work.close()


def test_export_names_are_safe(tmp_path: Path, paths: Paths) -> None:
    from tui.workers.export import export

    class Quiet:
        def __init__(self) -> None:
            self.paths, self.grace = paths, 0.0

    with pytest.raises(HeftError, match="not a name"):
        export(Quiet(), starter_folder(), "../out", "f16")  # type: ignore[arg-type]
