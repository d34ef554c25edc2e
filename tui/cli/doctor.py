"""``heft doctor``: what is wrong with this installation. It works without a workbench, because that may be broken."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from tui.cli.output import Output
from tui.doctor import examine
from tui.doctor_report import write_report
from tui.errors import HeftError
from tui.paths import Paths

MARKS = {"ok": "✓", "warning": "!", "problem": "✗"}


def doctor(arguments: Namespace, output: Output) -> int:
    """Print every check; exit code 1 when there is a problem."""
    paths = Paths.from_environment()
    checks = examine(paths, imports=not arguments.quick)
    report = None
    if arguments.report is not None:
        try:
            report = write_report(paths, checks, Path(arguments.report) if arguments.report else None)
        except OSError as error:
            raise HeftError(f"the report cannot be written: {error}", "name another file after --report") from error
    found = [asdict(check) for check in checks]
    output.document(found if report is None else {"report": str(report), "checks": found})
    for check in checks:
        output.text(f"{MARKS[check.state]} {check.name:<18} {check.summary}")
        if check.hint and check.state != "ok":
            output.text(f"  {'':<18} {check.hint}")
    if report is not None:
        output.text(f"\nThe report is {report}. Read it before you send it.")
    return 1 if any(check.state == "problem" for check in checks) else 0
