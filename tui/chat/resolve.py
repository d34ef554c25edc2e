"""From a name to an endpoint: a host of ours, an endpoint that the user configured, an API model or a URL.

Keys are looked up here, at the last moment, and go into the endpoint of their own origin alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tui.catalog.model import Model
from tui.chat.endpoint import Endpoint
from tui.chat.keys import need_key
from tui.errors import EndpointError
from tui.settings import EndpointSettings, PriceSettings


def host_endpoint(result: Mapping[str, Any]) -> Endpoint:
    """The endpoint of a ready serve job, from the result that its worker left."""
    name = str(result.get("build") or result.get("model") or "host")
    model = str(result.get("model") or name)
    context = result.get("context")
    return Endpoint(
        name=name,
        base_url=str(result["base_url"]),
        model=model,
        local=True,
        kind="heft",
        context=context if isinstance(context, int) else None,
        has_template=result.get("chat_template") is not False,
    )


def configured_endpoint(settings: EndpointSettings, environment: Mapping[str, str] | None = None) -> Endpoint:
    """An endpoint of ``config.toml``; raises ``NotAllowedError`` when its key is named but found nowhere."""
    key = need_key(settings.key_env, settings.name, environment)
    endpoint = Endpoint(name=settings.name, base_url=settings.base_url, model=settings.model, api_key=key)
    return replace(endpoint, local=endpoint.is_loopback)


def api_endpoint(model: Model, environment: Mapping[str, str] | None = None) -> Endpoint:
    """The endpoint of an API row of the catalog; a retired one is refused with its replacement."""
    api = model.api
    if api is None or not api.base_url or not api.openai_compatible:
        raise EndpointError(f"{model.id} has no endpoint that Heft can speak to", model.unusable_because)
    if model.unusable_because:
        hint = f"heft chat {api.replacement}" if api.replacement else ""
        raise EndpointError(f"{model.id} cannot be used: {model.unusable_because}", hint)
    key = need_key(api.key_env, model.name, environment)
    endpoint = Endpoint(
        name=model.id, base_url=api.base_url, model=api.model_id, api_key=key, context=model.context_length
    )
    return priced_by_row(endpoint, model)


def named_model(endpoint: Endpoint, model_id: str, models: Sequence[Model]) -> Endpoint:
    """``endpoint`` asking for ``model_id``; refused with the replacement when the catalog knows it as retired."""
    endpoint = replace(endpoint, model=model_id)
    for row in models:
        if row.api is not None and is_row_of(row, endpoint):
            if row.unusable_because:
                hint = f"heft chat {row.api.replacement}" if row.api.replacement else ""
                raise EndpointError(f"{row.id} cannot be used: {row.unusable_because}", hint)
            endpoint = replace(priced_by_row(endpoint, row), context=row.context_length)
    return endpoint


def priced_by_row(endpoint: Endpoint, row: Model) -> Endpoint:
    """``endpoint`` with the price of its row in the catalog, which is the user's own where the row is."""
    api, own = row.api, row.source == "user"
    if api is None or api.price_in is None or api.price_out is None:
        return endpoint
    return replace(
        endpoint,
        price_in=api.price_in,
        price_out=api.price_out,
        own_price=own,
        price_source="models.toml" if own else "the catalog",
        price_date=api.price_date,
    )


def is_row_of(row: Model, endpoint: Endpoint) -> bool:
    """Whether a row of the catalog is the model that ``endpoint`` is asked for, where it is asked."""
    api = row.api
    return api is not None and api.model_id == endpoint.model and _host(api.base_url) == endpoint.host


def priced_endpoint(endpoint: Endpoint, prices: Mapping[str, PriceSettings]) -> Endpoint:
    """``endpoint`` with the price that the user set in ``config.toml``: for this model at this endpoint ("lab:m"), for
    the endpoint, or for the model. A host of ours has no price per token."""
    names = (f"{endpoint.name}:{endpoint.model}", endpoint.name, endpoint.model)
    own = None if endpoint.socket else next((prices[name] for name in names if name in prices), None)
    if own is None:
        return endpoint
    return replace(
        endpoint,
        price_in=own.input,
        price_out=own.output,
        own_price=True,
        price_source="config.toml",
        price_date=own.date,
    )


def url_endpoint(url: str) -> Endpoint:
    """An endpoint by its base URL: ``unix:/path.sock`` or ``http(s)://host/v1``."""
    if url.startswith("unix:") and not Path(url.removeprefix("unix:")).exists():
        raise EndpointError(f"there is no socket at {url.removeprefix('unix:')}", "the host has ended; load it again")
    endpoint = Endpoint(name=url, base_url=url)
    return replace(endpoint, local=endpoint.is_loopback)


def _host(base_url: str) -> str:
    return Endpoint("", base_url).host
