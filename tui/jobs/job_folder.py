"""The files of one job that outlive the database: ``spec.json`` (what was asked) and ``outcome.json`` (how it stands).

The worker reads its order from here, and a damaged database is rebuilt from here, so both are written beside and
renamed into place.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

SPEC_FILE = "spec.json"
OUTCOME_FILE = "outcome.json"


def write_spec(folder: Path, spec: dict[str, Any]) -> None:
    """Write ``spec.json`` durably, creating the folder with mode 0700; raises ``OSError`` (full disk)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / SPEC_FILE, spec, durable=True)


def read_spec(folder: Path) -> dict[str, Any]:
    """Read ``spec.json``; raises ``OSError`` or ``ValueError``."""
    return _read(folder / SPEC_FILE)


def write_outcome(folder: Path, outcome: dict[str, Any]) -> None:
    """Keep a copy of how the job stands; a failure to write it is no failure of the job."""
    with contextlib.suppress(OSError):
        _write(folder / OUTCOME_FILE, outcome, durable=False)


def read_outcome(folder: Path) -> dict[str, Any]:
    """Read ``outcome.json``; empty when the job had not come to rest."""
    try:
        return _read(folder / OUTCOME_FILE)
    except (OSError, ValueError):
        return {}


def forget_outcome(folder: Path) -> None:
    """Remove ``outcome.json``: the job is in the queue again."""
    with contextlib.suppress(OSError):
        (folder / OUTCOME_FILE).unlink()


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a table")
    return content


def _write(path: Path, content: dict[str, Any], *, durable: bool) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("w", encoding="utf-8") as file:
            json.dump(content, file, ensure_ascii=False)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise
