from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import keyring
import pytest
from keyring.backend import KeyringBackend

from tui.catalog.model import Api, Model
from tui.chat.cost import cost_of
from tui.chat.endpoint import Endpoint
from tui.chat.keys import find_key, keep_key, need_key
from tui.chat.providers import PROVIDERS, provider_of
from tui.chat.resolve import api_endpoint, named_model, priced_endpoint
from tui.errors import EndpointError, NotAllowedError
from tui.settings import PriceSettings

USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 1_000_000}
OPENAI = Endpoint("gpt-4o", "https://api.openai.com/v1", "gpt-4o")


def test_prices_know_tiers_and_cached_prompts() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    plain = cost_of(OPENAI, USAGE, at)
    cached = cost_of(OPENAI, {**USAGE, "prompt_tokens_details": {"cached_tokens": 1_000_000}}, at)
    assert plain is not None and cached is not None and plain.source == "genai-prices"
    assert plain.dollars == pytest.approx(12.5) and cached.dollars == pytest.approx(11.25)


def test_the_users_own_price_goes_first_and_the_catalogs_stands_in() -> None:
    own = Endpoint("x", "https://api.openai.com/v1", "gpt-4o", price_in=1.0, price_out=1.0, own_price=True)
    unknown = Endpoint("x", "https://api.openai.com/v1", "no-such-model", price_in=1.0, price_out=2.0)
    first, second = cost_of(own, USAGE), cost_of(unknown, USAGE)
    assert first is not None and (first.source, first.dollars) == ("yours", 2.0)
    assert second is not None and (second.source, second.dollars) == ("catalog", 3.0)


def test_a_price_of_the_settings_holds_for_an_endpoint_by_its_name() -> None:
    lab = priced_endpoint(Endpoint("lab", "http://lab:8000/v1", "m"), {"lab": PriceSettings(1.0, 2.0)})
    cost = cost_of(lab, USAGE)
    assert cost is not None and (cost.dollars, cost.source) == (3.0, "yours")
    assert priced_endpoint(Endpoint("x", "http://x/v1", "m"), {"lab": PriceSettings(1.0, 2.0)}).price_in is None


def test_what_is_not_counted_or_runs_here_has_no_cost() -> None:
    assert cost_of(OPENAI, {"completion_tokens": 5}) is None
    assert cost_of(Endpoint("h", "unix:/x", "gpt-4o", local=True, price_in=1, price_out=1), USAGE) is None
    estimated = cost_of(OPENAI, {**USAGE, "estimated": True})
    assert estimated is not None and estimated.estimated


def test_a_domain_that_only_looks_like_a_providers_is_none() -> None:
    assert provider_of("api.openai.com") is PROVIDERS[0]
    assert provider_of("openai.com.evil.example") is None and provider_of("notopenai.com") is None


class Memory(KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        del self.kept[service, username]


@pytest.fixture
def memory() -> Iterator[Memory]:
    before, backend = keyring.get_keyring(), Memory()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


def test_the_environment_goes_before_the_keyring(memory: Memory) -> None:
    keep_key("LAB_KEY", "from-keyring")
    assert find_key("LAB_KEY", {}) == "from-keyring"
    assert find_key("LAB_KEY", {"LAB_KEY": "from-environment"}) == "from-environment"
    keep_key("LAB_KEY", "")
    assert find_key("LAB_KEY", {}) == ""
    with pytest.raises(NotAllowedError, match="LAB_KEY"):
        need_key("LAB_KEY", "lab", {})


def retired() -> Model:
    api = Api("openai", "gpt-4", "https://api.openai.com/v1", retired=True, replacement="gpt-6-luna")
    return Model(id="gpt-4", name="GPT-4", open=False, api=api)


def test_a_retired_model_is_refused_with_its_replacement_however_it_is_named() -> None:
    for ask in (
        lambda: api_endpoint(retired(), {}),
        lambda: named_model(Endpoint("mine", "https://api.openai.com/v1"), "gpt-4", [retired()]),
    ):
        with pytest.raises(EndpointError, match="retired") as caught:
            ask()
        assert "gpt-6-luna" in caught.value.summary + caught.value.hint
    elsewhere = named_model(Endpoint("mine", "http://localhost:1/v1"), "gpt-4", [retired()])
    assert elsewhere.model == "gpt-4", "another server may have a model of that name"
