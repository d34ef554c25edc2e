"""Model cards: what a model is for, what it was trained on and where it fails, from the nearest place that knows.

Looked at in this order: the model's own folder, the Hugging Face cache, our browse cache, the hub; and when none has a
card, one is made from the catalog's facts. Reading a card never writes into the Hugging Face cache.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tui.catalog.card_text import clean_markdown, find_sections, split_front_matter
from tui.catalog.hub import Hub
from tui.catalog.hub_answers import REPOSITORY_NAME
from tui.catalog.model import Model
from tui.errors import HeftError
from tui.paths import Paths
from tui.plain_text import clean_line
from tui.quantities import bytes_text, count_text

FRESH_SECONDS = 86_400.0
"""How long a card in the browse cache is taken for the present one while the hub could be asked."""

CARD_LIMIT = 2_000_000
"""Longest card in bytes that is read."""


@dataclass(frozen=True, slots=True)
class Card:
    """A model card. ``text`` is harmless Markdown without front matter; ``source`` says where it is from ("folder",
    "hub-cache", "browse-cache", "hub", "catalog"); ``note`` why a better source could not be asked, or empty."""

    text: str
    front_matter: dict[str, Any] = field(default_factory=dict)
    sections: dict[str, str] = field(default_factory=dict)
    source: str = "catalog"
    note: str = ""


def load_card(model: Model, paths: Paths, hub: Hub | None) -> Card:
    """Find the card of ``model``; without ``hub`` nothing is asked of the network. Raises nothing."""
    if model.is_local_folder:
        text = _read(Path(model.repo) / "README.md")
        return read_card(text, model, "folder") if text is not None else catalog_card(model)
    if not model.repo or not REPOSITORY_NAME.fullmatch(model.repo):
        return catalog_card(model)
    text = _read_cached(paths.hub_cache, model)
    if text is not None:
        return read_card(text, model, "hub-cache")
    kept = paths.browse_cache / "cards" / (_file_name(model) + ".md")
    stale = _read(kept)
    if stale is not None and (hub is None or _age(kept) < FRESH_SECONDS):
        return read_card(stale, model, "browse-cache")
    note = ""
    if hub is not None:
        try:
            content = hub.read_file(model.repo, "README.md", model.revision, limit=CARD_LIMIT)
        except HeftError as error:
            note = f"{error.summary}; {error.hint}" if error.hint else error.summary
        else:
            text = content.decode("utf-8", "replace")
            _keep(kept, text)
            return read_card(text, model, "hub")
    return read_card(stale, model, "browse-cache", note) if stale is not None else catalog_card(model, note)


def read_card(text: str, model: Model, source: str, note: str = "") -> Card:
    """Read the text of a card as it was found; an empty one is made up from the catalog's facts."""
    front_matter, body = split_front_matter(text)
    markdown = clean_markdown(body)
    if not markdown.strip():
        made = catalog_card(model, note)
        return Card(made.text, front_matter, made.sections, source, note)
    sections = find_sections(markdown)
    if "evaluation" not in sections:
        scores = _scores(front_matter)
        if scores:
            sections["evaluation"] = scores
            markdown += f"\n## Evaluation results\n\n{scores}\n"
    for name, fact in _fact_sections(model).items():
        sections.setdefault(name, fact)
    return Card(markdown, front_matter, sections, source, note)


def catalog_card(model: Model, note: str = "") -> Card:
    """Make a card from the catalog's facts, for models without one."""
    sections = _fact_sections(model)
    lines = [f"# {_plain(model.name)}", ""]
    by = f" by {_plain(model.vendor)}" if model.vendor else ""
    lines += [f"{_plain(model.family) or 'A model'}{by}. This card is made from the catalog's facts.", ""]
    if model.unusable_because:
        lines += [f"**Cannot be used today:** {_plain(model.unusable_because)}.", ""]
    lines += [f"- {name}: {_plain(value)}" for name, value in _facts(model) if value]
    titles = {
        "intended_use": "Strengths",
        "limitations": "Limitations",
        "training_data": "Training data",
        "license": "License",
    }
    for name, title in titles.items():
        if name in sections:
            lines += ["", f"## {title}", "", sections[name]]
    if model.note:
        lines += ["", "## Note", "", _plain(model.note)]
    if model.facts_source:
        certainty = f" ({model.confidence})" if model.confidence else ""
        lines += ["", "## Where the numbers come from", "", _plain(model.facts_source) + certainty]
    return Card("\n".join(lines) + "\n", {}, sections, "catalog", note)


