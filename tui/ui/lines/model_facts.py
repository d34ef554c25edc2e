"""Everything about one model as lines: its facts and its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.quantities import bytes_text, count_text
from tui.ui.lines.model_lines import SOURCES, size_text
from tui.ui.lines.span import BLANK, Line, Span, fit_cells, line, wrap_line

_LABEL = 13

if TYPE_CHECKING:
    from tui.catalog.hub import HubFile
    from tui.catalog.model import Model


def heading(text: str) -> Line:
    """The title of a part."""
    return line(Span(text, "title"))


def fact(label: str, value: str, width: int, role: str = "") -> list[Line]:
    """A label and its value, wrapped beside the label; nothing for an empty value."""
    if not value:
        return []
    rows = wrap_line(line(Span(value, role)), max(10, width - _LABEL))
    return [line(Span(fit_cells(label if not number else "", _LABEL), "dim"), *row) for number, row in enumerate(rows)]


def fact_lines(model: Model, width: int) -> list[Line]:
    """What the catalog knows of a model, the reason first when nobody can use it."""
    rows: list[Line] = []
    if model.unusable_because:
        rows += [*wrap_line(line(Span("✗ Not usable: ", "bad"), Span(model.unusable_because)), width), BLANK]
    params = ("about " if model.params_is_estimate else "") + f"{model.params:,}" if model.params else ""
    if model.active_params and model.active_params != model.params:
        params += f", {count_text(model.active_params)} active per token"
    context = f"{model.context_length:,} tokens" if model.context_length else ""
    commercial = {
        "yes": "commercial use allowed",
        "conditional": "commercial use under conditions",
        "no": "no commercial use",
    }
    license = ", ".join(part for part in (model.license, commercial.get(model.commercial_use, "")) if part)
    size = "" if model.is_api else size_text(model)
    base = model.kind == "text" and not model.is_api
    for label, value in (
        ("id", model.id),
        ("repository", model.place if model.place != model.id else ""),
        ("revision", model.revision),
        ("maker", model.vendor),
        ("family", model.family),
        ("kind", "text: a base model, which goes on with a text and was not made to answer" if base else model.kind),
        ("parameters", params),
        ("context", context),
        ("size", size if size != "—" else ""),
        ("quantized", model.quantization),
        ("licence", license),
        ("access", "gated: accept the terms on the hub first" if model.gated else ""),
        ("released", model.released),
        ("changed", model.updated),
        ("downloads", f"{model.downloads:,}" if model.downloads is not None else ""),
        ("likes", f"{model.likes:,}" if model.likes is not None else ""),
        ("formats", ", ".join(model.formats)),
        ("tuned from", model.base_model),
        ("trained on", f"{count_text(model.tokens_trained)} tokens" if model.tokens_trained else ""),
        ("ollama", model.ollama),
        ("strengths", model.strengths),
        ("limits", model.limitations),
        ("data", model.dataset),
        ("note", model.note),
        ("from", f"{SOURCES.get(model.source, model.source)}; {model.facts_source}".rstrip("; ")),
    ):
        rows += fact(label, value, width)
    return rows + api_lines(model, width)


def api_lines(model: Model, width: int) -> list[Line]:
    """How an API model is reached and what it costs."""
    api = model.api
    if api is None:
        return []
    rows = [BLANK, heading("API")]
    price = ""
    if api.price_in is not None and api.price_out is not None:
        price = f"${api.price_in:g} in, ${api.price_out:g} out per million tokens ({api.price_date or 'undated'})"
    for label, value in (
        ("provider", api.provider),
        ("model", api.model_id),
        ("address", api.base_url),
        ("key", f"in the variable {api.key_env}" if api.key_env else ""),
        ("price", price),
        ("note", api.note),
    ):
        rows += fact(label, value, width)
    return rows


def file_lines(files: Sequence[HubFile], width: int) -> list[Line]:
    """The published files, largest first; those that a download fetches carry a mark."""
    if not files:
        return []
    total = sum(file.size for file in files)
    from tui.catalog.needed_files import gguf_choices, needed_files

    needed = {file.path for file in needed_files(files)}
    fetched = bytes_text(sum(file.size for file in files if file.path in needed))
    told = Span(f"  ↓ a download fetches {fetched}", "dim") if len(needed) < len(files) else Span("")
    rows = [line(Span(f"Files  {len(files)}, {bytes_text(total)}", "title"), told)]
    choices = gguf_choices(files)
    if len(choices) > 1:
        words = " · ".join(f"{name} {bytes_text(size)}" for name, size in choices.items())
        rows += wrap_line(
            line(Span(f"GGUF  {words}; g chooses one (heft pull NAME:{next(iter(choices))})", "dim")), width
        )
    for file in sorted(files, key=lambda item: -item.size)[:40]:
        rows.append(
            line(
                Span(fit_cells(bytes_text(file.size), 10, right=True), "dim"),
                Span(" ↓ " if file.path in needed else "   ", "ok"),
                Span(fit_cells(file.path, width - 13), "" if file.path in needed else "dim"),
            )
        )
    if len(files) > 40:
        rows.append(line(Span(f"{'':12}and {len(files) - 40} more", "dim")))
    return rows
