"""The decode loop against ``model.generate``, token by token, and what the kept cache may and may not change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from tests.workers.tiny_models import tiny_model
from tui.starter import starter_folder
from tui.workers.host.cache_shelf import common_length
from tui.workers.host.decoding import Decoder
from tui.workers.host.engine import BrokenOff
from tui.workers.host.fp16_linear import is_supported, pack_linears
from tui.workers.host.module_pass import decoder_layers
from tui.workers.host.request import Sampling
from tui.workers.host.row_norms import RowNorms, row_norm
from tui.workers.host.sampling import Choice, Sampler, choice_for, luck, winner

GREEDY = Choice(temperature=0)
ARCHITECTURES = ["llama", "qwen2", "gpt2", "opt", "gpt_neox", "gemma2", "mistral", "qwen3", "rwkv"]


def prompt_of(length: int, seed: int = 0, size: int = 512) -> list[int]:
    import torch

    return torch.randint(5, size, (length,), generator=torch.Generator().manual_seed(seed)).tolist()


def generated(model: Any, prompt: Sequence[int], count: int) -> list[int]:
    import torch

    batch = torch.tensor([list(prompt)])
    with torch.inference_mode():
        out = model.generate(
            batch,
            attention_mask=torch.ones_like(batch),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
    return list(out[0, len(prompt) :].tolist())


def looped(decoder: Decoder, prompt: Sequence[int], count: int, choice: Choice = GREEDY) -> tuple[list[int], int]:
    """Tokens, and how many of the prompt's tokens were in the cache."""
    reads: list[int] = []
    found: list[int] = []
    for token in decoder.tokens(prompt, Sampler(choice, prompt), lambda: False, reads.append):
        found.append(token)
        if len(found) == count:
            break
    return found, reads[0]


@pytest.fixture(scope="module")
def starter() -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    return AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32).eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_greedy_tokens_are_those_of_generate(architecture: str) -> None:
    model = tiny_model(architecture)
    decoder = Decoder(model, 256)
    decoder.chunk = 16
    for seed, length in ((0, 1), (1, 16), (2, 50)):
        prompt = prompt_of(length, seed)
        expected = generated(model, prompt, 30)
        assert looped(decoder, prompt, 30)[0] == expected
        assert len(set(expected)) > 3, "a model that repeats itself proves nothing"


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_second_turn_with_the_kept_cache_gives_the_same_tokens(architecture: str) -> None:
    model = tiny_model(architecture)
    decoder = Decoder(model, 256)
    first = prompt_of(20, 3)
    answer, _ = looped(decoder, first, 15)
    for second in (first + answer + prompt_of(9, 4), first[:12] + prompt_of(30, 5), first, first[:5]):
        expected = generated(model, second, 12)
        assert looped(decoder, second, 12)[0] == expected


def test_the_kept_cache_spares_what_both_turns_share(starter: Any) -> None:
    decoder = Decoder(starter, 1024)
    first = prompt_of(40, 1)
    answer, cached = looped(decoder, first, 10)
    assert cached == 0
    _, cached = looped(decoder, first + answer + prompt_of(5, 2), 3)
    assert cached == 40 + 9, "all but the last token, which nobody had read yet"
    _, cached = looped(decoder, first[:30] + prompt_of(5, 3), 3)
    assert cached == 30
    _, cached = looped(decoder, first[:30], 1)
    assert cached == 29, "one token is read anew for its logits"
    _, cached = looped(decoder, prompt_of(5, 9), 1)
    assert cached == 0


def test_a_sliding_window_that_moved_on_is_read_anew() -> None:
    decoder = Decoder(tiny_model("mistral"), 256)
    first = prompt_of(40, 3)
    answer, _ = looped(decoder, first, 5)
    assert looped(decoder, first + answer + [7, 8], 2)[1] == 44, "nothing to cut: the cache goes on"
    assert looped(decoder, first[:30], 2)[1] == 0, "cut behind the window: everything is read again"


def test_the_starter_answers_as_with_generate_in_float32_and_with_packed_weights(starter: Any) -> None:
    import threading
    from copy import deepcopy

    prompt = [1, 4, *prompt_of(20, 1, 2048), 2, 5]
    expected = generated(starter, prompt, 40)
    assert looped(Decoder(starter, 1024), prompt, 40)[0] == expected
    if not is_supported():
        pytest.skip("this torch has no FBGEMM")
    packed = deepcopy(starter)
    done: list[tuple[int, int]] = []
    assert pack_linears(packed, threading.Event(), lambda *both: done.append(both)) == 6 * 7 + 1
    assert done[-1][0] == done[-1][1] > 0
    assert looped(Decoder(packed, 1024), prompt, 40)[0] == expected, "float16 weights lose nothing"


