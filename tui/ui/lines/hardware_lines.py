"""How the machine reads on screen: GPUs with their processes, memory, disks and network, with short histories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tui.quantities import bytes_text
from tui.ui.lines.gpu_lines import gpu_blocks, gpu_table
from tui.ui.lines.meters import LABEL, VALUE, history_meter, meter, meter_width, pair_text
from tui.ui.lines.span import BLANK, HEAT_ROLE, Line, Span, bar, fit_cells, line, spark_line, spread, wrap_line

if TYPE_CHECKING:
    from tui.hardware.snapshot import Disk, Host, Snapshot

BESIDE = 120
"""Cells from which two GPUs stand beside each other."""
SHORTEST = 6
"""Cells that a bar is worth drawing in."""


def host_lines(host: Host, width: int, histories: Mapping[str, Sequence[float | None]], metric: str) -> list[Line]:
    """CPU, memory and swap of the machine; the memory as its history when that is what histories show."""
    cores = f"{host.cpu_count} cores" if host.cpu_count != 1 else "1 core"
    name = host.cpu_name or "CPU"
    rows = [
        spread(
            line(Span("CPU  ", "accent"), Span(name, "strong")), (Span(f"{cores}  load {host.load:.1f}", "dim"),), width
        )
    ]
    rows.append(history_meter("use", histories.get("cpu", ()), 100.0, f"{host.cpu_percent:3.0f}%", width))
    used = host.memory_total - host.memory_available
    words = pair_text(used, host.memory_total)
    if metric == "memory":
        rows.append(history_meter("ram", histories.get("memory", ()), host.memory_total or 1, words, width))
    else:
        rows.append(meter("ram", used / host.memory_total if host.memory_total else None, words, width))
    if host.swap_total and host.swap_used:
        rows.append(meter("swap", host.swap_used / host.swap_total, pair_text(host.swap_used, host.swap_total), width))
    return rows


def network_line(host: Host, width: int, history: Sequence[float | None]) -> Line:
    """Bytes in and out per second."""
    known = [value for value in history if value is not None]
    value = f"↓{_rate(host.network_received_rate)} ↑{_rate(host.network_sent_rate)}"
    room = max(4, width - LABEL - max(VALUE, len(value)) - 1)
    return line(
        Span(fit_cells("net", LABEL), "dim"),
        *spark_line(history, room, max([*known, 1e6])),
        Span(" "),
        Span(fit_cells(value, max(VALUE, len(value)), right=True)),
    )


def _rate(rate: float) -> str:
    """A rate in five cells: "1.2M/s"."""
    return "0" if rate < 500 else bytes_text(rate).replace(" ", "").removesuffix("B") + "/s"


def disk_lines(disks: Sequence[Disk], width: int) -> list[Line]:
    """Room on each volume that we write to, with what lies there when there are several."""
    volumes: dict[tuple[int, int], list[str]] = {}
    for disk in disks:
        volumes.setdefault((disk.total, disk.free), []).append(disk.label)
    names = [", ".join(labels) if len(volumes) > 1 else "" for labels in volumes.values()]
    longest = max(map(len, names), default=0)
    room = meter_width(width) - (longest + 1 if longest else 0)
    if room < SHORTEST:  # the name takes the place of the bar
        longest, room = meter_width(width), 0
    rows = []
    for number, ((total, free), name) in enumerate(zip(volumes, names, strict=True)):
        share = 1 - free / total if total else None
        shown = bar(share, room, HEAT_ROLE) if room else ()
        words = f"{fit_cells(name, longest)} " if longest and room else fit_cells(name, longest)
        value = fit_cells(f"{bytes_text(free)} free", VALUE, right=True)
        label = Span(fit_cells("" if number else "disk", LABEL), "dim")
        rows.append(line(label, *shown, Span(" "), Span(words, "dim"), Span(value)))
    return rows


def hardware_lines(
    snapshot: Snapshot,
    width: int,
    histories: Mapping[str, Sequence[float | None]],
    seconds: float = 0,
    *,
    metric: str = "utilisation",
    height: int = 0,
) -> list[Line]:
    """The whole pane. Histories reach ``seconds`` back (0: not told) and show ``metric`` of GPUs. Where not all GPUs
    fit into ``height`` lines (0: any number) as blocks, each gets one line."""
    if not snapshot.taken:
        return [line(Span("reading the machine …", "dim"))]
    below = host_lines(snapshot.host, width, histories, metric)
    below.append(network_line(snapshot.host, width, histories.get("received", ())))
    below += disk_lines(snapshot.disks, width)
    told = _note(snapshot, width, seconds, metric)
    below += [line(Span(told, "faint"))] if told else []
    return [*_gpus(snapshot, width, histories, metric, height - len(below) if height else 0), *below]


def _note(snapshot: Snapshot, width: int, seconds: float, metric: str) -> str:
    """What the histories show and which driver tells it, as far as there is room."""
    gpus = bool(snapshot.gpus)
    parts = [f"last {seconds / 60:.0f} min{f' of {metric}' if gpus else ''}, ← → change it"] if seconds else []
    parts += ["u: another reading"] if seconds and gpus else []
    parts += [snapshot.driver] if snapshot.driver else []
    while parts and len(" · ".join(parts)) > width:
        parts.pop()
    return " · ".join(parts)


def _gpus(
    snapshot: Snapshot, width: int, histories: Mapping[str, Sequence[float | None]], metric: str, height: int
) -> list[Line]:
    if not snapshot.gpus:
        note = (snapshot.gpu_note or "none was found").rstrip(".")
        note = note[0].lower() + note[1:] if note[:2].istitle() else note
        words = line(Span("No GPU: ", "warn"), Span(f"{note}. Models run on the CPU.", "dim"))
        return [*wrap_line(words, width), BLANK]
    columns = 2 if width >= BESIDE and len(snapshot.gpus) > 1 else 1
    blocks = gpu_blocks(snapshot.gpus, width, histories, metric, columns)
    if height and len(blocks) > height and len(snapshot.gpus) > 1:
        return gpu_table(snapshot.gpus, width, histories, metric)
    return blocks


def hardware_title(snapshot: Snapshot) -> str:
    """Live numbers for a title: "GPU 54%" or "CPU 12%"."""
    if not snapshot.taken:
        return ""
    used = [gpu.utilisation for gpu in snapshot.gpus if gpu.utilisation is not None]
    if snapshot.gpus:
        return f"GPU {max(used):.0f}%" if used else f"{len(snapshot.gpus)} GPU"
    return f"CPU {snapshot.host.cpu_percent:.0f}%"
