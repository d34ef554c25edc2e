"""Which servers of the protocol run on this machine, what they are, and which models they offer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from tui.chat.client import ChatClient
from tui.chat.endpoint import Endpoint
from tui.chat.endpoint_errors import refusal
from tui.chat.providers import LOCAL_SERVERS, local_server
from tui.errors import EndpointError
from tui.plain_text import clean_line

PROBE_SECONDS = 1.5
_TELLTALE = (
    ("ollama", "/api/version", "version"),
    ("lmstudio", "/api/v0/models", "data"),
    ("llama-server", "/props", "default_generation_settings"),
    ("textgen", "/v1/internal/model/info", "model_name"),
    ("transformers", "/openapi.json", "paths"),
)
"""Paths that only one kind of server has, and a key of what it answers there."""


@dataclass(frozen=True, slots=True)
class Served:
    """One model of a server. ``context`` counts tokens; ``loaded`` is None where the server does not tell."""

    id: str
    context: int | None = None
    loaded: bool | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers: ``kind`` as in ``providers`` ("" for an unknown one)."""

    kind: str
    base_url: str
    models: tuple[Served, ...]
    version: str = ""

    @property
    def name(self) -> str:
        """What people call it."""
        return local_server(self.kind).name

    def endpoint(self, model: str = "") -> Endpoint:
        """The endpoint of one of its models, the first one without a name."""
        served = next((one for one in self.models if one.id == model), self.models[0] if self.models else None)
        found = Endpoint(self.base_url, self.base_url, model or (served.id if served else ""), kind=self.kind)
        return replace(found, local=found.is_loopback, context=served.context if served else None)


def probe(endpoint: Endpoint, timeout: float = PROBE_SECONDS) -> Running:
    """Ask a server what it is and what it offers; raises ``EndpointError`` when it does not answer or refuses."""
    client = ChatClient(endpoint, connect_timeout=timeout, read_timeout=timeout)
    head, body = client.fetch(endpoint.url("models"))
    if head.status != 200:
        raise refusal(endpoint, head.status, head.headers, body)
    rows = _rows(_object(body))
    if endpoint.provider is not None:
        return Running("", endpoint.base_url, tuple(_served(row) for row in rows))
    owners = {str(row.get("owned_by")) for row in rows}
    kind = next((name for name in ("heft", "vllm") if name in owners), "")
    told: Mapping[str, Any] = {}
    if not kind:
        kind, told = _told(client, endpoint)
    served = tuple(_served(row) for row in rows)
    return _with_more(
        client, Running(kind, endpoint.base_url, served, clean_line(str(told.get("version") or ""))), told
    )


def known_endpoint(endpoint: Endpoint) -> Endpoint:
    """``endpoint`` with what its server tells of itself and of the model; as it is for hosts of ours and commercial
    APIs, which need not be asked, and where nobody answers, which the first question will say."""
    if endpoint.socket or endpoint.provider is not None:
        return endpoint
    try:
        found = probe(endpoint)
    except EndpointError:
        return endpoint
    served = found.endpoint(endpoint.model)
    return replace(endpoint, kind=found.kind, model=served.model, context=served.context or endpoint.context)


def addresses(environment: Mapping[str, str] | None = None) -> list[str]:
    """Base URLs at which local servers are looked for: the usual ones, and ``OLLAMA_HOST``."""
    env = os.environ if environment is None else environment
    found = [server.base_url for server in LOCAL_SERVERS if server.base_url]
    host = env.get("OLLAMA_HOST", "").strip()
    if host:
        host = host if "://" in host else f"http://{host}"
        scheme, _, rest = host.partition("://")
        name = rest.rstrip("/")
        port = "" if ":" in name.rpartition("]")[2] else ":11434"
        found.insert(0, f"{scheme}://{name.replace('0.0.0.0', '127.0.0.1')}{port}/v1")
    return list(dict.fromkeys(found))


def find_running(urls: Iterable[str] | None = None, timeout: float = PROBE_SECONDS) -> list[Running]:
    """The servers that answer at ``urls`` (by default the usual addresses of this machine); takes about ``timeout``."""
    wanted = list(addresses() if urls is None else urls)

    def look(url: str) -> Running | None:
        try:
            return probe(Endpoint(url, url), timeout)
        except EndpointError:
            return None

    with ThreadPoolExecutor(max_workers=max(1, len(wanted))) as pool:
        return [found for found in pool.map(look, wanted) if found is not None]


def _told(client: ChatClient, endpoint: Endpoint) -> tuple[str, Mapping[str, Any]]:
    for kind, path, key in _TELLTALE:
        value = _get(client, f"{endpoint.root}{path}")
        if key in value and _is_really(kind, value):
            return kind, value
    return "", {}


def _is_really(kind: str, value: Mapping[str, Any]) -> bool:
    """Tell a server from others that answer at the same path."""
    if kind == "lmstudio":
        return any("state" in row for row in _rows(value))
    return kind != "transformers" or "/load_model" in value["paths"]


def _with_more(client: ChatClient, running: Running, told: Mapping[str, Any]) -> Running:
    """What the protocol does not tell: contexts, sizes, and which models are in memory."""
    more: dict[str, Served] = {}
    if running.kind == "lmstudio":
        for row in _rows(told):
            context = _number(row, "loaded_context_length") or _number(row, "max_context_length")
            more[str(row.get("id"))] = Served("", context, row.get("state") == "loaded")
    elif running.kind == "llama-server":
        settings = told.get("default_generation_settings")
        context = _number(settings, "n_ctx") if isinstance(settings, dict) else None
        more = {one.id: Served("", context, True) for one in running.models}
    elif running.kind == "ollama":
        root = client.endpoint.root
        loaded = {str(row.get("name")): row for row in _rows(_get(client, f"{root}/api/ps"))}
        for row in _rows(_get(client, f"{root}/api/tags")):
            name = str(row.get("name"))
            context = _number(loaded.get(name, {}), "context_length")
            more[name] = Served("", context, name in loaded, _number(row, "size"))
    models = []
    for one in running.models:
        extra = more.get(one.id, Served(""))
        models.append(replace(one, context=extra.context or one.context, loaded=extra.loaded, bytes=extra.bytes))
    return replace(running, models=tuple(models))


def _served(row: Mapping[str, Any]) -> Served:
    meta = row.get("meta")
    context = _number(row, "max_model_len") or _number(row, "context_length")
    if context is None and isinstance(meta, dict):
        context = _number(meta, "n_ctx") or _number(meta, "n_ctx_train")
    return Served(clean_line(str(row.get("id") or row.get("name"))).removeprefix("models/"), context)


def _get(client: ChatClient, url: str) -> dict[str, Any]:
    try:
        head, body = client.fetch(url)
    except EndpointError:
        return {}
    return _object(body) if head.status == 200 else {}


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = value.get("data") or value.get("models") or []
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _number(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
