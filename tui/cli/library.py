"""``heft builds``, ``heft rm`` and ``heft prune``: what is on this disk."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from tui.catalog.leftovers import Leftover
from tui.cli.facts import build_facts, time_text
from tui.cli.output import Output
from tui.quantities import bytes_text
from tui.workbench import Workbench


def list_builds(arguments: Namespace, output: Output) -> int:
    """Print every build with its size, recipe and what quantizing cost; with ``--all`` all that lies on this disk."""
    if arguments.all:
        return _list_all(output)
    builds = Workbench().builds()
    output.document([build_facts(build) for build in builds])
    rows = []
    for build in builds:
        loss = build.quality.relative_loss if build.quality else None
        quality = f"{loss:+.2%} perplexity" if loss is not None else ""
        if build.quality and build.quality.is_flagged:
            quality += " !"
        rows.append([build.id, build.precision, bytes_text(build.bytes), quality, build.problem or "whole"])
    output.table(
        ["BUILD", "PRECISION", ">SIZE", "QUALITY", "STATE"],
        rows,
        "nothing here yet; heft pull heft-starter works offline",
    )
    return 0


def _list_all(output: Output) -> int:
    use = Workbench().disk_use(compare=True)
    output.document(
        {
            "builds": [
                build_facts(item.build) | {"last_used": time_text(item.last_used), "refs": list(item.refs)}
                for item in use.builds
            ],
            "leftovers": [_leftover_facts(item) for item in use.leftovers],
            "duplicates": [
                {"bytes": item.bytes, "wasted": item.wasted, "paths": [str(path) for path in item.paths]}
                for item in use.duplicates
            ],
        }
    )
    rows = [
        [
            item.build.id,
            bytes_text(item.build.bytes),
            item.last_used.strftime("%Y-%m-%d") if item.last_used else "—",
            ", ".join(item.refs) or item.build.revision[:8],
            item.build.problem or "whole",
        ]
        for item in use.builds
    ]
    output.table(["BUILD", ">SIZE", "LAST USED", "REVISION", "STATE"], rows, "no builds here yet")
    if use.leftovers:
        output.text()
        _tell_leftovers(use.leftovers, output)
        free = sum(item.bytes for item in use.leftovers if not item.kept_because)
        output.text(f"heft prune frees {bytes_text(free)}")
    for twin in use.duplicates:
        output.text(f"\n{len(twin.paths)} times the same {bytes_text(twin.bytes)}:")
        for path in twin.paths:
            output.text(f"  {path}")
    return 0


def _leftover_facts(item: Leftover) -> dict[str, Any]:
    return {
        "kind": item.kind,
        "name": item.name,
        "path": str(item.path),
        "bytes": item.bytes,
        "kept_because": item.kept_because,
    }


def _tell_leftovers(found: Sequence[Leftover], output: Output, fate: str = "may go") -> None:
    rows = [[item.kind, item.name, bytes_text(item.bytes), item.kept_because or fate] for item in found]
    output.table(["LEFTOVER", "OF", ">SIZE", "STATE"], rows, "nothing lies around")


def prune(arguments: Namespace, output: Output) -> int:
    """Delete leftovers, or say which would go."""
    bench = Workbench()
    if arguments.dry_run:
        found = list(bench.disk_use(trash=arguments.trash).leftovers)
        output.document([_leftover_facts(item) for item in found])
        _tell_leftovers(found, output)
        return 0
    gone, problems = bench.prune(trash=arguments.trash)
    output.document([_leftover_facts(item) for item in gone])
    if gone:
        _tell_leftovers(gone, output, "gone")
    output.text(f"{bytes_text(sum(item.bytes for item in gone))} freed")
    for problem in problems:
        output.note(f"stays: {problem}")
    return 1 if problems else 0


def remove(arguments: Namespace, output: Output) -> int:
    """Move a build to the trash (refused while a job uses it), or bring it back."""
    bench = Workbench()
    if arguments.undo:
        build = bench.restore_build(arguments.build)
        output.document(build_facts(build))
        output.text(f"{build.id} is back")
        return 0
    build = bench.remove_build(arguments.build)
    output.document(build_facts(build))
    output.text(f"removed {build.id} ({bytes_text(build.bytes)})")
    output.text(f"heft rm --undo {build.id} brings it back, for a day; heft prune --trash frees its space now")
    return 0