def test_weights_that_float16_cannot_hold_stay_as_they_are() -> None:
    import threading

    import torch

    if not is_supported():
        pytest.skip("this torch has no FBGEMM")
    model = torch.nn.Sequential(*(torch.nn.Linear(64, 64) for _ in range(4)))
    for layer, value in zip(model, (0.5, 1e-9, 1e5, 0.1), strict=True):
        torch.nn.init.constant_(layer.weight, value)
    assert pack_linears(model, threading.Event(), lambda *_: None) == 1
    assert [type(layer).__name__ for layer in model] == ["PackedLinear", "Linear", "Linear", "Linear"]


def test_the_tiniest_values_of_bfloat16_do_not_keep_a_layer_in_float32() -> None:
    import torch

    from tui.workers.host.linears import holds_in_float16, linear_of, packs

    if not packs():
        pytest.skip("this torch has no FBGEMM")
    layer = torch.nn.Linear(2048, 512, bias=False)
    noise = torch.Generator().manual_seed(0)
    layer.weight.data = (0.02 * torch.randn(512, 2048, generator=noise)).bfloat16()
    weight = layer.weight.data.float()
    assert not torch.equal(weight.half().float(), weight), "a matrix of this size has values that float16 rounds"
    assert holds_in_float16(weight)
    rows = torch.randn(8, 2048, generator=noise)
    exact = rows.double() @ weight.double().T
    lost = rows.double() @ (weight.half().double() - weight.double()).T
    with torch.inference_mode():
        packed, wide = (linear_of([layer], kind)(rows).double() for kind in ("float16", "float32"))
    assert lost.abs().max() < (wide - exact).abs().max() / 2, "less than float32 loses in summing"
    assert (packed - exact).abs().max() < 2e-5


@pytest.mark.parametrize(("family", "norms"), [("llama", 5), ("gemma2", 9), ("gpt2", 0)])
def test_norms_of_single_rows_are_those_of_the_model(family: str, norms: int) -> None:
    import torch

    model = tiny_model(family)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            torch.nn.init.normal_(module.weight, 1.0, 0.1)
    changed = RowNorms(model)
    assert len(changed) == norms
    batch = torch.tensor([[7]])
    with torch.inference_mode():
        right = model(batch).logits
        with changed.in_place():
            assert torch.allclose(model(batch).logits, right, atol=1e-5)
            several = model(batch.repeat(1, 3)).logits
        assert torch.equal(model(batch).logits, right), "it is as it was"
        assert torch.equal(model(batch.repeat(1, 3)).logits, several)


