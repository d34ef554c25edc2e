"""Data sets of the hub that other tools calibrate with, by name: one file of each, fetched once into the shared cache.

Workers run without the network so that no library asks it behind the user's back; here the user has asked, so a small
process of its own fetches the file.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import islice
from pathlib import Path

from tui.catalog.calibration_names import HubText
from tui.errors import RecipeError
from tui.plain_text import clean_line

LINES = 20_000
"""Most rows that are read of a data set; calibration takes a few hundred samples of it."""
_OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE")
_FETCH = (
    "import sys\n"
    "from huggingface_hub import hf_hub_download\n"
    "print(hf_hub_download(sys.argv[1], sys.argv[2], repo_type='dataset', cache_dir=sys.argv[3]))\n"
)


def hub_lines(text: HubText, hub_cache: Path, check: Callable[[], None] = lambda: None) -> list[str]:
    """The texts of a data set; ``check`` is called while it is fetched and may raise to stop.

    Raises ``RecipeError`` when it is neither in the cache nor to be had.
    """
    file = _fetched(text, hub_cache, check)
    lines = _parquet(file, text.column) if file.suffix == ".parquet" else _gzipped(file, text.column)
    found = [line for line in lines if line.strip()]
    if not found:
        raise RecipeError(f"{text.name} holds no text in its column {text.column!r}", "use another calibration text")
    return found


def _fetched(text: HubText, hub_cache: Path, check: Callable[[], None]) -> Path:
    from huggingface_hub import try_to_load_from_cache

    known = try_to_load_from_cache(text.repo, text.file, cache_dir=hub_cache, repo_type="dataset")
    if isinstance(known, str):
        return Path(known)
    child = subprocess.Popen(
        [sys.executable, "-c", _FETCH, text.repo, text.file, str(hub_cache)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={key: value for key, value in os.environ.items() if key not in _OFFLINE},
    )
    try:
        while child.poll() is None:
            check()
            time.sleep(0.1)
        out, errors = child.communicate()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
    if child.returncode or not out.strip():
        last = next((line for line in reversed(errors.splitlines()) if line.strip()), "no answer")
        raise RecipeError(
            f"{text.name} ({text.repo}) is not on this disk and cannot be fetched: {clean_line(last, 160)}",
            "leave --calibration away for the built-in text, or give a file",
        )
    return Path(out.strip().splitlines()[-1])


def _parquet(file: Path, column: str) -> list[str]:
    import pyarrow.parquet

    found: list[str] = []
    for batch in pyarrow.parquet.ParquetFile(file).iter_batches(columns=[column], batch_size=4096):
        found += [str(value) for value in batch.column(0).to_pylist() if value]
        if len(found) >= LINES:
            break
    return found[:LINES]


def _gzipped(file: Path, column: str) -> list[str]:
    with gzip.open(file, "rt", encoding="utf-8") as stream:
        return [str(json.loads(line).get(column, "")) for line in islice(stream, LINES)]
