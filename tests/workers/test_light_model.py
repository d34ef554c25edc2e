"""A model loaded without transformers, held against transformers: the same logits and answers, or not taken at all."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.workers.tiny_models import tiny_model
from tui.fit.light_config import may_be_light
from tui.starter import starter_folder
from tui.workers.host.light_model import LightConfig, light_model
from tui.workers.host.loading import stored_in_halves
from tui.workers.host.small_files import CONFIG, GENERATION
from tui.workers.host.taking_apart import can_take_apart, take_apart
from tui.workers.weights import load_weights

YARN = {"rope_type": "yarn", "factor": 4.0, "rope_theta": 10000.0, "original_max_position_embeddings": 64}
LLAMA3 = {
    "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
MODELS: list[tuple[str, str, dict[str, Any]]] = [
    ("llama", "float16", {}),
    ("llama", "bfloat16", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("llama", "float32", {"rope_parameters": LLAMA3, "num_key_value_heads": 4}),
    ("llama", "float16", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}}),
    ("mistral", "bfloat16", {"sliding_window": None}),
    ("mistral", "float16", {"sliding_window": 256, "head_dim": 32}),
    ("qwen2", "bfloat16", {"tie_word_embeddings": True}),
    ("qwen3", "float16", {"attention_bias": True}),
]


def saved(folder: Path, family: str, dtype: str, **more: Any) -> Path:
    import torch

    tiny_model(family, **more).to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size="40KB")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(starter_folder() / name, folder / name)
    return folder


def light(folder: Path) -> Any:
    """The model without transformers, with the facts that ``small_files`` would tell."""
    from transformers import AutoConfig, GenerationConfig

    config, generation = AutoConfig.from_pretrained(folder), GenerationConfig.from_pretrained(folder)
    made = LightConfig(**json.loads(json.dumps({name: getattr(config, name, None) for name in CONFIG}, default=str)))
    made.dtype = str(made.dtype).removeprefix("torch.")
    told = LightConfig(**{name: getattr(generation, name, None) for name in GENERATION})
    return light_model(folder, made, told, _dtype(made))


def _dtype(config: Any) -> Any:
    import torch

    return getattr(torch, config.dtype) if stored_in_halves(torch, config) else torch.float32


@pytest.mark.parametrize(("family", "dtype", "more"), MODELS)
def test_logits_are_those_of_a_model_that_transformers_loaded(
    tmp_path: Path, family: str, dtype: str, more: dict[str, Any]
) -> None:
    import torch

    folder = saved(tmp_path, family, dtype, **more)
    assert may_be_light(json.loads((folder / "config.json").read_bytes()))
    ours = light(folder)
    theirs, missing = load_weights(folder, dtype=dtype, device="cpu")
    assert not missing and can_take_apart(theirs, 256) and can_take_apart(ours, 256)
    prompt = [3, 500, 77, 12, 200, 9]
    for kind in ("float32", "own"):
        found = [take_apart(deepcopy(model), kind, lambda: False, lambda *_: None) for model in (ours, theirs)]
        logits = []
        for model in found:
            cache = model.new_cache()
            with torch.inference_mode():
                logits.append([model.read(piece, cache, lambda: None) for piece in (prompt, [8], [400])])
        for mine, true in zip(*logits, strict=True):  # sums move by a last bit with where the weights lie in memory
            close = 1e-5 if kind == "float32" or dtype == "float32" else 0.01  # half a last bit is more in 16 bits
            assert (mine - true).abs().max() <= close * (true.max() - true.min())


def test_what_is_not_known_whole_is_left_to_transformers(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    folder = saved(tmp_path / "plain", "llama", "float16", num_hidden_layers=1)
    words = json.loads((folder / "config.json").read_bytes())
    odd: list[dict[str, Any]] = [
        {"logit_scale": 2.0}, {"pretraining_tp": 2}, {"quantization_config": {}}, {"model_type": "gemma2"},
        {"hidden_act": "gelu"}, {"rope_parameters": YARN}, {"rope_scaling": {"type": "dynamic", "factor": 2}},
    ]  # fmt: skip
    assert may_be_light(words) and not any(may_be_light({**words, **more}) for more in odd)
    assert light(saved(tmp_path / "yarn", "llama", "float16", rope_parameters=YARN)) is None
    assert light(saved(tmp_path / "gelu", "llama", "float16", hidden_act="gelu")) is None
    for path in folder.glob("model*"):
        path.unlink()
    whole = {
        name: tensor.contiguous()
        for name, tensor in tiny_model("llama", num_hidden_layers=1).half().state_dict().items()
    }
    changed: list[dict[str, Any]] = [
        {name: tensor for name, tensor in whole.items() if name != "model.norm.weight"},
        {**whole, "model.layers.0.self_attn.q_proj.bias": whole["model.norm.weight"].clone()},
        {**whole, "model.norm.weight": whole["model.norm.weight"][:8].clone()},
    ]
    file = folder / "model.safetensors"
    for tensors in changed:
        save_file(tensors, file)
        assert light(folder) is None
    save_file({**whole, "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(8)}, file)
    assert light(folder) is not None and len(load_file(file)) == len(whole) + 1


LOADS = """
import json, sys, tempfile, threading
from pathlib import Path
from types import SimpleNamespace
from tui.paths import Paths
from tui.workers.host.loading import load
from tui.workers.host.torch_engine import TorchEngine
reporter = SimpleNamespace(
    progress=lambda *_, **__: None, check=lambda: None, stop=threading.Event(), say=print,
    job=SimpleNamespace(device="cpu", spec={}),
    paths=Paths.from_environment({"HEFT_HOME": sys.argv[2]}).prepare(),
)
engine = TorchEngine(load(reporter, Path(sys.argv[1]), None))
from tui.workers.host.desk import REHEARSED
from dataclasses import replace
from tui.workers.host.request import Sampling
asked = replace(REHEARSED, sampling=Sampling(temperature=0.0), max_tokens=12)
words = [step.text for step in engine.write(asked, engine.ids(asked), lambda: False, lambda _: None)]
loaded = "transformers" in sys.modules
import torch
weightless = [torch.empty(rows, 4, device="meta") for rows in (3, 5)]
try:
    shape = list(torch.cdist(*weightless).shape)
except NotImplementedError:
    shape = []
print(json.dumps({"words": words, "transformers": loaded, "notes": engine.notes, "shape": shape}))
"""


def loaded(folder: Path, home: Path) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-c", LOADS, str(folder), str(home)], capture_output=True, text=True, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    return json.loads(ended.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_host_answers_the_same_with_and_without_transformers(tmp_path: Path) -> None:
    plain = loaded(starter_folder(), tmp_path / "home")
    assert not plain["transformers"] and "".join(plain["words"]).strip()
    odd = shutil.copytree(starter_folder(), tmp_path / "odd")
    words = json.loads((odd / "config.json").read_bytes())
    (odd / "config.json").write_text(json.dumps({**words, "a_word_of_its_own": 1}))
    through = loaded(odd, tmp_path / "home")
    assert plain["shape"] == [] and through["shape"] == [3, 5], "torch is whole again"
    assert through["transformers"]
    assert through["words"] == plain["words"] and through["notes"] == plain["notes"]
