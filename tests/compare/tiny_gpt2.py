"""A second architecture: a GPT-2 of random weights with the starter's tokenizer, written without loading torch."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from tui.starter import starter_folder

WIDTH, LAYERS, HEADS, POSITIONS = 32, 2, 2, 256


def tiny_gpt2(folder: Path) -> Path:
    """Write the model into ``folder``."""
    import numpy
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(starter_folder() / name, folder / name)
    words = json.loads((starter_folder() / "config.json").read_text())["vocab_size"]
    dice = numpy.random.default_rng(4)
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (words, WIDTH), "wpe.weight": (POSITIONS, WIDTH)}
    for layer in range(LAYERS):
        parts = {"attn.c_attn": 3 * WIDTH, "attn.c_proj": WIDTH, "mlp.c_fc": 4 * WIDTH, "mlp.c_proj": WIDTH}
        for part, out in parts.items():
            inner = 4 * WIDTH if part == "mlp.c_proj" else WIDTH
            shapes |= {f"h.{layer}.{part}.weight": (inner, out), f"h.{layer}.{part}.bias": (out,)}
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"h.{layer}.{norm}.weight": (WIDTH,), f"h.{layer}.{norm}.bias": (WIDTH,)}
    shapes |= {"ln_f.weight": (WIDTH,), "ln_f.bias": (WIDTH,)}
    tensors = {
        f"transformer.{name}": (
            numpy.ones(shape, numpy.float32)
            if ".ln_" in f".{name}" and name.endswith("weight")
            else dice.normal(0, 0.4, shape).astype(numpy.float32)
        )
        for name, shape in shapes.items()
    }
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": words,
        "n_embd": WIDTH,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_positions": POSITIONS,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "dtype": "float32",
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder
