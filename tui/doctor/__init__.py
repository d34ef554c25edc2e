"""Says what is wrong with this installation and what to do about it, also when half of it is broken.

Each check stands alone: one that cannot even be made becomes a problem of its own instead of an error of the whole.
Nothing secret is read out: of a token only its presence is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tui.doctor.check import Check
from tui.doctor.libraries import check_compiler, check_imports, check_llama_cpp, check_packages, check_python
from tui.doctor.own_files import (
    check_builds,
    check_catalog,
    check_disk,
    check_folders,
    check_queue,
    check_settings,
)
from tui.doctor.surroundings import check_gpu, check_hub, check_terminal, token_place
from tui.paths import Paths
from tui.plain_text import clean_line

__all__ = ["Check", "examine", "token_place"]


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
