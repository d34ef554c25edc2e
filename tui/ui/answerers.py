"""Who can answer a chat: hosts, builds that can be loaded, configured endpoints and API models. Runs in a thread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tui.errors import HeftError, NotAllowedError, NotFoundError
from tui.quantities import bytes_text

if TYPE_CHECKING:
    from tui.catalog.build import Build
    from tui.catalog.model import Model
    from tui.jobs.job import Job
    from tui.workbench import Workbench


@dataclass(frozen=True, slots=True)
class Answerer:
    """Somebody who can answer. ``group`` is "host", "build", "server", "pull", "configured", "api" or "url"; ``ref`` is
    what the workbench resolves, ``model`` one of its models; ``off`` says why not now. ``loaded`` is set for a model
    that a server can be asked to unload."""

    group: str
    ref: str
    name: str
    note: str = ""
    off: str = ""
    model: str = ""
    loaded: bool = False


def answers_or_build(workbench: Workbench, ref: str) -> Build | None:
    """None when ``ref`` answers already; else the build that has to be loaded first. Raises ``HeftError``."""
    try:
        workbench.endpoint(ref)
    except NotFoundError:
        return workbench.build(ref)
    return None


def find_answerers(workbench: Workbench, hosts: Sequence[Job]) -> list[Answerer]:
    """Everybody, loaded models first; whoever cannot answer says why."""
    loaded = {str(job.result.get("build")) for job in hosts}
    found = [
        Answerer("host", str(job.id), str(job.result.get("build") or job.model), str(job.result.get("device") or ""))
        for job in hosts
    ]
    for build in workbench.builds():
        if build.id not in loaded:
            note = f"{build.precision}, {bytes_text(build.bytes)}; enter loads it"
            found.append(Answerer("build", build.id, build.id, note, build.problem))
    for endpoint in workbench.settings.endpoints:
        found.append(Answerer("configured", endpoint.name, endpoint.name, endpoint.model or endpoint.base_url))
    models = [model for model in workbench.catalog().models if model.is_api and not model.unusable_because]
    apis = [_api(workbench, model) for model in models]
    return [*found, *sorted(apis, key=lambda row: bool(row.off))]


def _api(workbench: Workbench, model: Model) -> Answerer:
    try:
        workbench.endpoint(model.id)
    except NotAllowedError:
        return Answerer(
            "api", model.id, model.name, model.vendor, f"set {model.api.key_env}" if model.api else "no key"
        )
    except HeftError as error:
        return Answerer("api", model.id, model.name, model.vendor, error.summary)
    return Answerer("api", model.id, model.name, model.vendor)


def find_servers(workbench: Workbench) -> list[Answerer]:
    """The models of the servers that run on this machine; those of our own hosts are listed as such."""
    found = []
    for running in workbench.servers():
        for model in running.models:
            words = [running.name, *(["loaded"] if model.loaded else [])]
            if model.bytes:
                words.append(bytes_text(model.bytes))
            if model.context:
                words.append(f"{model.context:,} tokens")
            loaded = running.kind == "ollama" and bool(model.loaded)
            found.append(
                Answerer("server", running.base_url, model.id, ", ".join(words), model=model.id, loaded=loaded)
            )
        if not running.models:
            found.append(Answerer("server", running.base_url, running.name, off="it offers no model"))
    return found
