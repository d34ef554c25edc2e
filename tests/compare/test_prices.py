"""Prices: the user's own first, then genai-prices with its tiers, then the catalog; sums are exact."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.compare.panels import build, endpoint
from tui.catalog.model import Api, Model
from tui.chat.cost import cost_of
from tui.compare.prices import price_of
from tui.paths import Paths
from tui.settings import CompareSettings, Settings, settings_from_table
from tui.workbench import Workbench

HAIKU = endpoint("claude-haiku-5-5", "https://api.anthropic.com/v1/", catalog="claude-haiku-5-5")


def none(name: str) -> Model | None:
    return None


def test_the_users_own_price_wins_and_is_exact() -> None:
    settings = settings_from_table({"prices": {"lab": {"input": 0.075, "output": 0.3, "date": "2026-11-01"}}})
    assert settings.problems == ()
    price = price_of(endpoint("lab", "https://lab.example/v1"), settings, none)
    assert price.cost(13, 7) == 13 * 75 + 7 * 300
    assert price.facts() == {"source": "config.toml", "date": "2026-11-01", "input": 0.075, "output": 0.3}


def test_a_price_needs_both_numbers() -> None:
    assert "needs input and output" in settings_from_table({"prices": {"x": {"input": 1}}}).problems[0]


def test_genai_prices_knows_cached_tokens() -> None:
    price = price_of(replace(HAIKU, model="claude-haiku-5-5"), Settings(), none)
    assert price.source.startswith("genai-prices")
    whole, cached = price.cost(1000, 100), price.cost(1000, 100, 800)
    assert whole is not None and cached is not None and 0 < cached < whole


def test_a_price_in_the_users_own_models_file_goes_before_the_library() -> None:
    api = Api("anthropic", "claude-haiku-5-5", "https://api.anthropic.com/v1/", price_in=7.0, price_out=9.0)
    row = Model("claude-haiku-5-5", "own", api=api, source="user")
    price = price_of(replace(HAIKU, model="claude-haiku-5-5"), Settings(), lambda name: row)
    assert price.source == "models.toml" and price.cost(1, 1) == 16_000


def test_the_catalog_is_asked_last_and_an_unknown_price_is_none() -> None:
    row = Model("odd", "Odd", api=Api("odd", "odd-1", "https://odd.example/v1", price_in=1.0, price_out=2.0))
    odd = endpoint("odd", "https://odd.example/v1", catalog="odd")
    assert price_of(odd, Settings(), lambda name: row).cost(10, 10) == 30_000
    assert price_of(odd, Settings(), none).cost(10, 10) is None


LAB = "https://lab.example/v1"
OPENAI = "https://api.openai.com/v1"
GROQ = "https://api.groq.com/openai/v1"
ENDPOINTS = {
    "lab": (LAB, "m"),
    "own": (OPENAI, "gpt-mine"),
    "listed": (OPENAI, "gpt-4o"),
    "fast": (GROQ, "llama-3.3-70b-versatile"),
    "ours": (OPENAI, "gpt-new"),
    "here": ("http://127.0.0.1:9/v1", "m"),
    "free": ("http://127.0.0.1:9/v1", "n"),
}
PRICES = {"lab": (1, 2), "lab:big": (3, 4), "m": (5, 6)}
ROWS = """
[[model]]
id = "gpt-new"
name = "New"
kind = "chat"
open = false
[model.api]
provider = "openai"
model_id = "gpt-new"
base_url = "https://api.openai.com/v1"
price_in = 7.0
price_out = 9.0
price_date = "2026-11"
"""


@pytest.mark.parametrize(
    ("ref", "source"),
    [
        ("lab", "config.toml"),
        ("lab:big", "config.toml"),
        ("lab:m", "config.toml"),
        ("here", "config.toml"),
        ("own", "unknown"),
        ("listed", "genai-prices"),
        ("fast", "genai-prices"),
        ("ours", "models.toml"),
        ("listed:gpt-new", "models.toml"),
        (f"{LAB}#m", "config.toml"),
        ("free", "local"),
        ("command-a-03-2025", "genai-prices"),
    ],
)
def test_a_chat_and_a_trial_have_one_price(
    ref: str, source: str, paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COHERE_API_KEY", "k")
    table = [f'[endpoints.{name}]\nbase_url = "{url}"\nmodel = "{model}"' for name, (url, model) in ENDPOINTS.items()]
    table += [f'[prices."{name}"]\ninput = {each[0]}\noutput = {each[1]}' for name, each in PRICES.items()]
    paths.settings_file.write_text("\n".join(table), encoding="utf-8")
    paths.user_models_file.write_text(ROWS, encoding="utf-8")
    bench = Workbench(paths)
    name, _, model = ref.partition("#") if "://" in ref else ref.partition(":")
    usage = {"prompt_tokens": 1234, "completion_tokens": 567, "prompt_tokens_details": {"cached_tokens": 1000}}
    chat = cost_of(bench.endpoint(name, model), usage)
    price = bench.trials().price(bench.trials().contestant(ref))
    assert price.source.startswith(source)
    billed = price.cost(1234, 567, 1000)
    assert (None if chat is None else round(chat.dollars * 1e9)) == (None if source == "local" else billed)
    bench.close()


def test_local_models_cost_what_the_hour_costs() -> None:
    assert price_of(build("b"), Settings(), none).cost(1000, 1000, seconds=60) == 0
    paid = Settings(compare=CompareSettings(gpu_hour=3.6))
    assert price_of(build("b"), paid, none).cost(1000, 1000, seconds=2.5) == 2_500_000
    assert price_of(endpoint("near"), Settings(), none).cost(5, 5) == 0  # a server on this machine bills nobody
