"""The builds on this disk: those that Heft made, and the whole snapshots in the Hugging Face cache.

This module alone lists, finds and removes them. A folder that somebody half filled is never offered as a model: it is
either left out (nothing to load yet) or listed with what is wrong.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tui.catalog.build import PROVENANCE_FILE, Build
from tui.catalog.build_folder import folder_facts, folder_problem
from tui.catalog.cache_trash import (
    CacheRemoval,
    removals,
    remove_files,
    remove_revision,
    restore_revision,
    trash_folder,
)
from tui.catalog.provenance import quality_of, read_provenance, recipe_of, write_provenance
from tui.catalog.weight_files import gguf_builds, gguf_quantization, holds_model, weight_files
from tui.errors import BuildBrokenError, NotFoundError, UsageError
from tui.paths import Paths
from tui.plain_text import clean_line

__all__ = ["Library", "Removal", "folder_problem", "read_provenance", "write_provenance"]


@dataclass(frozen=True, slots=True)
class Removal:
    """A build that was taken away. ``trash`` is where it lies until the trash is emptied, None when it cannot be
    brought back; ``freed`` counts the bytes that the disk got back (0 while it lies in the trash); ``refs`` are the
    branches and tags that stood for it."""

    build: Build
    trash: Path | None
    freed: int
    refs: tuple[str, ...] = ()


class Library:
    """Lists, finds and removes builds. Holds no state but the paths; usable from any thread."""

    def __init__(self, paths: Paths) -> None:
        self.paths = paths

    def builds(self) -> list[Build]:
        """Every build, Heft's own first, each group by id. Broken ones carry ``problem``; nothing is raised."""
        return [*self._own_builds(), *self._cached_builds()]

    def build(self, ref: str) -> Build:
        """Find the build that ``ref`` names: its id, its folder, or its model (whole before broken, unquantized before
        quantized, newest first). Raises ``NotFoundError``, which lists what there is."""
        wanted = ref.strip()
        builds = self.builds()
        for build in builds:
            if wanted in (build.id, str(build.path)):
                return build
        folded = wanted.casefold()
        of_model = [build for build in builds if folded in (build.model.casefold(), build.repo.casefold()) and folded]
        if of_model:
            of_model.sort(key=lambda build: build.created, reverse=True)
            return min(of_model, key=lambda build: (bool(build.problem), not _is_unquantized(build)))
        for build in builds:
            if build.id.casefold() == folded:
                return build
        folder = Path(wanted).expanduser()
        if wanted.startswith(("/", "./", "../", "~")) and folder.is_dir():
            return self.folder_build(folder.absolute())
        names = ", ".join(build.id for build in builds[:8]) + (", …" if len(builds) > 8 else "")
        raise NotFoundError(
            f"there is no build {clean_line(wanted, 80)!r} on this disk",
            f"there are {names}" if builds else "get one with: heft pull MODEL",
        )

    def folder_build(self, folder: Path) -> Build:
        """Describe any folder as a build; its id is the path unless it lies in the builds folder."""
        own = folder.parent == self.paths.builds
        return _describe(folder, folder.name if own else str(folder), "heft" if own else "folder")

    def remove(self, build: Build) -> Removal:
        """Move ``build`` to the trash, from where ``restore`` brings it back. Of one in the Hugging Face cache those
        files stay that other revisions share.

        Raises ``UsageError`` for a folder that is neither, ``NotFoundError`` when it is gone.
        """
        if build.source == "hub-cache":
            return self._remove_cached(build)
        folder = build.path
        if folder.parent != self.paths.builds or folder.name.startswith(".") or folder.name in ("", ".."):
            raise UsageError(f"{folder} is not in Heft's builds folder", "remove it with your own tools")
        trash = self.trash_folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        trash.mkdir(parents=True)
        try:
            folder.rename(trash / folder.name)  # a link is moved as a link: what it points to stays where it is
        except FileNotFoundError:
            trash.rmdir()
            raise NotFoundError(f"{folder} is gone") from None
        return Removal(build, trash / folder.name, 0)

    def restore(self, removal: Removal) -> Build:
        """Bring a removed build back. Raises ``NotFoundError`` when the trash was emptied or it was never kept,
        ``UsageError`` when another build has taken its name."""
        if removal.trash is None or not os.path.lexists(removal.trash):
            raise NotFoundError(f"{removal.build.id} cannot be brought back: it is no longer in the trash")
        if removal.build.source == "hub-cache":
            gone = next((item for item in removals(self.paths.hub_cache) if item.folder == removal.trash), None)
            restore_revision(self.paths.hub_cache, gone or CacheRemoval(removal.trash, removal.build.revision))
            return next(build for build in self._cached_builds() if build.path == removal.build.path)
        target = self.paths.builds / removal.trash.name
        if os.path.lexists(target):
            raise UsageError(f"there is another build {removal.trash.name} now", "remove that one first")
        removal.trash.rename(target)
        with contextlib.suppress(OSError):
            removal.trash.parent.rmdir()
        return self.folder_build(target)

    @property
    def trash_folder(self) -> Path:
        """Where removed builds wait; inside the builds folder, because only within one volume is removing a rename."""
        return self.paths.builds / ".trash"

    def trash(self) -> list[Removal]:
        """What lies in the trash, newest first."""
        found = []
        for entry in self.trash_folder.glob("*/*"):
            build = _describe(entry, entry.name, "heft")
            found.append(Removal(replace(build, path=self.paths.builds / entry.name), entry, 0))
        for gone in removals(self.paths.hub_cache):
            place, build_id = gone.snapshot, gone.repo
            if gone.files:
                place = gone.snapshot / gone.files[0]
                build_id = f"{gone.repo}:{gguf_quantization(place.name) or place.stem}"
            build = _describe(place, build_id, "hub-cache")
            path = self.paths.hub_cache / place.relative_to(gone.folder.parent)
            build = replace(build, path=path, model=gone.repo, repo=gone.repo, revision=gone.commit)
            found.append(Removal(build, gone.folder, 0, gone.refs))
        return sorted(found, key=lambda removal: removal.trash.parent.name if removal.trash else "", reverse=True)

    def empty_trash(self, older_than: float = 0.0) -> int:
        """Delete for good what has lain in the trash for ``older_than`` seconds; returns the bytes of the files.

        Links are removed, not followed.
        """
        freed = 0
        if self.trash_folder.is_symlink():
            return 0
        for removal in self.trash():
            if removal.trash is None or time.time() - removal.trash.parent.stat().st_mtime < older_than:
                continue
            freed += 0 if removal.trash.is_symlink() else removal.build.bytes
            shutil.rmtree(removal.trash.parent)
        for folder in (self.trash_folder, trash_folder(self.paths.hub_cache)):
            with contextlib.suppress(OSError):
                folder.rmdir()
        return freed

    def _own_builds(self) -> list[Build]:
        found = []
        for folder in _folders(self.paths.builds):
            if not folder.name.startswith(".") and ((folder / PROVENANCE_FILE).exists() or holds_model(folder)):
                found += [_describe(path, build_id, "heft") for path, build_id in _weights_in(folder, folder.name)]
        return found

    def _cached_builds(self) -> list[Build]:
        found: list[Build] = []
        for folder in _folders(self.paths.hub_cache):
            if not folder.name.startswith("models--"):
                continue
            repo = folder.name.removeprefix("models--").replace("--", "/")
            snapshots = [item for item in _folders(folder / "snapshots") if holds_model(item) or gguf_builds(item)]
            main = _first_line(folder / "refs" / "main")
            snapshots.sort(key=lambda item: (item.name == main, item.stat().st_mtime), reverse=True)
            for position, snapshot in enumerate(snapshots):
                name = repo if position == 0 else f"{repo}@{snapshot.name[:8]}"
                for path, build_id in _weights_in(snapshot, name):
                    build = _describe(path, build_id, "hub-cache")
                    found.append(replace(build, model=repo, repo=repo, revision=snapshot.name))
        return found

    def _remove_cached(self, build: Build) -> Removal:
        if build.path.is_file():  # one of several GGUF files
            root = next(folder for folder in build.path.parents if folder.parent.name == "snapshots")
            files = [build.path.with_name(name) for name in weight_files(build.path)]
            gone = remove_files(self.paths.hub_cache, root, [str(file.relative_to(root)) for file in files])
        else:
            gone = remove_revision(self.paths.hub_cache, build.path)
        return Removal(build, gone.folder, 0, gone.refs)


