"""Loads the quantizing libraries without their noise. This module alone imports gptqmodel and optimum first.

They print a banner, install a log handler, redraw progress bars into the log, and put their cache into one folder of
/tmp that all users of a machine share. What they would set is set before, or undone.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import re
import resource
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from tui.errors import HeftError
from tui.paths import Paths

LIBRARIES = ("torch", "transformers", "optimum", "gptqmodel")


class PlainLines(io.TextIOBase):
    """Writes to ``stream`` without colours, redraws and empty lines: what libraries draw for a terminal, for a log."""

    _DRAWN = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[ \t]+(?=[\r\n])")

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._at_start = True

    def write(self, text: str, /) -> int:
        """Write what is left of ``text`` without the drawing."""
        for line in self._DRAWN.sub("", text).replace("\r", "\n").splitlines(keepends=True):
            if line == "\n" and self._at_start:
                continue
            self._stream.write(line)
            self._at_start = line.endswith("\n")
        return len(text)

    def flush(self) -> None:
        """Flush the stream below."""
        self._stream.flush()

    def fileno(self) -> int:
        """The descriptor of the stream below."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """A log is no terminal."""
        return False


def load_libraries(paths: Paths) -> None:
    """Import gptqmodel (and torch and transformers with it), quietly. Raises ``HeftError`` when it is not installed."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise HeftError(f"{' and '.join(missing)} not installed", "pip install --upgrade heft-tui; then heft doctor")
    os.environ.setdefault("HF_HOME", str(paths.hub_cache.parent))  # else all users share a folder in /tmp
    os.environ.setdefault("COLUMNS", "200")  # or their tables are cut to nothing
    if not isinstance(sys.stdout, PlainLines):
        sys.stdout = PlainLines(sys.stdout)
    handlers = list(logging.getLogger().handlers)
    gc.disable()  # a million objects that stay: looking among them for garbage is a fifth of the time of the import
    try:
        import gptqmodel.utils.logger as gptqmodel_log
    finally:
        gc.enable()

    gptqmodel_log._suppress_live_renderables = lambda: True
    logging.getLogger().handlers[:] = handlers


def versions() -> dict[str, str]:
    """Versions of the libraries that made a build, and of Heft."""
    from tui import __version__

    found = {"heft": __version__}
    for name in (*LIBRARIES, "tokenizers", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def has_native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 itself; without that it is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16|bf16)\b", flags) is not None


def torch_dtype(name: str) -> Any:
    """The torch dtype called "float32", "float16" or "bfloat16"."""
    import torch

    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]


def device_of(job_device: str) -> str:
    """Where a job with this device computes: "cuda" or "cpu". A GPU job sees its own GPU only, as the first one."""
    return "cuda" if job_device.startswith("cuda") else "cpu"


def cpu_seconds() -> dict[str, float]:
    """CPU seconds of this process, and of the check that it ran in another one; other users' load does not change
    them."""
    own, check = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return {"job": round(own.ru_utime + own.ru_stime, 2), "check": round(check.ru_utime + check.ru_stime, 2)}


def peak_memory() -> int:
    """Largest resident memory of this process so far, in bytes."""
    try:
        status = Path("/proc/self/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 0
