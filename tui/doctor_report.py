"""A file for a bug report: what the doctor found, the queue, the ends of the logs. Nothing secret is in it.

Tokens, keys and passwords are hidden by their form and by their value, whatever file they came from; the home folder
is written as ``~``. The file is private, and plain text, so that one can read it before one sends it.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import tui
from tui.doctor import Check
from tui.paths import Paths
from tui.plain_text import clean, clean_line, without_secrets

LOG_BYTES = 16_000
"""How much of the end of a log is taken."""
FAILED_JOBS = 3
"""The logs of so many failed jobs are taken, the newest first."""
_TOLD = ("TERM", "LANG", "LC_", "COLOR", "NO_COLOR", "TMUX", "STY", "SSH_TTY", "CUDA_", "HF_", "HEFT_", "TEXTUAL_")
_NEVER = ("TOKEN", "KEY", "SECRET", "PASSWORD", "PASSWD")


def write_report(paths: Paths, checks: Sequence[Check], file: Path | None = None) -> Path:
    """Write the report to ``file`` (without one: into the state folder) and return its path; raises ``OSError``."""
    if file is None:
        folder = paths.state / "reports"
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
        file = folder / time.strftime("heft-report-%Y%m%d-%H%M%S.txt")
    text = report_text(paths, checks, os.environ)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    return file


def report_text(paths: Paths, checks: Sequence[Check], environment: Mapping[str, str]) -> str:
    """All of it as text."""
    parts = [
        f"Heft {tui.__version__}, {platform.python_implementation()} {platform.python_version()},"
        f" {platform.system()} {platform.release()} {platform.machine()}",
        f"written {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, by {Path(sys.argv[0]).name}",
        _headed("findings", [_check_line(check) for check in checks]),
        _headed("environment", _told(environment)),
        _headed("config.toml", [_end_of(paths.settings_file)]),
        _headed("jobs", _job_lines(paths)),
        *(_headed(path.name, [_end_of(path)]) for path in (paths.app_log, paths.runner_log)),
        *(_headed(f"log of job {path.parent.name}", [_end_of(path)]) for path in _failed_logs(paths)),
    ]
    text = clean("\n\n".join(parts)) + "\n"
    home = str(Path.home())
    return without_secrets(text.replace(home, "~") if len(home) > 1 else text, environment)


def _headed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"== {title}", *(lines or ["(none)"])])


def _check_line(check: Check) -> str:
    mark = {"ok": "  ", "warning": "! ", "problem": "x "}.get(check.state, "? ")
    return clean_line(f"{mark}{check.name}: {check.summary}" + (f" ({check.hint})" if check.hint else ""), 1000)


def _told(environment: Mapping[str, str]) -> list[str]:
    names = [name for name in sorted(environment) if name.startswith(_TOLD)]
    return [
        f"{name}={'(set)' if any(word in name for word in _NEVER) else clean_line(environment[name], 300)}"
        for name in names
    ]


def _end_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - LOG_BYTES))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "(there is none)"
    except OSError as error:
        return f"(cannot be read: {error.strerror})"
    return text if size <= LOG_BYTES else "…" + text.partition("\n")[2]


def _job_lines(paths: Paths) -> list[str]:
    from tui.jobs.store import Store

    if not paths.database.exists():
        return []
    try:
        store = Store(paths)
    except Exception as error:  # a broken queue is a reason to write a report
        return [clean_line(f"cannot be read: {type(error).__name__}: {error}")]
    try:
        return [
            clean_line(
                f"{job.id} {job.kind} {job.state} {job.model}, attempt {job.attempt}"
                + (f": {job.failure.summary}" if job.failure else ""),
                400,
            )
            for job in store.jobs()[-50:]
        ]
    finally:
        store.close()


def _failed_logs(paths: Paths) -> list[Path]:
    from tui.jobs.job import State
    from tui.jobs.store import Store

    if not paths.database.exists():
        return []
    try:
        store = Store(paths)
    except Exception:  # told under "jobs"
        return []
    try:
        failed = [job for job in store.jobs() if job.state in (State.FAILED, State.INTERRUPTED)]
    finally:
        store.close()
    return [job.log for job in sorted(failed, key=lambda job: -job.id)[:FAILED_JOBS] if job.log.exists()]
