"""The files of one job that outlive the database: ``spec.json`` (what was asked) and ``outcome.json`` (how it stands).

The worker reads its order from here, and a damaged database is rebuilt from here, so both are written beside and
renamed into place. Where a full disk does not let a new file in, an outcome takes the place that was reserved for it
when the job was submitted: a job that was cancelled on a full disk stays cancelled.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

SPEC_FILE = "spec.json"
OUTCOME_FILE = "outcome.json"
OUTCOME_ROOM = 4096
"""Bytes that every ``outcome.json`` takes at least: so much fits into it without a new block."""


def write_spec(folder: Path, spec: dict[str, Any]) -> None:
    """Write ``spec.json`` durably, creating the folder with mode 0700; raises ``OSError`` (full disk)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / SPEC_FILE, spec, durable=True)


def read_spec(folder: Path) -> dict[str, Any]:
    """Read ``spec.json``; raises ``OSError`` or ``ValueError``."""
    return _read(folder / SPEC_FILE)


def reserve_outcome(folder: Path) -> None:
    """Write an empty ``outcome.json`` with room for what will become of the job, creating the folder with mode 0700;
    raises ``OSError`` (full disk)."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write(folder / OUTCOME_FILE, {}, durable=False, room=OUTCOME_ROOM)


def write_outcome(folder: Path, outcome: dict[str, Any]) -> None:
    """Keep a copy of how the job stands; a failure to write it is no failure of the job."""
    path = folder / OUTCOME_FILE
    try:
        _write(path, outcome, durable=False, room=OUTCOME_ROOM)
    except OSError:
        with contextlib.suppress(OSError):
            _overwrite(path, outcome)


def read_outcome(folder: Path) -> dict[str, Any]:
    """Read ``outcome.json``; empty when the job had not come to rest. Raises ``OSError`` for one that is there and
    cannot be read."""
    try:
        return _read(folder / OUTCOME_FILE)
    except (FileNotFoundError, ValueError):
        return {}


def forget_outcome(folder: Path) -> None:
    """Empty ``outcome.json``, keeping its room: the job is in the queue again."""
    write_outcome(folder, {})


def _read(path: Path) -> dict[str, Any]:
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path} does not hold a table")
    return content


def _write(path: Path, content: dict[str, Any], *, durable: bool, room: int = 0) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(_bytes_of(content, room))
            if durable:
                file.flush()
                os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            beside.unlink()
        raise


def _overwrite(path: Path, content: dict[str, Any]) -> None:
    """Write in place what fits into the blocks that the file has; nothing when it does not fit."""
    with path.open("r+b", buffering=0) as file:
        room = os.fstat(file.fileno()).st_size
        text = _bytes_of(content, room)
        if len(text) == room:
            file.write(text)


def _bytes_of(content: dict[str, Any], room: int) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode().ljust(room)
