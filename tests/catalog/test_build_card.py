"""The card that a build carries: what it cost, before and after, and no path of this machine."""

from __future__ import annotations

from dataclasses import asdict

from tui.catalog.build import Quality, Recipe
from tui.catalog.build_card import card_text

QUALITY = Quality(3.0, 3.3, 900, "t", 0.0123, 0.965, 900, 50.0, 20.5, 10**9, 6 * 10**8, 10**9, 3 * 10**8, 0.05)


def test_the_card_says_what_it_cost() -> None:
    facts = {
        "repo": "org/model",
        "revision": "abc",
        "recipe": asdict(Recipe(desc_act=True)),
        "quality": asdict(QUALITY),
    }
    text = card_text("model-4bit", facts | {"loader": "transformers", "versions": {"torch": "2.13.0"}})
    for part in (
        "base_model: org/model",
        "org/model at abc, quantized: GPTQ, 4 bits in groups of 128, activation order.",
        "| perplexity | 3 | 3.3 |",
        "| tokens per second | 50.0 | 20.5 |",
        "+10.00% perplexity over 900 tokens",
        "KL divergence 0.0123 nats; the same next token first at 96.5% of 900 positions.",
        "It lost more than 5% of its perplexity",
        "It loads with plain transformers.",
        "torch 2.13.0",
    ):
        assert part in text, part


def test_a_folder_of_this_machine_is_not_named() -> None:
    facts = {
        "repo": "/home/me/secret/model",
        "model": "heft-starter",
        "recipe": asdict(Recipe()),
        "loader": "gptqmodel",
    }
    text = card_text("x", facts)
    assert "/home" not in text and "base_model" not in text
    assert "heft-starter, quantized" in text and "Not measured yet." in text
    assert "`GPTQModel.load` (not plain transformers)" in text
