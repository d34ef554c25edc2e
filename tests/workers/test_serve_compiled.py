"""The compiled products and steps against torch and ``generate``, and hosts that have no compiler."""

from __future__ import annotations

import threading
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.workers.test_serve_decoding import generated, looped, prompt_of
from tests.workers.test_serve_fast import FAMILIES
from tests.workers.tiny_models import tiny_model
from tui.jobs.job import Kind
from tui.starter import starter_folder
from tui.workers.host import cpu_path as paths
from tui.workers.host.compiled import library
from tui.workers.host.compiled.products import LARGE, Product, product_of
from tui.workers.host.compiled.steps import CompiledSteps, compiled_steps
from tui.workers.host.decoding import Decoder
from tui.workers.host.fp16_linear import pack_linears
from tui.workers.host.loading import load
from tui.workers.host.taking_apart import take_apart
from tui.workers.reporter import Reporter


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    import torch

    torch.set_num_threads(1)
    reason = library.open_library(tmp_path_factory.mktemp("compiled"))
    if reason == library.NO_COMPILER:
        pytest.skip(reason)
    assert not reason, "a compiler is here, so step.c must compile"


def stepping(model: Any) -> Any:
    taken = take_apart(deepcopy(model), "compiled", lambda: False, lambda *_: None)
    taken.recorded = compiled_steps(taken)
    assert isinstance(taken.recorded, CompiledSteps)
    return taken


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize(("family", "more"), FAMILIES)
def test_compiled_steps_write_the_tokens_of_generate(family: str, more: dict[str, Any], dtype: str) -> None:
    import torch

    model = tiny_model(family, **more).to(getattr(torch, dtype))
    exact, decoder = deepcopy(model).float(), Decoder(stepping(model), 256)
    first = prompt_of(50, 2)
    expected = generated(exact, first, 30)
    assert looped(decoder, first, 30)[0] == expected
    for second in (first + expected + prompt_of(9, 4), first[:40] + prompt_of(7, 5), prompt_of(1, 0)):
        assert looped(decoder, second, 12)[0] == generated(exact, second, 12)


def test_several_threads_and_a_cache_that_grows_give_the_same_logits() -> None:
    import torch

    model = tiny_model("llama", max_position_embeddings=700).half()
    plain = take_apart(deepcopy(model), "float32", lambda: False, lambda *_: None)
    ours, ids = stepping(model), prompt_of(270, 3)
    caches = (plain.new_cache(), ours.new_cache())
    torch.set_num_threads(2)
    try:
        with torch.inference_mode():
            for each, cache in zip((plain, ours), caches, strict=True):
                each.read(ids[:250], cache, lambda: None)
            for token in ids[250:]:  # past 256 the cache moves
                found, right = (
                    each.read([token], cache, lambda: None)
                    for each, cache in zip((ours, plain), (caches[1], caches[0]), strict=True)
                )
                assert torch.allclose(found, right, atol=2e-4)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 3), (67, 70), (130, 1100), (2100, 1030), (1, 64), (67, 128), (33, 1152), (2100, 1024)]
)
def test_products_of_any_shape_are_those_of_torch(rows: int, columns: int) -> None:
    import torch

    layers = [torch.nn.Linear(columns, rows, bias=bias) for bias in (True, False)]
    for dtype in (torch.float16, torch.bfloat16, torch.float32):
        both = [deepcopy(layer).to(dtype) for layer in layers]
        product = product_of(both)
        assert isinstance(product, Product)
        assert (product.packed is not None) == (columns % 64 == 0 and dtype is not torch.float16)
        weight, bias = torch.cat([layer.weight for layer in both]).double(), torch.zeros(2 * rows).double()
        bias[:rows] = both[0].bias.double()
        for tokens in (0, 1, 2, 3, 5, 9):
            x = torch.randn(tokens, columns)
            assert torch.allclose(product(x).double(), x.double() @ weight.T + bias, atol=1e-4)
    assert LARGE < 2 * 2 * 2100 * 1024, "the largest ones lie on large pages"
    with pytest.raises(ValueError, match="does not fit"):
        product(torch.randn(2, columns + 1))


