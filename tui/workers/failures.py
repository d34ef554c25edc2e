"""An exception in the words of a person: what happened, with numbers, and what to change.

The traceback goes to the log, without tokens; the job's row gets one summary and one hint.
"""

from __future__ import annotations

import errno
import re
import resource
import traceback
from collections.abc import Iterator
from pathlib import Path

from tui.errors import HeftError, HubUnreachableError
from tui.jobs.job import Failure
from tui.plain_text import clean, clean_line
from tui.quantities import bytes_text
from tui.workers.reporter import redact

_FULL = (errno.ENOSPC, errno.EDQUOT)
_CPU_ALLOCATION = re.compile(r"tried to allocate (\d+) bytes")


def disk_is_full(error: BaseException) -> bool:
    """Whether ``error`` comes from a full disk or quota; then the job can go on when there is room."""
    return any(
        (isinstance(link, OSError) and link.errno in _FULL) or "No space left on device" in str(link)
        for link in _chain(error)
    )


def failure_of(error: BaseException, log: Path) -> Failure:
    """The failure that the job's row shall carry."""
    summary, hint = _words(error)
    exit_code = error.exit_code if isinstance(error, HeftError) else HeftError.exit_code
    passing = isinstance(error, HubUnreachableError) and error.passing
    return Failure(clean_line(redact(summary)), clean_line(redact(hint)), str(log), exit_code, passing)


def traceback_text(error: BaseException) -> str:
    """The whole story for the log, without tokens or control characters."""
    return clean(redact("".join(traceback.format_exception(error))))


def _words(error: BaseException) -> tuple[str, str]:
    if isinstance(error, HeftError):
        return error.summary, error.hint
    text = str(error)
    if type(error).__name__ == "OutOfMemoryError" or "CUDA out of memory" in text:
        first = text.removeprefix("CUDA out of memory.").strip() or "no numbers were given"
        return (
            f"the GPU ran out of memory: {first}",
            "unload other models, or take a shorter context, fewer bits or fewer calibration samples",
        )
    asked = _CPU_ALLOCATION.search(text)
    if isinstance(error, MemoryError) or asked:
        wanted = f" when it asked for {bytes_text(int(asked[1]))}" if asked else ""
        return (
            f"memory ran out{wanted}: this job used {_peak_memory()}, {_free_memory()} were free at the end",
            "close other programs, or take a smaller model, a shorter context or fewer calibration samples",
        )
    return f"{type(error).__name__}: {text}" if text else type(error).__name__, "the log has the whole story"


def _peak_memory() -> str:
    return bytes_text(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)


def _free_memory() -> str:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return bytes_text(int(found[1]) * 1024 if found else None)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        yield link
        link = link.__cause__ or link.__context__
