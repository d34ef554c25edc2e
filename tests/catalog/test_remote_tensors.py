"""Exact weights of a repository that is not here: ranged reads from a real server, kept by commit."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.local_hub import LocalHub, Synthetic
from tests.patience import patient
from tui.catalog.build import Recipe
from tui.catalog.catalog_file import load_catalog
from tui.catalog.hub import Hub
from tui.catalog.model import Model, Shape
from tui.catalog.remote_tensors import FIRST_READ, remote_tensors
from tui.catalog.safetensors_header import read_safetensors_header
from tui.catalog.tensors import Tensors, read_tensors, tensors_facts, tensors_of
from tui.errors import BuildBrokenError, HubUnreachableError, NotAllowedError
from tui.fit.memory_estimate import estimate, quantize_estimate
from tui.fit.parameters import split_parameters
from tui.paths import Paths
from tui.settings import HubSettings, Settings

HIDDEN, WIDE, VOCABULARY, LAYERS, KEYS = 64, 192, 1000, 3, 32
SHARD = "model-0000{}-of-00002.safetensors"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalHub]:
    with LocalHub() as hub:
        for name, value in hub.environment.items():
            monkeypatch.setenv(name, value)
        yield hub


def make_hub(paths: Paths, seconds: float = 10.0) -> Hub:
    return Hub(paths, replace(Settings(), hub=HubSettings(timeout=seconds)))


def llama(layers: range, *, ends: bool) -> dict[str, list[int]]:
    """Names and shapes of a small Llama with an output layer of its own."""
    shapes = {"model.embed_tokens.weight": [VOCABULARY, HIDDEN], "lm_head.weight": [VOCABULARY, HIDDEN]} if ends else {}
    for layer in layers:
        block = f"model.layers.{layer}"
        shapes |= {f"{block}.self_attn.{name}_proj.weight": [HIDDEN, HIDDEN] for name in "qo"}
        shapes |= {f"{block}.self_attn.{name}_proj.weight": [KEYS, HIDDEN] for name in "kv"}
        shapes |= {f"{block}.mlp.{name}_proj.weight": [WIDE, HIDDEN] for name in ("gate", "up")}
        shapes |= {f"{block}.mlp.down_proj.weight": [HIDDEN, WIDE], f"{block}.input_layernorm.weight": [HIDDEN]}
    return shapes


def weights(shapes: dict[str, list[int]], dtype: str = "BF16", padding: int = 0) -> Synthetic:
    """A safetensors file with those tensors; ``padding`` makes its head longer."""
    table: dict[str, Any] = {"__metadata__": {"format": "pt", "padding": "x" * padding}}
    at = 0
    for name, shape in shapes.items():
        size = 2
        for length in shape:
            size *= length
        table[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    head = json.dumps(table).encode()
    head = struct.pack("<Q", len(head)) + head
    return Synthetic(len(head) + at, head=head)


LINEAR = LAYERS * (2 * HIDDEN * HIDDEN + 2 * KEYS * HIDDEN + 3 * WIDE * HIDDEN)
KEPT = 2 * VOCABULARY * HIDDEN + LAYERS * HIDDEN
CONFIG = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": WIDE,
    "num_hidden_layers": LAYERS, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": VOCABULARY,
    "torch_dtype": "bfloat16", "max_position_embeddings": 2048,
}  # fmt: skip


def add_llama(server: LocalHub, repo: str = "org/llama", padding: int = 0, **facts: Any) -> str:
    files = {
        "config.json": json.dumps(CONFIG).encode(),
        SHARD.format(1): weights(llama(range(2), ends=True), padding=padding),
        SHARD.format(2): weights(llama(range(2, LAYERS), ends=False)),
        "pytorch_model.bin": Synthetic(900_000),
    }
    return server.add_repo(repo, files, **facts)


def test_the_heads_alone_tell_every_byte(server: LocalHub, paths: Paths) -> None:
    commit = add_llama(server)
    hub = make_hub(paths)
    found = remote_tensors(hub, paths, hub.repository("org/llama"))
    assert found is not None
    assert (found.bytes_by_dtype, found.params) == ((("BF16", 2 * (LINEAR + KEPT)),), LINEAR + KEPT)
    assert (found.linear, found.head_apart, found.files, found.commit) == (LINEAR, True, 2, commit)
    assert found.inputs == LAYERS * (6 * HIDDEN + WIDE)
    assert found.outputs == LAYERS * (3 * HIDDEN + 2 * KEYS + 2 * WIDE)
    assert (found.largest_input, found.largest_linear) == (WIDE, WIDE * HIDDEN)
    ranged = [request for request in server.matching("resolve|cdn") if "range" in request.headers]
    assert ranged and not server.matching("pytorch_model")
    assert all(request.sent <= FIRST_READ for request in ranged)
    assert not any("authorization" in request.headers for request in server.requests if request.origin == "cdn")
    assert not paths.hub_cache.exists()


def test_a_long_head_takes_a_second_range(server: LocalHub, paths: Paths) -> None:
    add_llama(server, padding=2 * FIRST_READ)
    hub = make_hub(paths)
    found = remote_tensors(hub, paths, hub.repository("org/llama"))
    assert found is not None and found.params == LINEAR + KEPT
    assert any(f"bytes={FIRST_READ}-" in request.headers.get("range", "") for request in server.requests)


def test_what_was_read_is_kept_by_commit_and_read_once(server: LocalHub, paths: Paths) -> None:
    commit = add_llama(server)
    hub = make_hub(paths)
    first = remote_tensors(hub, paths, hub.repository("org/llama"))
    asked = len(server.matching("safetensors"))
    assert remote_tensors(hub, paths, hub.repository("org/llama")) == first
    assert len(server.matching("safetensors")) == asked
    (kept,) = (paths.browse_cache / "tensors").iterdir()
    assert commit in kept.name
    kept.write_text("{broken")
    assert remote_tensors(hub, paths, hub.repository("org/llama")) == first
    server.add_repo("org/llama", {"model.safetensors": weights(llama(range(1), ends=True))})
    newer = remote_tensors(hub, paths, hub.repository("org/llama"))
    assert newer is not None and first is not None and newer.params < first.params


def test_a_repository_without_safetensors_has_nothing_to_read(server: LocalHub, paths: Paths) -> None:
    server.add_repo("org/old", {"pytorch_model.bin": Synthetic(5000)})
    hub = make_hub(paths)
    assert remote_tensors(hub, paths, hub.repository("org/old")) is None


@pytest.mark.parametrize(
    "content",
    [Synthetic(5000), b"short", struct.pack("<Q", 2**60) + b"{}", struct.pack("<Q", 4) + b"[1] tail"],
)
def test_a_file_that_is_no_safetensors_file_is_named(server: LocalHub, paths: Paths, content: Any) -> None:
    server.add_repo("org/odd", {"model.safetensors": content})
    hub = make_hub(paths)
    with pytest.raises(BuildBrokenError, match=r"model\.safetensors of org/odd"):
        remote_tensors(hub, paths, hub.repository("org/odd"))


def test_a_gated_repository_refuses(server: LocalHub, paths: Paths) -> None:
    add_llama(server, gated="manual")
    hub = make_hub(paths)
    with pytest.raises(NotAllowedError, match="org/llama"):
        remote_tensors(hub, paths, hub.repository("org/llama"))
    assert not (paths.browse_cache / "tensors").exists()


def test_a_silent_server_ends_by_the_deadline(server: LocalHub, paths: Paths) -> None:
    add_llama(server)
    hub = make_hub(paths, seconds=1.0)
    repository = hub.repository("org/llama")
    server.fault("safetensors|cdn", "hang")
    started = time.monotonic()
    with pytest.raises(HubUnreachableError, match="within 1 s"):
        remote_tensors(hub, paths, repository)
    assert time.monotonic() - started < patient(5)


def test_a_server_without_ranges_is_told_apart_from_wrong_bytes(server: LocalHub, paths: Paths) -> None:
    add_llama(server, padding=2 * FIRST_READ)
    hub = make_hub(paths)
    repository = hub.repository("org/llama")
    server.fault("safetensors|cdn", "norange")
    with pytest.raises(HubUnreachableError, match="parts of files"):
        remote_tensors(hub, paths, repository)


def test_the_estimate_uses_exact_weights(server: LocalHub, paths: Paths) -> None:
    add_llama(server)
    hub = make_hub(paths)
    tensors = remote_tensors(hub, paths, hub.repository("org/llama"))
    shape = Shape("LlamaForCausalLM", LAYERS, hidden_size=HIDDEN, attention_heads=4, kv_heads=2, dtype="bfloat16")
    wrong = Model("org/llama", "llama", "org/llama", params=1, shape=replace(shape, vocab_size=7), context_length=2048)
    model = replace(wrong, tensors=tensors)
    published = estimate(model)
    assert published.weights == 2 * (LINEAR + KEPT)
    assert any("exact" in note for note in published.notes)
    assert estimate(wrong).weights != published.weights
    gptq = estimate(model, "gptq-4bit")
    groups = LINEAR // 128
    inputs = LAYERS * (6 * HIDDEN + WIDE)
    assert gptq.weights == LINEAR // 2 + 2 * groups + round(groups * 4 / 8) + 4 * inputs + 2 * KEPT
    job = quantize_estimate(model, Recipe())
    assert dict(job.terms)["Hessian of the widest layer and its inverse"] == 8 * WIDE**2


def test_quantized_files_have_bytes_but_no_split() -> None:
    table = {
        "model.layers.0.mlp.up_proj.qweight": {"dtype": "I32", "shape": [8, 16], "data_offsets": [0, 512]},
        "model.embed_tokens.weight": {"dtype": "F16", "shape": [10, 16], "data_offsets": [512, 832]},
    }
    found = tensors_of([table])
    assert (found.bytes, found.linear, found.head_apart) == (832, 0, False)
    assert estimate(Model("q", "q", quantization="gptq-4bit", tensors=found)).weights == 832


def test_routers_and_embeddings_are_not_linear_layers_but_stacked_experts_are() -> None:
    def entry(*shape: int) -> dict[str, Any]:
        return {"dtype": "BF16", "shape": list(shape), "data_offsets": [0, 0]}

    names = {
        "model.layers.0.mlp.gate.weight": entry(4, 64),
        "model.layers.0.mlp.experts.gate_up_proj": entry(4, 128, 64),
        "transformer.wte.weight": entry(100, 64),
        "model.layers.0.self_attn.q_norm.weight": entry(64),
    }
    found = tensors_of([names])
    assert (found.linear, found.inputs, found.outputs) == (4 * 128 * 64, 4 * 64, 4 * 128)


def test_kept_facts_are_checked() -> None:
    facts = json.loads(json.dumps(tensors_facts(Tensors((("BF16", 4),), 2, commit="ab"))))
    assert read_tensors(facts) == Tensors((("BF16", 4),), 2, commit="ab")
    for broken in (None, [], {}, facts | {"params": -1}, facts | {"bytes_by_dtype": 3}, facts | {"files": "x"}):
        assert read_tensors(broken) is None


def test_the_split_read_off_tensors_is_the_one_solved_from_the_count(paths: Paths) -> None:
    """Two independent ways to the same numbers, on the starter's own file."""
    starter = next(model for model in load_catalog(paths).models if model.source == "starter")
    header = read_safetensors_header(Path(starter.repo) / "model.safetensors")
    solved = split_parameters(starter)
    assert solved is not None and solved.exact
    assert split_parameters(replace(starter, tensors=tensors_of([header.tensors]))) == solved