def test_norms_of_another_mathematics_stay() -> None:
    import torch

    class StrangeRMSNorm(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.eps = torch.nn.Parameter(torch.ones(8)), 1e-6

        def forward(self, rows: Any) -> Any:
            return torch.nn.functional.rms_norm(rows, (8,), self.weight, self.eps) + 0.01

    assert row_norm(StrangeRMSNorm()) is None


def test_breaking_off_between_two_layers_leaves_a_cache_that_is_true(starter: Any) -> None:
    decoder = Decoder(starter, 1024)
    assert len(decoder_layers(starter)) == 6
    first = prompt_of(40, 1)
    answer, _ = looped(decoder, first, 5)
    looks = 0

    def unwanted() -> bool:
        nonlocal looks
        looks += 1
        return looks == 4  # in the middle of the first pass

    longer = first + answer + prompt_of(60, 2)
    with pytest.raises(BrokenOff):
        list(decoder.tokens(longer, Sampler(GREEDY, longer), unwanted, lambda _: None))
    (cache,) = decoder.shelf.caches
    assert {layer.get_seq_length() for layer in cache.layers.layers} == {len(cache.ids)}
    tokens, cached = looped(decoder, longer, 10)
    assert cached == 44
    assert tokens == generated(starter, longer, 10)


def test_a_full_context_ends_the_answer(starter: Any) -> None:
    decoder = Decoder(starter, 64)
    prompt = prompt_of(50)
    found = list(decoder.tokens(prompt, Sampler(GREEDY, prompt), lambda: False, lambda _: None))
    assert len(found) == 64 - 50


def test_common_length() -> None:
    assert common_length([1, 2, 3], [1, 2, 4]) == 2
    assert common_length([], [1]) == 0
    assert common_length([1, 2], [1, 2, 3]) == 2


def draws(choice: dict[str, Any], logits: list[float], count: int = 2000) -> Counter[int]:
    import torch

    found: Counter[int] = Counter()
    for seed in range(count):
        found[Sampler(Choice(**{"seed": seed, **choice}), []).draw(torch.tensor(logits))] += 1
    return found


LOGITS = [2.0, 1.0, 0.0, -1.0]
SHARES = [0.6439, 0.2369, 0.0871, 0.0321]


def test_shares_follow_the_logits() -> None:
    found = draws({}, LOGITS)
    for token, share in enumerate(SHARES):
        assert abs(found[token] / 2000 - share) < 0.04


def test_top_k_top_p_and_min_p_leave_what_they_say() -> None:
    assert set(draws({"top_k": 2}, LOGITS, 300)) == {0, 1}
    assert set(draws({"top_p": 0.6}, LOGITS, 300)) == {0}
    assert set(draws({"top_p": 0.7}, LOGITS, 300)) == {0, 1}
    assert set(draws({"min_p": 0.3}, LOGITS, 300)) == {0, 1}
    assert set(draws({"top_p": 0.0}, LOGITS, 50)) == {0}, "one token is always left"
    # top_k comes first: of the two that are left, token 0 alone holds 0.73
    assert set(draws({"top_k": 2, "top_p": 0.7}, LOGITS, 300)) == {0}


def test_a_flat_distribution_over_a_large_vocabulary_is_not_cut_at_the_candidates() -> None:
    found = draws({"top_p": 0.9}, [0.0] * 1000, 1500)
    assert len(found) > 500


def test_temperature_sharpens() -> None:
    assert draws({"temperature": 0.05}, LOGITS, 300)[0] == 300
    assert draws({"temperature": 5.0}, LOGITS)[3] > 300


def test_penalties_and_bias_change_the_choice() -> None:
    import torch

    logits = torch.tensor([2.0, 1.9, 0.0, -1.0])
    assert Sampler(Choice(temperature=0, repetition_penalty=1.2), [0]).draw(logits) == 1
    assert Sampler(Choice(temperature=0, logit_bias={3: 50.0}), []).draw(logits) == 3
    assert Sampler(Choice(temperature=0, logit_bias={0: -100.0}), []).draw(logits) == 1
    for name in ("frequency_penalty", "presence_penalty"):
        sampler = Sampler(Choice(temperature=0, **{name: 0.5}), [0])
        assert [sampler.draw(logits), sampler.draw(logits)] == [0, 1], "counts what was written, not the prompt"


def test_a_seed_makes_an_answer_repeatable(starter: Any) -> None:
    decoder = Decoder(starter, 1024)
    prompt = prompt_of(20)

    def answer(seed: int) -> list[int]:
        return looped(decoder, prompt, 30, Choice(temperature=1.5, top_p=0.95, seed=seed))[0]

    assert answer(1) == answer(1)
    assert answer(1) != answer(2)
    assert answer(-1) == answer(-1), "a negative seed is a seed"


def test_an_answer_that_was_cut_goes_on_as_it_would_have(starter: Any) -> None:
    decoder = Decoder(starter, 1024)
    prompt, choice = prompt_of(20), Choice(temperature=1.5, top_p=0.95, seed=3)
    whole, _ = looped(decoder, prompt, 30, choice)
    assert looped(decoder, prompt + whole[:12], 18, choice)[0] == whole[12:]


def test_a_seeds_draw_does_not_depend_on_the_order_of_the_candidates() -> None:
    import numpy as np

    tokens = np.arange(100, 356)
    shares = np.linspace(2.0, 1.0, 256, dtype=np.float32)
    shares /= shares.sum()
    order = np.random.default_rng(0).permutation(256)
    drawn = [winner(shares, tokens, seed, place) for seed in (1, -2) for place in range(100)]
    shuffled = [winner(shares[order], tokens[order], seed, place) for seed in (1, -2) for place in range(100)]
    assert drawn == shuffled
    assert len(set(drawn)) > 100, "each place and seed has its own luck"
    # a change in the last bits changes the rank of neighbours, and all but never the token
    nearly = shares * (1 + np.random.default_rng(1).uniform(-1e-6, 1e-6, 256).astype(np.float32))
    rank = np.argsort(-nearly, kind="stable")
    assert [winner(nearly[rank], tokens[rank], seed, place) for seed in (1, -2) for place in range(100)] == drawn


def test_luck_is_spread_evenly_over_tokens_places_and_seeds() -> None:
    import numpy as np

    tokens = np.arange(50_000)
    rows = np.stack([luck(tokens, seed, place) for seed in (0, 1, 2**62) for place in range(4)])
    assert rows.min() > 0 and rows.max() < 1
    assert np.abs(np.quantile(rows, [0.1, 0.5, 0.9], axis=1) - [[0.1], [0.5], [0.9]]).max() < 0.01
    together = np.corrcoef(rows)
    assert np.abs(together - np.eye(len(rows))).max() < 0.02, "places and seeds do not echo each other"
    assert abs(np.corrcoef(rows[0][:-1], rows[0][1:])[0, 1]) < 0.02, "nor do neighbouring tokens"


def test_what_a_request_leaves_open_comes_from_the_models_own_defaults() -> None:
    from transformers import GenerationConfig

    sampling = GenerationConfig(do_sample=True, temperature=0.6, top_p=0.9, top_k=20, repetition_penalty=1.1)
    choice = choice_for(Sampling(), sampling)
    assert (choice.temperature, choice.top_p, choice.top_k, choice.repetition_penalty) == (0.6, 0.9, 20, 1.1)
    assert choice_for(Sampling(temperature=0.0, top_k=-1), sampling).top_k == 0
    assert choice_for(Sampling(), GenerationConfig(do_sample=False)).temperature == 0
    assert choice_for(Sampling(temperature=0.7), GenerationConfig(do_sample=False)).temperature == 0.7
    assert choice_for(Sampling(), None).temperature == 0
