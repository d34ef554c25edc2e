"""What quantizing cost, as lines of text: before → after, one measure per line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tui.quantities import bytes_text, duration_text


def dry_run_lines(result: Mapping[str, Any]) -> list[str]:
    """What a dry run found that the whole job would take; none for the result of another job."""
    if not result.get("dry_run"):
        return []
    cpu = result.get("predicted_cpu_seconds")
    rows = [
        f"about {duration_text(result['predicted_seconds'])}"
        + (f" ({duration_text(cpu)} of processor time)" if cpu else "")
        + f", {bytes_text(result['predicted_memory'])} of memory, {bytes_text(result['predicted_bytes'])} on disk",
        f"one layer of {result['layers']} took {result['layer_seconds']:.1f} s; nothing was kept",
    ]
    if result.get("busy"):
        rows.append("other programs kept the processor busy meanwhile: without them it takes less")
    return rows


def quality_lines(quality: Mapping[str, Any] | None) -> list[str]:
    """The measured lines of a quality table; those that were not measured are left out."""
    if not quality:
        return []
    rows = [
        _pair("perplexity", quality.get("perplexity_before"), quality.get("perplexity_after"), "{:.4g}".format),
        _pair("size", quality.get("size_before"), quality.get("size_after"), bytes_text),
        _pair("tokens per second", quality.get("speed_before"), quality.get("speed_after"), "{:.1f}".format),
        _pair("memory at the peak", quality.get("memory_before"), quality.get("memory_after"), bytes_text),
    ]
    before, after = quality.get("perplexity_before"), quality.get("perplexity_after")
    if before and after is not None:
        rows[0] += f"  ({after / before - 1:+.2%})"
    if quality.get("kl_divergence") is not None:
        share = quality.get("top1_agreement") or 0.0
        rows.insert(
            1,
            f"{'KL divergence':<20}{quality['kl_divergence']:.4f} nats, the same token first at {share:.1%} of "
            f"{quality.get('positions')} positions",
        )
    limit = quality.get("limit")
    if before and after is not None and limit is not None and not after / before - 1 <= limit:
        rows.append(f"! lost more than {limit:.0%} of perplexity; the build is kept and marked")
    return [row for row in rows if row]


def _pair(label: str, before: Any, after: Any, text: Any) -> str:
    if after is None:
        return ""
    return f"{label:<20}" + (f"{text(before)} → {text(after)}" if before is not None else str(text(after)))
