"""How GPUs read on screen: a block of lines for each, or one line for each where there are many, and who holds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from tui.quantities import bytes_text
from tui.ui.lines.meters import history_meter, meter, pair_text
from tui.ui.lines.span import (
    BLANK,
    HEAT_ROLE,
    Line,
    Span,
    bar,
    fit_cells,
    line,
    pad_line,
    spark_line,
    spread,
    wrap_line,
)

if TYPE_CHECKING:
    from tui.hardware.snapshot import Gpu, GpuProcess

Histories = Mapping[str, Sequence[float | None]]
METRICS = ("utilisation", "memory", "temperature", "power")
"""What the histories of GPUs may show."""
_LABELS = {"utilisation": "use", "memory": "vram", "temperature": "°C", "power": "watt"}
_GAP = 3


def gpu_name(gpu: Gpu) -> str:
    """A GPU's name without its maker."""
    return gpu.name.removeprefix("NVIDIA ").removeprefix("AMD ").removeprefix("Instinct ")


def metric_of(gpu: Gpu, metric: str) -> tuple[float | None, float, str]:
    """The present value of a metric, the top of its history, and the value in words; None where it is not given."""
    if metric == "memory":
        share = 100 * gpu.used / gpu.total if gpu.total else None
        return share and float(gpu.used), float(gpu.total), "—" if share is None else f"{share:3.0f}%"
    value: float | None = getattr(gpu, metric)
    top = {"temperature": 110.0, "power": gpu.power_limit or 500.0}.get(metric, 100.0)
    unit = {"temperature": "°C", "power": " W"}.get(metric, "%")
    return value, top, "—" if value is None else f"{value:3.0f}{unit}"


def gpu_lines(gpu: Gpu, width: int, histories: Histories, metric: str = "utilisation") -> list[Line]:
    """One GPU: name and sensors, memory, the history of ``metric``, and who holds memory."""
    sensors = [
        f"{gpu.clock_mhz} MHz" if gpu.clock_mhz is not None and width >= 64 else "",
        f"{gpu.utilisation:.0f}%" if gpu.utilisation is not None and metric != "utilisation" else "",
        f"{gpu.temperature:.0f}°C" if gpu.temperature is not None else "",
        f"{gpu.power:.0f}" + (f"/{gpu.power_limit:.0f}" if gpu.power_limit else "") + " W"
        if gpu.power is not None
        else "",
    ]
    head = line(Span(f"{gpu.label}  ", "accent"), Span(gpu_name(gpu), "strong"), Span(_marks(gpu), "dim"))
    rows = [spread(head, (Span("  ".join(part for part in sensors if part), "dim"),), width)]
    if gpu.error:
        return [*rows, *wrap_line(line(Span("✗ ", "bad"), Span(gpu.error, "bad")), width, "  ")]
    rows.append(meter("vram", gpu.used / gpu.total if gpu.total else None, pair_text(gpu.used, gpu.total), width))
    value, top, words = metric_of(gpu, metric)
    history = histories.get(f"gpu {gpu.index} {metric}", ())
    rows.append(
        meter(_LABELS[metric], None, "—", width)
        if value is None
        else history_meter(_LABELS[metric], history, top, words, width)
    )
    rows.extend(process_line(process, width) for process in gpu.processes)
    return rows


def gpu_blocks(gpus: Sequence[Gpu], width: int, histories: Histories, metric: str, columns: int) -> list[Line]:
    """Every GPU as a block, ``columns`` of them beside each other."""
    each = (width - _GAP * (columns - 1)) // columns
    blocks = [gpu_lines(gpu, each, histories, metric) for gpu in gpus]
    rows: list[Line] = []
    for start in range(0, len(blocks), columns):
        for beside in zip_longest(*blocks[start : start + columns], fillvalue=BLANK):
            spans: list[Span] = []
            for number, part in enumerate(beside):
                spans += [Span(" " * _GAP)] if number else []
                spans += pad_line(part, each)
            rows.append(tuple(spans))
        rows.append(BLANK)
    return rows


def gpu_table(gpus: Sequence[Gpu], width: int, histories: Histories, metric: str) -> list[Line]:
    """One line for each GPU, then who holds memory on which."""
    names = min(20, max((len(gpu_name(gpu)) for gpu in gpus), default=0)) if width >= 96 else 0
    labels = max((len(_short(gpu)) for gpu in gpus), default=1)
    tail = 7 + (6 if metric != "temperature" else 0) + (6 if metric != "power" and width >= 60 else 0)
    tail += 6 if metric != "utilisation" else 0
    room = max(8, width - labels - (names + 1 if names else 0) - 16 - tail - 3)
    spark = max(4, room // 3)
    kinds = " · ".join(dict.fromkeys(gpu_name(gpu) for gpu in gpus if not gpu.error))
    rows = [] if names else [line(Span(fit_cells(kinds, width), "dim"))]
    for gpu in gpus:
        spans = [Span(fit_cells(_short(gpu), labels, right=True) + " ", "accent")]
        spans += [Span(fit_cells(gpu_name(gpu), names) + " ", "strong")] if names else []
        if gpu.error:
            rows.append(
                line(*spans, Span(fit_cells(f"✗ {gpu.error}", width - labels - 1 - (names + 1 if names else 0)), "bad"))
            )
            continue
        share = gpu.used / gpu.total if gpu.total else None
        spans += [
            *bar(share, room - spark, HEAT_ROLE),
            Span(fit_cells(pair_text(gpu.used, gpu.total), 16, right=True)),
        ]
        spans += [Span(" "), *_spark(gpu, histories, metric, spark)]
        spans += [Span(fit_cells(metric_of(gpu, metric)[2], 7, right=True))]
        others = [
            it for it in ("utilisation", "temperature", "power") if it != metric and (it != "power" or width >= 60)
        ]
        spans.append(Span("".join(fit_cells(metric_of(gpu, it)[2], 6, right=True) for it in others), "dim"))
        rows.append(line(*spans))
    for gpu in gpus:
        rows.extend(process_line(process, width, _short(gpu).rjust(labels)) for process in gpu.processes)
    return [*rows, BLANK]


def _spark(gpu: Gpu, histories: Histories, metric: str, width: int) -> Line:
    value, top, _ = metric_of(gpu, metric)
    if value is None:
        return (Span(" " * width),)
    return spark_line(list(histories.get(f"gpu {gpu.index} {metric}", ()))[-width:], width, top)


def _short(gpu: Gpu) -> str:
    return gpu.label.removeprefix("GPU ").replace(" slice ", ":")


def _marks(gpu: Gpu) -> str:
    marks = [" MIG" if gpu.mig else "", "  shares the RAM" if gpu.unified else ""]
    return "".join(marks) + (f"  {gpu.hidden_because}" if gpu.hidden else "")


def process_line(process: GpuProcess, width: int, gpu: str = "") -> Line:
    """A process on a GPU; ours carry a mark and their job."""
    mark = Span("◆ ", "ok") if process.mine or process.job_id is not None else Span("· ", "faint")
    what = f"job {process.job_id}" if process.job_id is not None else process.command
    if not what:
        what = "hidden from you" if process.owner else "outside this container, or hidden from you"
    owner = Span(f"{process.owner} " if process.owner else "", "dim")
    head = line(Span(f"{gpu} " if gpu else "  ", "accent"), mark, Span(f"{process.pid} ", "dim"), owner, Span(what))
    return spread(head, (Span(bytes_text(process.used)),), width)
