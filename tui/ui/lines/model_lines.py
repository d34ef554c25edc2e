"""How models and fits read on screen: columns of the catalog, the line about the chosen model, the verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.cells import cell_len

from tui.fit.verdict import Fit, Verdict
from tui.quantities import bytes_text, count_text
from tui.ui.lines.span import Line, Span, fit_cells, line

if TYPE_CHECKING:
    from tui.catalog.model import Model

SOURCES = {"starter": "starter", "catalog": "list", "user": "yours", "hub": "hub", "folder": "folder", "cache": "disk"}
PRECISION_WORDS = {
    "float32": "32-bit",
    "float16": "16-bit",
    "bfloat16": "16-bit",
    "int8": "8-bit",
    "gptq-8bit": "8-bit",
    "gptq-4bit": "4-bit",
    "gptq-3bit": "3-bit",
    "gptq-2bit": "2-bit",
}


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model with what this machine says about it."""

    model: Model
    installed: bool = False
    fit: Fit | None = None
    marked: bool = False


def precision_word(precision: str) -> str:
    """A precision as a person says it: "4-bit"; a recipe label stays itself."""
    if precision.startswith(("float8", "fp8", "f8")):
        return "fp8"
    return PRECISION_WORDS.get(precision, precision)


def fit_mark(fit: Fit | None, model: Model | None = None) -> Span:
    """Glyph and word of a verdict; the glyph alone tells them apart without colour."""
    if model is not None and model.unusable_because:
        return Span("✗ " + model.status.split("-")[0] if model.status != "active" else "✗ retired", "dim")
    if model is not None and model.is_api:
        return Span("↗ API", "info")
    if fit is None:
        return Span("·", "faint")
    word = ("~" if fit.guessed else "") + precision_word(fit.precision)
    if fit.verdict is Verdict.FITS:
        return Span(f"● {word or 'fits'}", "ok")
    if fit.verdict is Verdict.FITS_EMPTY:
        return Span(f"◐ {word} busy" if word else "◐ busy now", "warn")
    if fit.verdict is Verdict.DOES_NOT_FIT:
        return Span("○ too big", "bad")
    return Span("? unknown", "dim")


def verdict_words(fit: Fit) -> str:
    """The verdict in words."""
    return {
        Verdict.FITS: "fits now",
        Verdict.FITS_EMPTY: "would fit if the device were empty",
        Verdict.DOES_NOT_FIT: "does not fit",
        Verdict.UNKNOWN: "not known",
    }[fit.verdict]


def license_span(model: Model) -> Span:
    """The licence, behind ✓ where it allows commercial use, ~ where it does under conditions, ✗ where it does not."""
    text = model.license or ("—" if not model.is_api else "API terms")
    mark = {"yes": "✓ ", "conditional": "~ ", "no": "✗ "}.get(model.commercial_use, "  ")
    text = mark + text if model.license else text
    if model.commercial_use == "no":
        return Span(text, "warn")
    return Span(text, "dim")


def size_text(model: Model) -> str:
    """Bytes of the published weights; "~" where they are computed from the parameters (2 bytes each)."""
    if model.weights_bytes:
        return bytes_text(model.weights_bytes)
    return "~" + bytes_text(model.params * 2) if model.params and not model.is_api else "—"


def context_text(tokens: int | None) -> str:
    """A context length: "128k" for 131,072."""
    if tokens is None:
        return "—"
    if tokens >= 1_000_000:
        return count_text(tokens)
    return f"{round(tokens / 1024)}k" if tokens >= 1024 else str(tokens)


_COLUMNS: tuple[tuple[str, str, int, bool], ...] = (
    ("params", "params", 6, True),
    ("active", "active", 6, True),
    ("context", "ctx", 5, True),
    ("license", "licence", 15, False),
    ("kind", "kind", 10, False),
    ("size", "size", 8, True),
    ("fit", "fits", 13, False),
    ("here", "here", 4, False),
    ("source", "from", 7, False),
)
_ORDER = ("fit", "params", "here", "size", "context", "license", "kind", "active", "source")
_NAME_LEAST = 20
_NAME_MOST = 46
_LICENSE_MOST = 32


