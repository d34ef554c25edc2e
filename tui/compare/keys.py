"""Hands API keys to the process that asks: the runner may have been started where they were not set.

They stand in one file of the job's own folder, which only this user can enter, and go away with a trial that is done;
never in the queue, on a command line or in a log.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from tui.chat.keys import find_key

KEYS_FILE = "keys"
_PATIENCE = 5.0
"""Seconds that a worker waits for the file: it may start before whoever submitted the job has written it."""


def keep_keys(folder: Path, names: Sequence[str]) -> None:
    """Write the keys that are found for ``names`` now; nothing when there are none."""
    values = {name: key for name in names if (key := find_key(name))}
    if not values:
        return
    beside = folder / f".{KEYS_FILE}"
    with contextlib.suppress(FileNotFoundError):
        beside.unlink()
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(values, file)
    beside.replace(folder / KEYS_FILE)


def read_keys(folder: Path, names: Sequence[str]) -> dict[str, str]:
    """The keys of this job, by the name of their variable; the environment wins."""
    found = {name: key for name in names if (key := find_key(name))}
    missing = [name for name in names if name not in found]
    deadline = time.monotonic() + _PATIENCE
    while missing:
        try:
            kept = json.loads((folder / KEYS_FILE).read_text(encoding="utf-8"))
            return {**{name: str(kept[name]) for name in missing if name in kept}, **found}
        except (OSError, ValueError):
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
    return found


def forget_keys(folder: Path) -> None:
    """Remove the file: nothing more will be asked."""
    with contextlib.suppress(OSError):
        (folder / KEYS_FILE).unlink()