def _facts(model: Model) -> list[tuple[str, str]]:
    params = count_text(model.params) if model.params else ""
    if params and model.active_params:
        params += f", {count_text(model.active_params)} active per token"
    facts = [
        ("Parameters", params + (" (estimated)" if params and model.params_is_estimate else "")),
        ("Context", f"{model.context_length:,} tokens" if model.context_length else ""),
        ("Architecture", model.shape.architecture),
        ("Published weights", bytes_text(model.weights_bytes) if model.weights_bytes else ""),
        ("Released", model.released),
        ("Repository", model.repo),
        ("Tuned from", model.base_model),
        ("Access", "gated: its terms must be accepted first" if model.gated else ""),
        ("Ollama", model.ollama),
    ]
    if model.api is not None:
        facts.append(("API", f"{model.api.provider}, {model.api.model_id}"))
        if model.api.price_in is not None and model.api.price_out is not None:
            price = f"${model.api.price_in:g} in, ${model.api.price_out:g} out per million tokens"
            facts.append(("Price", f"{price} ({model.api.price_date})"))
    return facts


def _fact_sections(model: Model) -> dict[str, str]:
    sections = {"intended_use": model.strengths, "limitations": model.limitations, "training_data": model.dataset}
    if model.license:
        words = {
            "yes": "commercial use allowed",
            "no": "no commercial use",
            "conditional": "commercial use under conditions",
        }
        terms = words.get(model.commercial_use, "commercial use not known")
        sections["license"] = f"{model.license}: {terms}" + (f", see {model.license_url}" if model.license_url else "")
    return {name: _plain(text) for name, text in sections.items() if text}


def _scores(front_matter: dict[str, Any]) -> str:
    lines = []
    entries = front_matter.get("model-index")
    for entry in entries if isinstance(entries, list) else ():
        results = entry.get("results") if isinstance(entry, dict) else None
        for result in results if isinstance(results, list) else ():
            dataset = result.get("dataset") if isinstance(result, dict) else None
            metrics = result.get("metrics") if isinstance(result, dict) else None
            name = dataset.get("name") if isinstance(dataset, dict) else None
            for metric in metrics if isinstance(metrics, list) else ():
                if isinstance(metric, dict) and isinstance(metric.get("value"), str | int | float):
                    kind = metric.get("name") or metric.get("type") or "score"
                    cells = (str(name or "unnamed"), str(kind), str(metric["value"]))
                    lines.append("| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(("| measured on | metric | value |", "|---|---|---|", *lines[:100])) if lines else ""


def _plain(text: str) -> str:
    return re.sub(r"([\\`*\[\]<>])", r"\\\1", clean_line(text, 1000))


def _read(file: Path) -> str | None:
    try:
        with file.open("rb") as opened:
            return opened.read(CARD_LIMIT).decode("utf-8", "replace")
    except OSError:
        return None


def _read_cached(hub_cache: Path, model: Model) -> str | None:
    folder = hub_cache / ("models--" + model.repo.replace("/", "--"))
    revision = _read(folder / "refs" / (model.revision or "main")) if ".." not in model.revision else None
    return _read(folder / "snapshots" / revision.strip() / "README.md") if revision and revision.strip() else None


def _file_name(model: Model) -> str:
    revision = "@" + re.sub(r"[^A-Za-z0-9._-]", "_", model.revision) if model.revision else ""
    return model.repo.replace("/", "--") + revision


def _age(file: Path) -> float:
    try:
        return time.time() - file.stat().st_mtime
    except OSError:
        return FRESH_SECONDS


def _keep(file: Path, text: str) -> None:
    beside = file.with_name(f".{secrets.token_hex(6)}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            beside.write_text(text, encoding="utf-8", errors="replace")
            beside.replace(file)
        finally:
            beside.unlink(missing_ok=True)
