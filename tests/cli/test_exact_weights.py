"""``heft show`` and ``heft fit`` of repositories: exact weights where the hub answers, else the catalog's."""

from __future__ import annotations

import json
from pathlib import Path

from tests.heft import Heft
from tests.hub_content import safetensors
from tests.local_hub import LocalHub

CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64, "intermediate_size": 192,
    "num_hidden_layers": 3, "num_attention_heads": 4, "vocab_size": 1000, "torch_dtype": "bfloat16",
}  # fmt: skip


def test_a_repository_is_measured_by_its_heads(tmp_path: Path) -> None:
    with LocalHub() as hub:
        files = {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": safetensors(800_000)}
        hub.add_repo("org/tiny", files, safetensors={"parameters": {"BF16": 1000}, "total": 1000})
        heft = Heft(tmp_path / "home", **hub.environment)
        answer = heft.json("fit", "org/tiny", "--context", "512", "--memory", "24GB")  # a CPU widens some
        assert answer["weights"] == 800_000 - 8 - 192
        assert any("exact" in note for note in answer["notes"])
        shown = heft.json("show", "org/tiny")
        assert shown["tensors"]["params"] == 800_000 - 8 - 192
        assert hub.bytes_sent("safetensors|cdn") < 300_000
        assert not list((tmp_path / "home").rglob("models--*"))
        assert heft.json("builds") == []


def test_a_closed_hub_leaves_the_catalogs_numbers(tmp_path: Path) -> None:
    heft = Heft(tmp_path / "home")
    plain = heft.json("fit", "gpt2", "--memory", "8GB")
    asked = heft("fit", "gpt2", "--memory", "8GB", "--hub", "--json")
    assert asked.code == 0 and asked.document["weights"] == plain["weights"]
    assert "catalog's numbers" in asked.err
    assert heft("fit", "org/nobody-knows", "--json").code == 1
