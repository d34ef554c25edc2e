"""``heft ladder``: one model in 16, 8, 4, 3 and 2 bits, made where missing, then shown side by side."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict

from tui.catalog.ladder import BitRung, ladder_plot
from tui.cli.facts import job_facts
from tui.cli.follow import follow
from tui.cli.obtain import when_wished
from tui.cli.output import Output
from tui.quantities import bytes_text
from tui.workbench import Workbench


def ladder(arguments: Namespace, output: Output) -> int:
    """Ask for the missing rungs, follow them, and print the table and the plot."""
    bench = Workbench()
    model = bench.model(arguments.model)
    code = 0
    if not arguments.table:
        jobs = bench.ladder(model, when_wished(arguments))
        if arguments.detach:
            output.document([job_facts(job) for job in jobs])
            for job in jobs:
                output.text(f"job {job.id}: {job.kind} {job.model}")
            return 0
        for job in jobs:
            code = max(code, follow(bench, (job,), output)) if code != 130 else code
    found = bench.rungs(model)
    output.document({"model": model.id, "rungs": [asdict(rung) for rung in found]})
    output.table(
        ["BITS", "BUILD", ">SIZE", ">PERPLEXITY", ">LOST", ">KL", ">SAME FIRST", ">TOKENS/S", ">MEMORY"],
        [_row(rung) for rung in found],
        "nothing is known yet",
    )
    for line in ["", *ladder_plot(found)]:
        output.text(line)
    return code


def _row(rung: BitRung) -> list[str]:
    def text(value: float | None, pattern: str) -> str:
        return "—" if value is None else pattern.format(value)

    return [
        str(rung.bits),
        rung.name if rung.here else f"{rung.name} (not here)",
        bytes_text(rung.size) if rung.size else "—",
        text(rung.perplexity, "{:.4g}"),
        text(rung.loss, "{:+.2%}") + (" !" if rung.flagged else ""),
        text(rung.kl_divergence, "{:.4f}"),
        text(rung.top1_agreement, "{:.1%}"),
        text(rung.speed, "{:.1f}"),
        bytes_text(rung.memory) if rung.memory else "—",
    ]
