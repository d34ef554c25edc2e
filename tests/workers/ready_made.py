"""Makes folders as other tools publish them, loads each as Heft does, and writes down what came, in a fresh process.

python tests/workers/ready_made.py FOLDER
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tui.catalog.build_folder import folder_facts
from tui.fit.load_time import LOAD_TIME
from tui.starter import heldout_text, starter_folder
from tui.workers.weights import load_weights

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


def bitsandbytes(folder: Path, **options: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    config = BitsAndBytesConfig(bnb_4bit_compute_dtype=torch.float32, **options)
    AutoModelForCausalLM.from_pretrained(
        starter_folder(), dtype=torch.float32, quantization_config=config
    ).save_pretrained(folder)


def rounded(folder: Path) -> None:
    from gptqmodel import BACKEND, GPTQModel
    from gptqmodel.quantization.config import RTNConfig

    config = RTNConfig(bits=4, group_size=128, pack_impl="original")
    model = GPTQModel.load(str(starter_folder()), config, device="cpu", backend=BACKEND.AUTO)
    model.quantize(None)
    model.save(str(folder))


def autogptq(folder: Path, made: Path) -> None:
    """AutoGPTQ before transformers knew GPTQ: the recipe in a file of its own, in the name of the weights too."""
    folder.mkdir()
    config = json.loads((made / "config.json").read_text())
    del config["quantization_config"]
    (folder / "config.json").write_text(json.dumps(config))
    recipe = {"bits": 4, "group_size": 128, "damp_percent": 0.01, "desc_act": False, "sym": True}
    recipe |= {"static_groups": False, "true_sequential": True, "model_name_or_path": None}
    (folder / "quantize_config.json").write_text(json.dumps(recipe))
    shutil.copyfile(made / "model.safetensors", folder / "gptq_model-4bit-128g.safetensors")


def compressed(folder: Path) -> None:
    import torch
    from compressed_tensors.compressors import ModelCompressor
    from compressed_tensors.quantization import QuantizationConfig, QuantizationStatus, apply_quantization_config
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32)
    scheme = {
        "targets": ["Linear"],
        "weights": {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "channel"},
    }
    config = QuantizationConfig(
        config_groups={"group_0": scheme}, ignore=["lm_head"], quantization_status=QuantizationStatus.FROZEN
    )
    apply_quantization_config(model, config)
    for module in model.modules():
        if hasattr(module, "weight_scale"):
            module.weight_scale.data = module.weight.data.abs().amax(1, keepdim=True) / 127
    compressor = ModelCompressor.from_pretrained_model(model)
    compressor.compress_model(model)
    model.save_pretrained(folder)
    compressor.update_config(folder)


def rwkv_off(folder: Path) -> float:
    """How far the logits of a tiny RWKV-4 in 8 bits are from its own in 32."""
    import torch

    from tests.workers.tiny_models import tiny_model

    model = tiny_model("rwkv")
    model.save_pretrained(folder)
    small, _ = load_weights(folder, dtype="float32", device="cpu", load_as="int8")
    ids = torch.arange(5, 45)[None]
    with torch.inference_mode():
        wanted, got = model(input_ids=ids).logits, small(input_ids=ids).logits
    assert any(type(module).__name__ == "Linear8bitLt" for module in small.modules())
    return float((got - wanted).norm() / wanted.norm())


def perplexity_of(folder: Path, load_as: str = "") -> float:
    from transformers import AutoTokenizer

    from tui.workers.perplexity import perplexity

    model, missing = load_weights(folder, dtype="float32", device="cpu", load_as=load_as)
    assert not missing, missing
    tokenizer = AutoTokenizer.from_pretrained(starter_folder())
    return perplexity(model, tokenizer, heldout_text()[:20], context=512, limit=1000).value


def main(root: Path) -> dict[str, Any]:
    made = {
        "nf4": lambda folder: bitsandbytes(folder, load_in_4bit=True, bnb_4bit_quant_type="nf4"),
        "int8": lambda folder: bitsandbytes(folder, load_in_8bit=True),
        "compressed": compressed,
        "gptq": rounded,
        "autogptq": lambda folder: autogptq(folder, root / "gptq"),
    }
    found: dict[str, Any] = {"original": {"perplexity": perplexity_of(starter_folder())}}
    for way in LOAD_TIME:
        found[f"load-{way.name}"] = {"perplexity": perplexity_of(starter_folder(), way.name)}
    found["rwkv-int8"] = {"off": rwkv_off(root / "rwkv")}
    for name, make in made.items():
        make(root / name)
        for file in TOKENIZER:
            shutil.copyfile(starter_folder() / file, root / name / file)
        facts = folder_facts(root / name)
        found[name] = {
            "precision": facts.precision,
            "problem": facts.problem,
            "perplexity": perplexity_of(root / name),
            "bytes": sum(file.stat().st_size for file in (root / name).glob("*.safetensors")),
        }
    return found


if __name__ == "__main__":
    result = main(Path(sys.argv[1]))
    (Path(sys.argv[1]) / "out.json").write_text(json.dumps(result))
