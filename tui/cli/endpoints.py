"""``heft endpoints``: who can answer besides the hosts of Heft, and the keys of those who want one."""

from __future__ import annotations

import getpass
import sys
from argparse import Namespace
from typing import Any

from tui.chat.keys import find_key, keep_key
from tui.chat.probe import Running, Served, probe
from tui.chat.providers import CHECKED, PROVIDERS
from tui.cli.output import Output
from tui.errors import UsageError
from tui.quantities import bytes_text
from tui.workbench import Workbench


def list_endpoints(arguments: Namespace, output: Output) -> int:
    """Servers that run on this machine, configured endpoints and commercial APIs."""
    bench = Workbench()
    running = bench.servers()
    rows = [_server(one) for one in running]
    rows += [_configured(one.name, one.base_url, one.model, one.key_env) for one in bench.settings.endpoints]
    for provider in PROVIDERS:
        row = _configured(provider.name, provider.base_url, "", provider.key_env)
        rows.append({**row, "kind": "api", "caution": provider.caution, "checked": CHECKED})
    output.document(rows)
    shown = [[row["name"], row["base_url"], row["state"], row.get("caution", "")] for row in rows]
    output.table(["name", "base URL", "state", "caution"], shown, "")
    return 0


def models(arguments: Namespace, output: Output) -> int:
    """The models of one endpoint: a name of ``config.toml``, a URL, or a provider."""
    bench = Workbench()
    provider = next((one for one in PROVIDERS if arguments.endpoint.lower() in (one.id, one.name.lower())), None)
    endpoint = bench.provider_endpoint(provider) if provider else bench.endpoint(arguments.endpoint)
    found = probe(endpoint, timeout=15.0)
    output.document(
        [{"id": one.id, "context": one.context, "loaded": one.loaded, "bytes": one.bytes} for one in found.models]
    )
    rows = [_model_row(one) for one in found.models]
    output.table(["model", ">context", ">size", ""], rows, f"{arguments.endpoint} offers no model")
    return 0


def pull(arguments: Namespace, output: Output) -> int:
    """Let an Ollama pull a model."""
    for pulled in Workbench().pull_with_ollama(arguments.url, arguments.model):
        output.document({"status": pulled.status, "done": pulled.done, "total": pulled.total, "rate": pulled.rate})
        share = f" {pulled.done / pulled.total:.0%}" if pulled.total else ""
        output.status(f"{pulled.status}{share}")
    output.status("")
    output.note(f"{arguments.model} is here; heft chat {arguments.url} --model {arguments.model}")
    return 0


def unload(arguments: Namespace, output: Output) -> int:
    """Take a model out of an Ollama's memory."""
    Workbench().unload_from_ollama(arguments.url, arguments.model)
    output.document({"model": arguments.model, "loaded": False})
    output.note(f"{arguments.model} is not in memory any more")
    return 0


def key(arguments: Namespace, output: Output) -> int:
    """Keep a key in the keyring, or take it out; it is typed or read from stdin, never an argument."""
    if arguments.forget:
        keep_key(arguments.variable, "")
    else:
        typed = getpass.getpass(f"{arguments.variable}: ") if sys.stdin.isatty() else sys.stdin.readline()
        if not typed.strip():
            raise UsageError("no key came", f"heft endpoints key {arguments.variable} < file")
        keep_key(arguments.variable, typed.strip())
    output.document({"variable": arguments.variable, "kept": not arguments.forget})
    output.note(f"{arguments.variable} is {'forgotten' if arguments.forget else 'in the keyring'}")
    return 0


def _server(running: Running) -> dict[str, Any]:
    names = [model.id for model in running.models]
    return {
        "name": running.name,
        "kind": running.kind or "server",
        "base_url": running.base_url,
        "version": running.version,
        "models": names,
        "state": f"runs, {len(names)} model{'s' if len(names) != 1 else ''}",
    }


def _configured(name: str, base_url: str, model: str, variable: str) -> dict[str, Any]:
    has_key = bool(find_key(variable)) if variable else None
    state = "no key needed" if has_key is None else "key found" if has_key else f"set {variable}"
    return {
        "name": name,
        "kind": "configured",
        "base_url": base_url,
        "models": [model] if model else [],
        "key_env": variable,
        "has_key": has_key,
        "state": state,
    }


def _model_row(model: Served) -> list[str]:
    context = f"{model.context:,}" if model.context else ""
    size = bytes_text(model.bytes) if model.bytes else ""
    return [model.id, context, size, "loaded" if model.loaded else ""]
