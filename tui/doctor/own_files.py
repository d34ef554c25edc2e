"""Heft's own files: its folders and the room in them, settings, catalog, builds and the queue."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable

from tui.doctor.check import Check
from tui.paths import Paths
from tui.plain_text import clean_line
from tui.quantities import bytes_text

LOW_DISK = 10_000_000_000


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
