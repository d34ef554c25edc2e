"""``heft hardware``: GPUs, memory, processes."""

from __future__ import annotations

import time
from argparse import Namespace
from dataclasses import asdict

from tui.cli.output import Output
from tui.hardware.host_probe import RATE_SECONDS
from tui.hardware.snapshot import Gpu, Snapshot
from tui.quantities import bytes_text
from tui.workbench import Workbench


def hardware(arguments: Namespace, output: Output) -> int:
    """Print the machine once, or every second with ``--watch`` until Ctrl-C."""
    bench = Workbench()
    bench.snapshot()  # rates and the CPU's load are over the time between two looks
    time.sleep(1.2 * RATE_SECONDS)
    while True:
        snapshot = bench.snapshot()
        output.document(asdict(snapshot))
        _print(snapshot, output)
        if not arguments.watch:
            return 0
        time.sleep(1)


def _print(snapshot: Snapshot, output: Output) -> None:
    host = snapshot.host
    output.text(
        f"{host.hostname}: {host.cpu_name}, {host.cpu_count} CPUs, {host.cpu_percent:.0f}% busy, load {host.load:.1f}"
    )
    output.text(f"  memory    {bytes_text(host.memory_available)} of {bytes_text(host.memory_total)} available")
    if host.swap_total:
        output.text(f"  swap      {bytes_text(host.swap_used)} of {bytes_text(host.swap_total)} used")
    received, sent = bytes_text(host.network_received_rate), bytes_text(host.network_sent_rate)
    output.text(f"  network   {received}/s in, {sent}/s out")
    for disk in snapshot.disks:
        output.text(f"  {disk.label:<9} {bytes_text(disk.free)} of {bytes_text(disk.total)} free at {disk.path}")
    if not snapshot.gpus:
        output.text(f"  no GPU: {snapshot.gpu_note or 'none found'}; models run on the CPU")
    if snapshot.driver:
        output.text(f"  driver    {snapshot.driver}")
    for gpu in snapshot.gpus:
        output.text(_gpu_line(gpu))
        for process in gpu.processes:
            whose = f"job {process.job_id}" if process.job_id else process.owner or "hidden from you"
            output.text(f"    pid {process.pid} {bytes_text(process.used)} {whose} {process.command}")


def _gpu_line(gpu: Gpu) -> str:
    label = f"  {gpu.label:<9} {gpu.name}"
    if gpu.error:
        return f"{label}: {gpu.error}"
    limit = f" of {gpu.power_limit:.0f}" if gpu.power_limit else ""
    readings = (
        "" if gpu.utilisation is None else f"{gpu.utilisation:.0f}% busy",
        "" if gpu.temperature is None else f"{gpu.temperature:.0f}°C",
        "" if gpu.power is None else f"{gpu.power:.0f}{limit} W",
        "" if gpu.clock_mhz is None else f"{gpu.clock_mhz} MHz",
        "MIG" if gpu.mig else "",
        gpu.hidden_because,
    )
    told = ", ".join(reading for reading in readings if reading)
    return f"{label}: {bytes_text(gpu.free)} of {bytes_text(gpu.total)} free{', ' if told else ''}{told}"
