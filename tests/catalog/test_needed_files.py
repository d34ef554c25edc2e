"""One copy of the weights, never two, and never none."""

from __future__ import annotations

import pytest

from tui.catalog.hub import HubFile
from tui.catalog.needed_files import needed_files

ALWAYS = ["config.json", "tokenizer.json", "README.md", "LICENSE", "chat_template.jinja"]


def chosen(*paths: str) -> list[str]:
    files = [HubFile(path, 1000 + number, "", "") for number, path in enumerate(paths)]
    return [file.path for file in needed_files(files)]


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        (["model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"], ["model.safetensors"]),
        (["pytorch_model.bin", "tf_model.h5", "rust_model.ot", "training_args.bin"], ["pytorch_model.bin"]),
        (
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"],
            ["pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin", "pytorch_model.bin.index.json"],
        ),
        (
            ["model-00001-of-00001.safetensors", "model.safetensors.index.json", "pytorch_model.bin.index.json"],
            ["model-00001-of-00001.safetensors", "model.safetensors.index.json"],
        ),
        (["model.safetensors", "consolidated.safetensors", "original/consolidated.00.pth"], ["model.safetensors"]),
        (["consolidated.safetensors"], ["consolidated.safetensors"]),
        (["model.safetensors", "model.fp16.safetensors", "onnx/model.onnx", "onnx/config.json"], ["model.safetensors"]),
        (["model.fp16.safetensors"], ["model.fp16.safetensors"]),
        (["pytorch_model.bin", "1_Dense/model.safetensors"], ["pytorch_model.bin", "1_Dense/model.safetensors"]),
        (["adapter_model.safetensors", "adapter_model.bin"], ["adapter_model.safetensors"]),
        (["model.safetensors", "m-Q4_K_M.gguf"], ["model.safetensors"]),
        (["m-Q8_0.gguf", "m-Q4_K_M.gguf", "m-Q2_K.gguf"], ["m-Q4_K_M.gguf"]),
        (
            ["q/m-Q4_K_M-00001-of-00002.gguf", "q/m-Q4_K_M-00002-of-00002.gguf", "m-Q2_K.gguf"],
            ["q/m-Q4_K_M-00001-of-00002.gguf", "q/m-Q4_K_M-00002-of-00002.gguf"],
        ),
        (["m.IQ2_XS.gguf", "m.IQ3_M.gguf"], ["m.IQ2_XS.gguf"]),
        ([".gitattributes", "figures/benchmark.png", "optimizer.pt", "runs/x/events.out.tfevents.1"], []),
    ],
)
def test_one_copy_of_the_weights(there: list[str], wanted: list[str]) -> None:
    assert chosen(*ALWAYS, *there) == [*ALWAYS, *wanted]
