"""A repository that is a folder of this machine: copied, compared with its source, and named only when it is whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import Any

from tui import __version__
from tui.catalog.build_folder import folder_facts
from tui.catalog.hub import HubFile
from tui.catalog.library import Library
from tui.catalog.needed_files import needed_files
from tui.catalog.provenance import read_provenance, write_provenance
from tui.errors import BuildBrokenError, HeftError, NotFoundError
from tui.jobs.job import Needs
from tui.jobs.preflight import require_disk
from tui.plain_text import clean_line
from tui.workers.reporter import Reporter

_PIECE = 1 << 20


def copy_folder(reporter: Reporter, source: Path) -> dict[str, Any]:
    """Make the build ``spec["name"]`` from ``source``; does nothing when it is there and the same."""
    spec = reporter.job.spec
    name = str(spec.get("name") or source.name)
    if not name or name != Path(name).name or name.startswith("."):
        raise HeftError(f"{clean_line(name)!r} cannot be the name of a build")
    if not source.is_dir():
        raise NotFoundError(f"the folder {source} is gone", "give a folder that holds a model")
    target = reporter.paths.builds / name
    files = _files_of(source)
    total = sum(file.size for file in files)
    reporter.progress(0, total, "B", "looking at what is here")
    if _is_same(reporter, source, target, files):
        reporter.say(f"{target} is whole already")
        reporter.progress(total, total, "B", "complete")
        return _result(target, name, total)
    require_disk(Needs(disk=total, disk_path=str(reporter.paths.builds)), f"the copy of {source.name}")
    making = reporter.paths.builds / f".making-{reporter.job.id}"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        sums = _copy(reporter, source, making, files, total)
        facts = folder_facts(making)
        if facts.problem:
            raise BuildBrokenError(f"{source} is not a whole model: {facts.problem}")
        origin = {"model": str(spec.get("model") or name), "repo": str(source), "revision": ""}
        write_provenance(making, origin | {"precision": facts.precision, "files": sums, "heft": __version__})
        _name(reporter, making, target)
    except HeftError:
        shutil.rmtree(making, ignore_errors=True)
        raise
    return _result(target, name, total)


def _files_of(source: Path) -> tuple[HubFile, ...]:
    found = []
    for path in sorted(source.rglob("*")):
        relative = path.relative_to(source)
        hidden = any(part.startswith(".") for part in relative.parts)
        if path.is_file() and not hidden and "__pycache__" not in relative.parts:
            found.append(HubFile(relative.as_posix(), path.stat().st_size, "", ""))
    return needed_files(found)


def _is_same(reporter: Reporter, source: Path, target: Path, files: tuple[HubFile, ...]) -> bool:
    """Whether ``target`` was made of these very files and is still whole."""
    try:
        known = read_provenance(target).get("files")
    except BuildBrokenError:
        return False
    if not isinstance(known, dict) or set(known) != {file.path for file in files} or folder_facts(target).problem:
        return False
    for file in files:
        copied = target / file.path
        if not copied.is_file() or copied.stat().st_size != file.size:
            return False
        if _digest(reporter, source / file.path) != known[file.path]:
            return False
    return True


def _copy(reporter: Reporter, source: Path, making: Path, files: tuple[HubFile, ...], total: int) -> dict[str, str]:
    done, sums = 0, {}
    for file in files:
        target = making / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        state = hashlib.sha256()
        with (source / file.path).open("rb") as reading, target.open("xb") as writing:
            while piece := reading.read(_PIECE):
                reporter.check()
                writing.write(piece)
                state.update(piece)
                done += len(piece)
                reporter.progress(done, total, "B", f"copying {clean_line(file.path)}")
            writing.flush()
            os.fsync(writing.fileno())
        sums[file.path] = state.hexdigest()
        if _digest(reporter, target) != sums[file.path]:
            raise BuildBrokenError(f"the copy of {clean_line(file.path)} differs from its source", "check the disk")
    return sums


def _digest(reporter: Reporter, path: Path) -> str:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            reporter.check()
            state.update(piece)
    return state.hexdigest()


def _name(reporter: Reporter, making: Path, target: Path) -> None:
    """Give the finished folder its name; an older build of that name goes to the trash first."""
    if os.path.lexists(target):
        library = Library(reporter.paths)
        removal = library.remove(library.folder_build(target))
        reporter.say(f"the old {target.name} is in {removal.trash}")
    making.rename(target)


def _result(target: Path, name: str, size: int) -> dict[str, Any]:
    return {"build": name, "path": str(target), "revision": "", "bytes": size}
