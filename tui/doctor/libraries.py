"""Python, the packages that must work together, and what computes faster when it is there."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable

from tui.doctor.check import Check
from tui.plain_text import clean_line

HEAVY = ("torch", "transformers", "optimum", "gptqmodel")
"""Libraries that only workers load; they are imported here in a process of their own."""

IMPORT_SECONDS = 120


def check_python() -> Iterable[Check]:
    """The interpreter."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok", f"{version} at {sys.executable}")


def check_packages() -> Iterable[Check]:
    """Versions that must work together, against the ranges that the distribution declares."""
    from packaging.requirements import Requirement

    try:
        lines = importlib.metadata.requires("heft-tui") or []
    except importlib.metadata.PackageNotFoundError:
        yield Check("packages", "warning", "heft-tui itself is not installed", "pip install . in the source folder")
        return
    for requirement in map(Requirement, lines):
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            hint = f'pip install "{requirement.name}{requirement.specifier}"'
            yield Check(requirement.name, "problem", "is not installed", hint)
            continue
        if requirement.specifier.contains(version, prereleases=True):
            yield Check(requirement.name, "ok", version)
        else:
            hint = f'pip install "{requirement.name}{requirement.specifier}"'
            yield Check(requirement.name, "problem", f"{version} does not suit {requirement.specifier}", hint)
    for trap in ("auto-gptq", "autoawq"):
        try:
            version = importlib.metadata.version(trap)
        except importlib.metadata.PackageNotFoundError:
            continue
        hint = f"pip uninstall {trap}; gptqmodel replaces it"
        yield Check(trap, "warning", f"{version} is installed and breaks with transformers 5", hint)


def check_imports() -> Iterable[Check]:
    """Whether the heavy libraries really load, tried in one child process."""
    code = (
        "import importlib, json, sys\n"
        "for name in sys.argv[1:]:\n"
        "    try:\n"
        "        importlib.import_module(name); answer = ''\n"
        "    except BaseException as error:\n"
        "        answer = f'{type(error).__name__}: {error}' or 'failed'\n"
        "    print('\\n' + json.dumps([name, answer]), flush=True)\n"
    )
    missing = [name for name in HEAVY if importlib.util.find_spec(name) is None]
    names = [name for name in HEAVY if name not in missing]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TORCHDYNAMO_DISABLE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *names],
            capture_output=True,
            text=True,
            timeout=IMPORT_SECONDS,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        yield Check("libraries", "problem", f"did not load within {IMPORT_SECONDS} s", "is the disk or network slow?")
        return
    answers = {}
    for line in done.stdout.splitlines():
        if line.startswith("["):
            name, answer = json.loads(line)
            answers[name] = answer
    for name in names:
        answer = answers.get(name, f"the interpreter died (exit {done.returncode})")
        if answer:
            hint = f"pip install --force-reinstall --no-deps {name}, in the versions above"
            yield Check(f"import {name}", "problem", clean_line(answer, 300), hint)
    if not any(answers.get(name, "died") for name in names):
        yield Check("libraries", "ok", f"{', '.join(names)} load")


def check_compiler() -> Iterable[Check]:
    """With a compiler, chats on a CPU write faster and GPTQ packs faster; nothing needs one."""
    found = shutil.which("g++") or shutil.which("c++")
    if found:
        yield Check("compiler", "ok", found)
    else:
        hint = "all works without one; chats on a CPU and packing are slower"
        yield Check("compiler", "warning", "no C++ compiler", hint)


def check_llama_cpp() -> Iterable[Check]:
    """That llama.cpp can run on this processor; only GGUF builds need it."""
    from tui.hardware.host_probe import llama_cpp_lacks

    lacking = llama_cpp_lacks()
    if lacking:
        what = f"this CPU lacks {', '.join(lacking)}"
        yield Check("llama.cpp", "warning", what, "GGUF builds cannot be loaded; GPTQ builds use GPTQ's own kernels")
    else:
        yield Check("llama.cpp", "ok", "this CPU has what its wheel is built for")
