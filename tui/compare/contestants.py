"""From a name to a contestant: a build on this disk, a configured endpoint, an API model of the catalog, or a URL.

Keys never stand in a contestant: it names the variable that holds one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from tui.catalog.build import Build
from tui.catalog.model import Model
from tui.chat.endpoint import Endpoint
from tui.compare.trial import LEAST, MOST, Contestant
from tui.errors import BuildBrokenError, EndpointError, NotAllowedError, NotFoundError, UsageError
from tui.settings import EndpointSettings


def build_contestant(build: Build, ref: str = "") -> Contestant:
    """Weights on this disk; raises ``BuildBrokenError`` when they are not whole."""
    if build.problem:
        raise BuildBrokenError(
            f"{build.id} cannot be loaded: {build.problem}", f"heft rm {build.id}, then get it again"
        )
    return Contestant(
        name=build.id,
        ref=ref or build.id,
        kind="build",
        model=build.model or build.repo or build.id,
        build=build.id,
        path=str(build.path),
        revision=build.revision,
        precision=build.precision,
        recipe=asdict(build.recipe) if build.recipe else None,
        quality=asdict(build.quality) if build.quality else None,
        template=template_hash(build.path),
    )


def endpoint_contestant(settings: EndpointSettings, model: str = "") -> Contestant:
    """An endpoint of ``config.toml``, asked for its own model or for ``model``."""
    name = f"{settings.name}:{model}" if model else settings.name
    return Contestant(
        name=name,
        ref=name,
        kind="endpoint",
        model=model or settings.model,
        base_url=settings.base_url,
        key_env=settings.key_env,
    )


def api_contestant(model: Model) -> Contestant:
    """An API row of the catalog; raises ``EndpointError`` for one that cannot be used, with its replacement."""
    api = model.api
    if api is None or not api.base_url or not api.openai_compatible:
        raise EndpointError(f"{model.id} has no endpoint that Heft can speak to", model.unusable_because)
    if model.unusable_because:
        hint = f"take {api.replacement}" if api.replacement else ""
        raise EndpointError(f"{model.id} cannot be used: {model.unusable_because}", hint)
    return Contestant(
        name=model.id,
        ref=model.id,
        kind="endpoint",
        model=api.model_id,
        base_url=api.base_url,
        key_env=api.key_env,
        catalog=model.id,
    )


def url_contestant(url: str) -> Contestant:
    """An endpoint by its base URL; ``#MODEL`` behind it names the model to ask for."""
    base, _, model = url.partition("#")
    Endpoint("", base).url("models")  # refuses what is no address
    return Contestant(name=url, ref=url, kind="endpoint", model=model, base_url=base)


def find_contestant(
    ref: str,
    *,
    endpoints: Sequence[EndpointSettings],
    find_model: Callable[[str], Model | None],
    find_build: Callable[[str], Build],
) -> Contestant:
    """What ``ref`` names. Raises ``NotFoundError`` with how to get what is not here, and what the others raise."""
    if ref.startswith(("http://", "https://", "unix:")):
        return url_contestant(ref)
    name, _, model_name = ref.partition(":")
    for settings in endpoints:
        if settings.name in (ref, name):
            return endpoint_contestant(settings, model_name if settings.name != ref else "")
    model = find_model(ref)
    if model is not None and model.is_api:
        return api_contestant(model)
    try:
        return build_contestant(find_build(ref), ref)
    except NotFoundError:
        if model is None:
            raise
        raise NotFoundError(f"{model.id} is not on this disk", f"heft pull {model.id} gets it") from None


def require_panel(contestants: Sequence[Contestant]) -> None:
    """Raise ``UsageError`` unless there are two to eight, each once."""
    if not LEAST <= len(contestants) <= MOST:
        raise UsageError(
            f"a trial has {LEAST} to {MOST} contestants, not {len(contestants)}", "name each with -m: -m one -m other"
        )
    names = [contestant.name for contestant in contestants]
    twice = next((name for name in names if names.count(name) > 1), "")
    if twice:
        raise UsageError(f"{twice} is named twice", "name each contestant once")


def endpoint_of(contestant: Contestant, key: str) -> Endpoint:
    """Where to reach a contestant that is not loaded here. Raises ``NotAllowedError`` when its key is missing."""
    if contestant.key_env and not key:
        raise NotAllowedError(
            f"{contestant.name} needs a key in {contestant.key_env}, which is not set",
            f"export {contestant.key_env}=... and ask again",
        )
    return Endpoint(
        name=contestant.name,
        base_url=contestant.base_url,
        model=contestant.model,
        api_key=key if contestant.key_env else "",
    )


def template_hash(folder: Path) -> str:
    """SHA-256 of the chat template that a build's folder holds; empty when it has none that can be read."""
    try:
        text = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        try:
            found = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template")
        except (OSError, ValueError, AttributeError):
            return ""
        text = found if isinstance(found, str) else json.dumps(found) if found else ""
    return hashlib.sha256(text.encode()).hexdigest() if text else ""
