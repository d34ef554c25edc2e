"""Ready-made quantized folders are known for what they are and load; 16-bit weights are quantized while they load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.workers.worker_job import ONE_CORE
from tui.errors import BuildBrokenError
from tui.workers.weights import load_weights

pytestmark = pytest.mark.slow
SCRIPT = Path(__file__).with_name("ready_made.py")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each folder is called and how perplexed the model in it is, all in one fresh process."""
    root = tmp_path_factory.mktemp("ready")
    environment = {**os.environ, **ONE_CORE, "TORCHDYNAMO_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
    environment |= {"GPTQMODEL_CPU_WORKERS": "2", "HF_HOME": str(root / "hf")}
    done = subprocess.run(
        [sys.executable, SCRIPT, root], env=environment, capture_output=True, check=False, text=True, cwd=root
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((root / "out.json").read_text())  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "precision"),
    [
        ("nf4", "bitsandbytes-4bit"),
        ("int8", "bitsandbytes-8bit"),
        ("compressed", "compressed-tensors-8bit"),
        ("gptq", "gptq-4bit-g128"),
        ("autogptq", "gptq-4bit-g128"),
    ],
)
def test_a_ready_made_folder_is_known_and_loads(found: dict[str, Any], name: str, precision: str) -> None:
    assert (found[name]["precision"], found[name]["problem"]) == (precision, "")
    assert found[name]["perplexity"] == pytest.approx(found["original"]["perplexity"], rel=0.05)


def test_the_old_layout_holds_the_very_same_weights(found: dict[str, Any]) -> None:
    assert found["autogptq"]["perplexity"] == found["gptq"]["perplexity"]


@pytest.mark.parametrize("way", ["int8", "nf4", "torchao-int8"])
def test_weights_are_quantized_while_they_load(found: dict[str, Any], way: str) -> None:
    before, after = found["original"]["perplexity"], found[f"load-{way}"]["perplexity"]
    assert after != before
    assert after == pytest.approx(before, rel=0.05)


def test_rwkv_works_in_eight_bits(found: dict[str, Any]) -> None:
    assert 0 < found["rwkv-int8"]["off"] < 0.1


def test_what_is_quantized_is_not_quantized_while_it_loads(tmp_path: Path) -> None:
    table = {"model_type": "llama", "quantization_config": {"quant_method": "gptq", "bits": 4}}
    (tmp_path / "config.json").write_text(json.dumps(table))
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(BuildBrokenError, match="needs weights in 16 bits"):
        load_weights(tmp_path, dtype="float32", device="cpu", load_as="nf4")
