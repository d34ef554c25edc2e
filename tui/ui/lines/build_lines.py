"""How the builds on this disk read: one row each, and what quantizing cost."""

from __future__ import annotations

from tui.catalog.build import LOSS_LIMIT, Build, Quality
from tui.jobs.disk_use import BuildUse, DiskUse
from tui.quantities import bytes_text
from tui.ui.lines.span import Line, Span, cut_line, fit_cells, line


def quality_text(quality: Quality | None) -> str:
    """Perplexity before and after: "18.2 → 18.9 (+3.8%)"."""
    if quality is None or quality.perplexity_after is None:
        return ""
    if quality.perplexity_before is None:
        return f"{quality.perplexity_after:.2f}"
    loss = quality.relative_loss
    share = f" ({loss:+.1%})" if loss is not None else ""
    share += " !" if quality.is_flagged else ""
    return f"{quality.perplexity_before:.2f} → {quality.perplexity_after:.2f}{share}"


def quality_role(quality: Quality | None) -> str:
    """Whether the loss is small, noticeable or bad."""
    loss = quality.relative_loss if quality else None
    if quality is None or loss is None:
        return "dim"
    if quality.is_flagged:
        return "bad"
    return "ok" if loss < 0.05 else "warn" if loss < 0.2 else "bad"


def header_line(width: int) -> Line:
    """The column titles."""
    name = _name_width(width)
    spans = [Span(fit_cells("build", name), "dim"), Span("  " + fit_cells("precision", 16), "dim")]
    spans.append(Span(fit_cells("size", 9, right=True), "dim"))
    if width >= 76:
        spans.append(Span("  " + fit_cells("perplexity", 24), "dim"))
    return tuple(spans)


def _name_width(width: int) -> int:
    return max(16, width - 27 - (26 if width >= 76 else 0))


def build_line(build: Build, width: int, *, loaded: bool) -> Line:
    """One build; a broken one says so."""
    mark = Span("◆ ", "ok") if loaded else Span("✗ ", "bad") if build.problem else Span("  ")
    name = _name_width(width)
    spans = [mark, Span(fit_cells(build.id, name - 2)), Span("  " + fit_cells(build.precision, 16), "dim")]
    spans.append(Span(fit_cells(bytes_text(build.bytes), 9, right=True)))
    if width >= 76:
        spans.append(Span("  " + fit_cells(quality_text(build.quality), 24), quality_role(build.quality)))
    return tuple(spans)


def about_leftovers(use: DiskUse) -> Line:
    """One line about what lies around besides: "2 leftovers, d frees 1.2 GB · 3.0 GB are here twice"."""
    parts = []
    rest = [item for item in use.leftovers if item.kind != "trash"]
    if rest:
        free = sum(item.bytes for item in rest if not item.kept_because)
        count = f"{len(rest)} leftover{'s' if len(rest) > 1 else ''}"
        parts.append(f"{count}, d frees {bytes_text(free)}" if free else f"{count}, all in use")
    if wasted := sum(item.wasted for item in use.duplicates):
        parts.append(f"{bytes_text(wasted)} are here twice")
    if use.removed:
        parts.append(f"{len(use.removed)} in the trash")
    return line(Span(" · ".join(parts), "dim"))


def used_text(use: BuildUse | None) -> str:
    """When a build was last used, and the branches that stand for it."""
    if use is None:
        return ""
    when = f"used {use.last_used.astimezone().strftime('%Y-%m-%d')}" if use.last_used else ""
    return " · ".join(part for part in (when, ", ".join(use.refs)) if part)


def about_build(build: Build | None, width: int, used: str = "") -> list[Line]:
    """Three lines about the build under the cursor; ``used`` says when it was last used."""
    if build is None:
        return [(), (), ()]
    where = {"heft": "made by Heft", "hub-cache": "in the Hugging Face cache", "folder": "a folder"}[build.source]
    loader = "loads through GPTQModel alone" if build.provenance.get("loader") == "gptqmodel" else ""
    first = line(
        Span(build.model, "strong"),
        Span("  " + " · ".join(part for part in (where, used, build.created[:10], loader) if part), "dim"),
    )
    if build.problem:
        return [first, line(Span("✗ ", "bad"), Span(build.problem, "bad")), ()]
    return [first, line(Span(str(build.path), "dim")), measured_line(build.quality, width)]


def measured_line(quality: Quality | None, width: int) -> Line:
    """What else was measured beside perplexity: divergence, agreement, speed and memory, before → after."""
    if quality is None:
        return ()
    parts = []
    if quality.kl_divergence is not None:
        parts.append(f"KL {quality.kl_divergence:.4f}")
    if quality.top1_agreement is not None:
        parts.append(f"same token first {quality.top1_agreement:.1%}")
    if quality.speed_after is not None:
        before = f"{quality.speed_before:.0f} → " if quality.speed_before is not None else ""
        parts.append(f"{before}{quality.speed_after:.0f} tokens/s")
    if quality.memory_after:
        before = f"{bytes_text(quality.memory_before)} → " if quality.memory_before else ""
        parts.append(f"{before}{bytes_text(quality.memory_after)} at the peak")
    words = cut_line(line(Span(" · ".join(parts), "dim")), width)
    if not quality.is_flagged:
        return words
    limit = LOSS_LIMIT if quality.limit is None else quality.limit
    return cut_line(line(Span(f"! lost more than {limit:.0%}  ", "bad"), *words), width)