def _weights_in(folder: Path, name: str) -> list[tuple[Path, str]]:
    """The builds of one folder with their ids: the folder, or each GGUF file where there are several."""
    files = gguf_builds(folder)
    if not files or (len(files) == 1 and files[0].parent == folder):
        return [(folder, name)]
    said = [gguf_quantization(file.name) for file in files]
    unique = len(set(said)) == len(said) and all(said)
    return [(file, f"{name}:{kind if unique else file.stem}") for file, kind in zip(files, said, strict=True)]


def _describe(folder: Path, build_id: str, source: str) -> Build:
    facts = folder_facts(folder)
    problem = facts.problem
    try:
        provenance = read_provenance(folder.parent if folder.is_file() else folder)
    except BuildBrokenError as error:
        provenance, problem = {}, problem or error.summary
    recipe = recipe_of(provenance)
    repo = _text(provenance, "repo")
    stored = facts.precision
    if recipe is not None and recipe.method == "rtn" and stored.startswith("gptq-"):
        stored = recipe.label  # rounded weights are kept in GPTQ's format
    return Build(
        id=clean_line(build_id),
        path=folder,
        model=_text(provenance, "model") or repo or clean_line(build_id),
        precision=stored or _text(provenance, "precision") or (recipe.label if recipe else ""),
        bytes=facts.bytes,
        revision=_text(provenance, "revision"),
        repo=repo,
        recipe=recipe,
        quality=quality_of(provenance),
        created=_text(provenance, "created") or _modified(folder),
        source=source,
        problem=problem,
        provenance=provenance,
    )


def _text(table: Mapping[str, Any], key: str) -> str:
    value = table.get(key)
    return clean_line(value) if isinstance(value, str) else ""


def _is_unquantized(build: Build) -> bool:
    return build.recipe is None and build.precision in ("float64", "float32", "float16", "bfloat16", "")


def _modified(folder: Path) -> str:
    try:
        return datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat(timespec="seconds")
    except OSError:
        return ""


def _first_line(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _folders(parent: Path) -> list[Path]:
    try:
        return sorted(entry for entry in parent.iterdir() if entry.is_dir())
    except OSError:
        return []
