"""Says what is wrong with this installation and what to do about it, also when half of it is broken.

Each check stands alone: one that cannot even be made becomes a problem of its own instead of an error of the whole.
Nothing secret is read out: of a token only its presence is told.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import locale
import os
import shutil
import socket
import subprocess
import sys
import urllib.parse
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tui.paths import Paths
from tui.plain_text import clean_line
from tui.quantities import bytes_text

HEAVY = ("torch", "transformers", "optimum", "gptqmodel")
"""Libraries that only workers load; they are imported here in a process of their own."""

IMPORT_SECONDS = 120
LOW_DISK = 10_000_000_000


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: ``state`` is "ok", "warning" or "problem"; ``hint`` says what to do."""

    name: str
    state: str
    summary: str
    hint: str = ""


def examine(paths: Paths, *, imports: bool = True) -> list[Check]:
    """Make every check; ``imports`` also loads the heavy libraries in a child process (seconds)."""
    checks: list[tuple[str, Callable[[], Iterable[Check]]]] = [
        ("python", check_python),
        ("packages", check_packages),
        ("compiler", check_compiler),
        ("llama.cpp", check_llama_cpp),
        ("folders", lambda: check_folders(paths)),
        ("disk", lambda: check_disk(paths)),
        ("settings", lambda: check_settings(paths)),
        ("catalog", lambda: check_catalog(paths)),
        ("builds", lambda: check_builds(paths)),
        ("queue", lambda: check_queue(paths)),
        ("gpu", lambda: check_gpu(paths)),
        ("hub", check_hub),
        ("terminal", check_terminal),
    ]
    if imports:
        checks.insert(2, ("libraries", check_imports))
    found: list[Check] = []
    for name, check in checks:
        try:
            found.extend(check())
        except Exception as error:  # a check that breaks is itself the finding
            what = clean_line(f"{type(error).__name__}: {error}")
            found.append(Check(name, "problem", f"could not be checked: {what}", "reinstall heft-tui"))
    return found


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


def check_folders(paths: Paths) -> Iterable[Check]:
    """That Heft may write where it must, and that nobody else may read its state."""
    for name, folder in (("builds", paths.builds), ("state", paths.state), ("config", paths.config)):
        place = folder
        while not place.exists() and place != place.parent:
            place = place.parent
        if not os.access(place, os.W_OK | os.X_OK):
            hint = f"make {place} writable, or set HEFT_HOME to a folder of yours"
            yield Check(f"folder {name}", "problem", f"{folder} cannot be written", hint)
        elif name == "state" and folder.exists() and folder.stat().st_mode & 0o077:
            yield Check("folder state", "problem", f"{folder} is open to other users", f"chmod 700 {folder}")
        else:
            yield Check(f"folder {name}", "ok", str(folder))


def check_disk(paths: Paths) -> Iterable[Check]:
    """Room for downloads and builds."""
    for name, folder in (("downloads", paths.hub_cache), ("builds", paths.builds)):
        place = folder
        while not place.exists() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free
        state = "ok" if free >= LOW_DISK else "warning"
        hint = "" if state == "ok" else "free some space: heft builds, heft rm"
        yield Check(f"disk {name}", state, f"{bytes_text(free)} free at {folder}", hint)


def check_settings(paths: Paths) -> Iterable[Check]:
    """``config.toml``."""
    from tui.settings import load_settings

    problems = load_settings(paths.settings_file).problems
    for problem in problems:
        yield Check("settings", "problem", clean_line(problem), f"edit {paths.settings_file}")
    if not problems:
        there = "" if paths.settings_file.exists() else " (none; the defaults hold)"
        yield Check("settings", "ok", f"{paths.settings_file}{there}")


def check_catalog(paths: Paths) -> Iterable[Check]:
    """``models.toml``, the shipped one and the user's."""
    from tui.catalog.catalog_file import load_catalog

    catalog = load_catalog(paths)
    for problem in catalog.problems:
        yield Check("catalog", "problem", clean_line(str(problem)), "correct that row; the others are loaded")
    yield Check("catalog", "ok" if catalog.models else "problem", f"{len(catalog.models)} models")