def read_back(product: Product) -> Any:
    """The weights [rows, columns], one column at a time and many at once; both ways read the same."""
    import torch

    single = torch.stack([product(row)[0] for row in torch.eye(product.columns).split(1)], 1)
    assert torch.equal(product(torch.eye(product.columns)).T, single)
    return single


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_threads_share_a_product_and_lose_no_row(dtype: str) -> None:
    import torch

    layer = torch.nn.Linear(64, 5003).to(getattr(torch, dtype))
    product, x = product_of([layer]), torch.randn(1, 64)
    assert product is not None
    alone = product(x)
    try:
        for threads in (2, 3, 7):
            torch.set_num_threads(threads)
            for _ in range(20):
                assert torch.equal(product(x), alone)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_packed_weights_are_the_checkpoints_bit_for_bit(dtype: str) -> None:
    import torch

    layer = torch.nn.Linear(256, 96, bias=False).to(getattr(torch, dtype))
    layer.weight.data.normal_(0, 0.02)
    layer.weight.data[3, 7], layer.weight.data[4, :2] = 1e30, 0.0
    layer.weight.data[95, 255], layer.weight.data[5, 64] = -3e-30, 1e-40  # other octaves, the last below normal
    product = product_of([layer])
    assert product is not None and product.packed is not None
    assert product.packed.blocks.numel() == 96 * 256 * {"bfloat16": 12, "float32": 28}[dtype] // 8
    assert 3 <= len(product.packed.others) < 96 * 256 // 256
    assert torch.equal(read_back(product), layer.weight.float())
    layer.weight.data = layer.weight.clamp(-1, 1) * 2.0 ** torch.randint(-60, 60, layer.weight.shape)
    scattered = product_of([layer])
    assert scattered is not None and scattered.packed is None, "too many octaves"
    assert torch.equal(read_back(scattered), layer.weight.float())


def test_weights_take_the_fewest_bits_that_hold_them() -> None:
    import torch

    layer = torch.nn.Linear(64, 64)
    exact = product_of([layer], shared=True)
    assert exact is not None and exact.weight.data_ptr() == layer.weight.data_ptr(), "not copied"
    x = torch.randn(1, 64)
    assert torch.allclose(exact(x), layer(x), atol=1e-6)
    both = product_of([layer, layer])
    assert both is not None and torch.allclose(both(x), torch.cat([layer(x), layer(x)], -1), atol=1e-6)
    layer.weight.data = layer.weight.half().float()
    halved = product_of([layer])
    assert halved is not None and halved.weight.dtype is torch.float16
    layer.weight.data = layer.weight.bfloat16().float()
    for stored in (layer, deepcopy(layer).half(), deepcopy(layer).bfloat16()):
        short = product_of([stored])
        assert short is not None and short.packed is not None and short.packed.blocks.numel() == 64 * 64 * 12 // 8
        assert torch.allclose(short(x), layer(x) - layer.bias + stored.bias.float(), atol=1e-6)
    mixed = [deepcopy(layer).half(), deepcopy(layer).bfloat16()]
    assert product_of(mixed) is None
    assert product_of([deepcopy(layer).double()]) is None


def test_other_models_keep_their_modules_and_their_tokens() -> None:
    for family, layers in (("gemma2", 11), ("opt", 13), ("gpt2", 9)):
        model = tiny_model(family).bfloat16()
        expected, packed = deepcopy(model).float(), model
        assert pack_linears(packed, threading.Event(), lambda *_: None, "compiled") == layers
        prompt = prompt_of(30, 2)
        assert looped(Decoder(packed, 256), prompt, 20)[0] == generated(expected, prompt, 20)


def test_a_model_of_another_gate_is_stepped_through_by_torch() -> None:
    model = take_apart(tiny_model("llama", hidden_act="gelu").half(), "compiled", lambda: False, lambda *_: None)
    assert compiled_steps(model) is None


def test_a_host_takes_the_step_where_it_is_the_fastest(
    reporter: Callable[..., Reporter], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "per_token", lambda kind, *_: 1.0 if kind == "compiled" else 2.0)
    loaded = load(reporter(Kind.SERVE, {}), starter_folder(), None)
    assert isinstance(loaded.model.recorded, CompiledSteps)
    assert loaded.model.embedding.data_ptr() == loaded.model.head.weight.data_ptr(), "one copy is enough"


def test_without_a_compiler_there_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_loaded", [])
    broken = tmp_path / "bin"
    broken.mkdir()
    monkeypatch.setenv("PATH", str(broken))
    assert library.open_library(tmp_path) == "no C compiler"
    (broken / "cc").write_text("#!/bin/sh\necho 'step.c:1: error: no such instruction' >&2\nexit 1\n")
    (broken / "cc").chmod(0o755)
    assert library.open_library(tmp_path) == "step.c was not compiled: step.c:1: error: no such instruction"
    assert library.loaded() is None and not list(tmp_path.glob("step-*"))
