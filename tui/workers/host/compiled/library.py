"""The compiled library: made from step.c for just this processor, kept in the state folder, loaded into this process.

A library from elsewhere would have to be built for every processor; a compiler on the machine itself knows which
instructions there are. One process loads it once, as it does torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("step.c")
INCLUDED = tuple(Path(__file__).with_name(name) for name in ("products.h", "packed.h"))
COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
PATIENCE_SECONDS = 120.0
NO_COMPILER = "no C compiler"

_loaded: list[ctypes.CDLL] = []
_compiling = threading.Lock()


def loaded() -> ctypes.CDLL | None:
    """The library, once ``open_library`` has loaded it."""
    return _loaded[0] if _loaded else None


def open_library(folder: Path) -> str:
    """Load the library, compiling it into ``folder`` where that is not done yet; returns why not, or ""."""
    if _loaded:
        return ""
    try:
        file = compile_library(folder)
        if file is None:
            return NO_COMPILER
        _loaded.append(_declared(ctypes.CDLL(str(file))))
    except (OSError, subprocess.SubprocessError, AttributeError) as error:
        return f"step.c was not compiled: {_words(error)}"
    return ""


def compile_library(folder: Path) -> Path | None:
    """The library's file in ``folder``, compiled where it is not there yet; None without a compiler. Threads may ask at
    once. Raises ``OSError`` and what ``subprocess`` raises."""
    compiler = next((found for name in COMPILERS if (found := shutil.which(name))), None)
    if compiler is None:
        return None
    sources = [path.read_bytes() for path in (SOURCE, *INCLUDED)]
    marks = (*sources, _instructions(), os.path.realpath(compiler).encode())
    file = folder / f"step-{hashlib.sha256(b'|'.join(marks)).hexdigest()[:16]}.so"
    with _compiling:
        if not file.is_file():
            _compile(compiler, file)
    return file


def _instructions() -> bytes:
    """What this processor can do, as the kernel tells it."""
    lines = Path("/proc/cpuinfo").read_bytes().splitlines()
    return next((line for line in lines if line.startswith((b"flags", b"Features"))), b"")


def _compile(compiler: str, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f"{file.name}.{os.getpid()}")
    command = [compiler, *FLAGS, "-o", str(beside), str(SOURCE), "-lm"]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def _declared(library: ctypes.CDLL) -> ctypes.CDLL:
    address, number = ctypes.c_void_p, ctypes.c_int64
    library.multiply.argtypes = [address, address, number, address, number]
    library.multiply.restype = None
    library.choose.argtypes = [address, number, number, number, address, address, number]
    library.choose.restype = number
    library.pack.argtypes = [address, number, number, number, *[address] * 4, number]
    library.pack.restype = None
    library.step.argtypes = [address, number, number, address, address, number, address, address, number]
    library.step.restype = None
    return library


def _words(error: Any) -> str:
    said = str(getattr(error, "stderr", "") or error).strip().splitlines()
    return next((line for line in said if "error" in line), said[-1] if said else type(error).__name__)[:200]