def check_builds(paths: Paths) -> Iterable[Check]:
    """Builds with missing or damaged files."""
    from tui.catalog.library import Library

    builds = Library(paths).builds()
    for build in builds:
        if build.problem:
            yield Check("builds", "problem", clean_line(f"{build.id}: {build.problem}"), f"heft rm {build.id}")
    yield Check("builds", "ok", f"{sum(1 for build in builds if not build.problem)} usable on this disk")


def check_queue(paths: Paths) -> Iterable[Check]:
    """The database of jobs and the runner."""
    from tui.jobs.liveness import is_locked
    from tui.jobs.store import Store

    if not paths.database.exists():
        yield Check("queue", "ok", "empty; it is made with the first job")
        return
    store = Store(paths)
    try:
        jobs = store.jobs()
    finally:
        store.close()
    waiting = sum(1 for job in jobs if not job.state.is_over)
    runs = is_locked(paths.runner_lock)
    runner = "the runner is up" if runs else "the runner starts when it is needed"
    yield Check("queue", "ok", f"{len(jobs)} jobs, {waiting} not over; {runner}")


def check_gpu(paths: Paths) -> Iterable[Check]:
    """What NVML says."""
    from tui.hardware.probe import Probe

    probe = Probe(paths)
    try:
        snapshot = probe.snapshot()
    finally:
        probe.close()
    for gpu in snapshot.gpus:
        state = "problem" if gpu.error else "ok"
        words = gpu.error or f"{gpu.name}, {bytes_text(gpu.free)} of {bytes_text(gpu.total)} free"
        yield Check(f"GPU {gpu.index}", state, clean_line(words))
    if not snapshot.gpus:
        reason = snapshot.gpu_note or "no GPU"
        yield Check("GPU", "warning", clean_line(reason), "models run on the CPU: take small ones")


def token_place() -> str:
    """Where the hub's token comes from, in words; empty when there is none."""
    home = Path(os.environ.get("HF_HOME") or "~/.cache/huggingface").expanduser()
    token_file = Path(os.environ.get("HF_TOKEN_PATH") or home / "token").expanduser()
    if os.environ.get("HF_TOKEN"):
        return "set by HF_TOKEN"
    return f"stored in {token_file}" if token_file.is_file() else ""


def check_hub() -> Iterable[Check]:
    """The token, by presence only, and whether the hub can be reached."""
    if place := token_place():
        yield Check("hub token", "ok", place)
    else:
        yield Check("hub token", "warning", "none; gated models need one", "hf auth login, or set HF_TOKEN")
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        yield Check("hub", "warning", "HF_HUB_OFFLINE is set: nothing is fetched", "unset it to download")
        return
    url = urllib.parse.urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = url.port or (443 if url.scheme == "https" else 80)
    try:
        socket.create_connection((url.hostname or "", port), timeout=5).close()
    except OSError as error:
        words = clean_line(f"{url.hostname} cannot be reached: {error}")
        yield Check("hub", "warning", words, "the starter and what is on this disk work without it")
    else:
        yield Check("hub", "ok", f"{url.hostname} answers")


def check_terminal() -> Iterable[Check]:
    """What the app will find when it draws."""
    encoding = locale.getpreferredencoding(False)
    if encoding.lower().replace("-", "") != "utf8":
        yield Check("terminal", "warning", f"the locale's encoding is {encoding}", "export LC_ALL=C.UTF-8")
    term = os.environ.get("TERM", "")
    if not term or term == "dumb":
        yield Check("terminal", "warning", f"TERM is {term!r}", "the app needs a terminal; the commands do not")
        return
    size = shutil.get_terminal_size()
    where = [
        name for name, key in (("tmux", "TMUX"), ("screen", "STY"), ("SSH", "SSH_CONNECTION")) if key in os.environ
    ]
    words = f"{term}, {size.columns}x{size.lines}{', inside ' + ' and '.join(where) if where else ''}"
    small = size.columns < 80 or size.lines < 24
    yield Check("terminal", "warning" if small else "ok", words, "80x24 is the smallest good size" if small else "")
