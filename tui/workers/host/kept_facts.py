"""The facts of a folder's small files, made once by a process of its own and kept in the state folder.

The key is everything that goes into them: the files themselves, byte by byte, and the versions of the libraries. What
is kept is only ever a faster way to the same facts: where it is not there or cannot be made, the host loads the folder
through transformers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import tui

FOLDER = "loaded"
KEPT = 64
"""Folders whose facts are kept, the newest ones."""
PATIENCE_SECONDS = 60.0
_SMALL = (".json", ".jinja", ".model", ".txt", ".tiktoken")
_LIBRARIES = ("transformers", "tokenizers", "huggingface_hub")


def facts_of(folder: Path, kept: Path, unwanted: Callable[[], bool]) -> tuple[dict[str, Any], Path] | None:
    """The facts of ``small_files`` for ``folder`` and the file of its tokenizer; None where transformers has to load
    it. ``kept`` is the folder that keeps them; gives up when ``unwanted()`` holds."""
    with contextlib.suppress(OSError, ValueError, PackageNotFoundError, subprocess.SubprocessError):
        file = kept / f"{_key(folder)}.json"
        if not file.is_file():
            kept.mkdir(parents=True, exist_ok=True)
            if not _make(folder, file, unwanted):
                return None
            _prune(kept)
        facts = json.loads(file.read_text(encoding="utf-8"))
        if "why_not" in facts:
            return None
        name = facts["tokenizer"]["file"]
        return facts, kept / name if name else folder / "tokenizer.json"
    return None


def _key(folder: Path) -> str:
    """A digest of all small files and of the libraries that read them."""
    found = hashlib.blake2b(digest_size=16)
    for name in (f"heft {tui.__version__}", *(f"{each} {version(each)}" for each in _LIBRARIES)):
        found.update(name.encode() + b"\0")
    places = [*folder.iterdir(), *(folder / "additional_chat_templates").glob("*")]
    for path in sorted(path for path in places if path.suffix in _SMALL and path.is_file()):
        data = path.read_bytes()
        found.update(f"{path.relative_to(folder)} {len(data)}\0".encode() + data)
    return found.hexdigest()


def _make(folder: Path, file: Path, unwanted: Callable[[], bool]) -> bool:
    command = [sys.executable, "-m", "tui.workers.host.small_files", str(folder.absolute()), str(file.absolute())]
    code = str(Path(tui.__file__).resolve().parent.parent)
    given = os.environ.get("PYTHONPATH", "")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([code, *([given] if given else [])])}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
    )
    waited = 0.0
    try:
        while waited < PATIENCE_SECONDS and not unwanted():
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(0.05) == 0 and file.is_file()
            waited += 0.05
        return False
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _prune(kept: Path) -> None:
    """Forget the oldest, each with its tokenizer."""
    facts = [path for path in kept.glob("*.json") if not path.name.endswith(".tokenizer.json")]
    for path in sorted(facts, key=lambda path: path.stat().st_mtime)[:-KEPT]:
        path.with_suffix(".tokenizer.json").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
