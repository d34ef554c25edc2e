"""The JSON of the command line: which fields each thing has. Other programs rely on these names.

Sizes are bytes, times seconds, timestamps ISO 8601 UTC.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from tui.catalog.build import Build
from tui.catalog.model import Model
from tui.fit.verdict import Fit
from tui.jobs.job import Job


def time_text(moment: datetime | None) -> str | None:
    """ISO 8601 UTC, or None."""
    return moment.isoformat().replace("+00:00", "Z") if moment else None


def model_facts(model: Model) -> dict[str, Any]:
    """A model as the lists print it."""
    return {
        "id": model.id,
        "name": model.name,
        "repo": model.repo,
        "params": model.params,
        "active_params": model.active_params,
        "context_length": model.context_length,
        "license": model.license,
        "commercial_use": model.commercial_use,
        "gated": model.gated,
        "kind": model.kind,
        "status": model.status,
        "source": model.source,
        "family": model.family,
        "vendor": model.vendor,
        "open": model.open,
        "provider": model.api.provider if model.api else "",
        "released": model.released,
        "weights_bytes": model.weights_bytes,
        "quantization": model.quantization,
        "downloads": model.downloads,
        "likes": model.likes,
        "unusable_because": model.unusable_because,
        "formats": list(model.formats),
        "updated": model.updated,
        "price_in": model.api.price_in if model.api else None,
        "price_out": model.api.price_out if model.api else None,
        "price_date": model.api.price_date if model.api else "",
        "retired_on": model.api.retired_on if model.api else "",
        "replacement": model.api.replacement if model.api else "",
    }


def job_facts(job: Job) -> dict[str, Any]:
    """A job with its progress, why it waits and why it failed."""
    return {
        "id": job.id,
        "kind": str(job.kind),
        "state": str(job.state),
        "model": job.model,
        "progress": asdict(job.progress),
        "waiting_because": job.waiting_because,
        "priority": job.priority,
        "tries_again": time_text(job.again.at) if job.again and not job.state.is_over else None,
        "failure": asdict(job.failure) if job.failure else None,
        "result": job.result,
        "after": list(job.after),
        "attempt": job.attempt,
        "device": job.device,
        "spec": job.spec,
        "log": str(job.log),
        "created": time_text(job.created),
        "started": time_text(job.started),
        "ended": time_text(job.ended),
    }


def build_facts(build: Build) -> dict[str, Any]:
    """A build with its recipe and measured quality."""
    quality = None
    if build.quality:
        more = {"relative_loss": build.quality.relative_loss, "flagged": build.quality.is_flagged}
        quality = asdict(build.quality) | more
    return {
        "id": build.id,
        "path": str(build.path),
        "model": build.model,
        "repo": build.repo,
        "revision": build.revision,
        "precision": build.precision,
        "bytes": build.bytes,
        "recipe": asdict(build.recipe) if build.recipe else None,
        "quality": quality,
        "created": build.created,
        "source": build.source,
        "problem": build.problem,
    }


def fit_facts(fit: Fit) -> dict[str, Any]:
    """Every term of an estimate and the verdict."""
    facts = asdict(fit)
    facts["verdict"] = str(fit.verdict)
    facts["notes"] = list(fit.notes)
    facts["parts"] = dict(fit.parts)
    facts["devices"] = [asdict(device) | {"verdict": str(device.verdict)} for device in fit.devices]
    return facts