@lru_cache(maxsize=64)
def columns_for(width: int) -> tuple[int, Mapping[str, int]]:
    """The width of the name, and the columns that have room beside it with theirs; what matters least goes first. What
    the name leaves of a very wide line is the licence's."""
    left = width - _NAME_LEAST
    sizes = {name: size for name, _, size, _ in _COLUMNS}
    chosen: set[str] = set()
    for name in _ORDER:
        if sizes[name] + 2 > left:
            break
        left -= sizes[name] + 2
        chosen.add(name)
    name_width = min(_NAME_MOST, _NAME_LEAST + max(0, left))
    spare = max(0, left - (name_width - _NAME_LEAST))
    sizes["license"] = min(_LICENSE_MOST, sizes["license"] + spare)
    return name_width, {name: sizes[name] for name, *_ in _COLUMNS if name in chosen}


def header_line(width: int) -> Line:
    """The column titles."""
    name_width, columns = columns_for(width)
    spans = [Span(fit_cells("model", name_width), "dim")]
    for name, title, _, right in _COLUMNS:
        if name in columns:
            spans.append(Span("  " + fit_cells(title, columns[name], right=right), "dim"))
    return tuple(spans)


def model_line(row: ModelRow, width: int) -> Line:
    """One row of the catalog."""
    model = row.model
    name_width, columns = columns_for(width)
    usable = not model.unusable_because
    cells: dict[str, Span] = {
        "params": Span(("~" if model.params_is_estimate and model.params else "") + count_text(model.params), ""),
        "active": Span(count_text(model.active_params) if _is_mixture(model) else "", "dim"),
        "context": Span(context_text(model.context_length), "dim"),
        "license": license_span(model),
        "kind": Span(model.kind, "dim"),
        "size": Span(size_text(model), ""),
        "fit": fit_mark(row.fit, model),
        "here": Span("✓" if row.installed else "", "ok"),
        "source": Span(SOURCES.get(model.source, model.source), "info" if model.source == "hub" else "dim"),
    }
    gate = " gated" if model.gated and cell_len(model.name) + 6 <= name_width else ""
    mark = "■ " if row.marked else ""
    name = fit_cells(model.name, name_width - len(gate) - len(mark))
    spans = [Span(mark, "accent"), Span(name, "" if usable else "dim"), Span(gate, "faint")]
    for column, _, _, right in _COLUMNS:
        if column in columns:
            cell = cells[column]
            role = cell.role if usable or column == "fit" else "dim"
            spans.append(Span("  " + fit_cells(cell.text, columns[column], right=right), role))
    return tuple(spans)


def _is_mixture(model: Model) -> bool:
    return bool(model.active_params) and model.active_params != model.params


def about_lines(row: ModelRow | None, width: int) -> list[Line]:
    """Two lines about the row under the cursor: what it is, and what it takes here."""
    if row is None:
        return [(), ()]
    model, fit = row.model, row.fit
    facts = [
        model.vendor,
        f"{count_text(model.params)} parameters" if model.params else "",
        model.license,
        model.released,
    ]
    if _is_mixture(model):
        facts[1] += f" ({count_text(model.active_params)} active)"
    if model.commercial_use == "no":
        facts.append("no commercial use")
    if model.gated:
        facts.append("gated")
    if model.downloads is not None:
        facts.append(f"{count_text(model.downloads)} downloads")
    if model.likes is not None:
        facts.append(f"{count_text(model.likes)} likes")
    facts += [f"changed {model.updated}" if model.updated else "", ", ".join(model.formats)]
    first = line(Span(model.name, "strong"), Span("  " + " · ".join(fact for fact in facts if fact), "dim"))
    if model.unusable_because:
        return [first, line(Span("✗ ", "bad"), Span(model.unusable_because))]
    if model.is_api and model.api:
        price = ""
        if model.api.price_in is not None and model.api.price_out is not None:
            price = f", ${model.api.price_in:g} in and ${model.api.price_out:g} out per million tokens"
        return [first, line(Span("↗ ", "info"), Span(f"reached through {model.api.provider}{price}"))]
    if fit is None:
        return [first, line(Span(model.strengths or model.note, "dim"))]
    mark = fit_mark(fit)
    return [first, line(Span(mark.text[:2], mark.role), Span(fit.reason or verdict_words(fit)))]
