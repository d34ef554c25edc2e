"""The one definition of perplexity: which tokens are scored, how often, and with what before them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tui.starter import heldout_text, starter_folder
from tui.workers.perplexity import Window, batches, choose, perplexity, windows


@pytest.mark.parametrize("tokens", [0, 1, 2, 7, 8, 9, 31, 100])
@pytest.mark.parametrize("length", [2, 3, 8, 64])
def test_every_token_but_the_first_is_scored_once(tokens: int, length: int) -> None:
    found = list(windows(range(tokens), length))
    scored = [token for window in found for token in window.ids[window.first :]]
    assert scored == list(range(1, tokens))
    assert all(len(window.ids) <= length for window in found)


def test_a_later_token_sees_at_least_half_a_context() -> None:
    assert all(window.first >= 32 for window in list(windows(range(1000), 64))[1:])


def test_batches_hold_every_window_once_and_stay_small() -> None:
    found = [Window(tuple(range(n)), 1) for n in (3, 60, 5, 64, 2, 30, 30, 4)]
    groups = list(batches(found, 64))
    assert sorted((w for group in groups for w in group), key=id) == sorted(found, key=id)
    assert all(len(group[0].ids) * len(group) <= 64 for group in groups)


def test_the_choice_of_rows_is_spread_and_bounded() -> None:
    rows = [[n] * 10 for n in range(100)]
    chosen = choose(rows, 200)
    assert sum(map(len, chosen)) <= 200
    assert len(chosen) == 20
    assert chosen[-1][0] > 80
    assert choose(rows, 2000) == rows
    assert choose([[1] * 500], 100) == [[1] * 100]


@pytest.fixture(scope="module")
def starter() -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(starter_folder(), dtype=torch.float32).eval()
    return model, AutoTokenizer.from_pretrained(starter_folder())


def test_it_is_the_mean_over_tokens_that_one_text_after_the_other_gives(starter: tuple[Any, Any]) -> None:
    import torch

    model, tokenizer = starter
    texts = heldout_text()[:12]
    loss, count = 0.0, 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
        with torch.inference_mode():
            loss += float(model(input_ids=ids, labels=ids).loss) * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    found = perplexity(model, tokenizer, texts, context=1024)
    assert found.tokens == count
    assert found.value == pytest.approx(math.exp(loss / count), rel=1e-4)


def test_the_starter_was_trained(starter: tuple[Any, Any]) -> None:
    assert perplexity(*starter, heldout_text()[:50], context=1024).value < 20


def test_a_text_without_a_token_to_score_has_no_perplexity(starter: tuple[Any, Any]) -> None:
    found = perplexity(*starter, [""], context=1024)
    assert math.isnan(found.value) and found.tokens == 0


def test_progress_is_told_and_may_stop_it(starter: tuple[Any, Any]) -> None:
    def stop(tokens: int) -> None:
        raise InterruptedError(tokens)

    with pytest.raises(InterruptedError):
        perplexity(*starter, heldout_text()[:5], context=1024, step=stop)
