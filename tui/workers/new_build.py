"""What every job that makes a build does alike: the name it may take, where the weights came from, and what it does
when a build of that name is there already."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tui.catalog.build_folder import folder_problem
from tui.catalog.provenance import read_provenance
from tui.errors import RecipeError
from tui.paths import Paths
from tui.workers.reporter import Reporter


def target_of(paths: Paths, name: str) -> Path:
    """The folder of a new build called ``name``; raises ``RecipeError`` where that is no name."""
    if not name or name != Path(name).name or name.startswith("."):
        raise RecipeError(f"{name!r} is not a name for a build", "use letters, digits, dots and dashes")
    return paths.builds / name


def origin_of(reporter: Reporter, source: Path) -> dict[str, str]:
    """Where the weights in ``source`` come from: model, repository, revision and build."""
    facts = read_provenance(source)
    from_cache = source.parent.name == "snapshots"
    repo = str(facts.get("repo") or "")
    if not repo and from_cache:
        repo = source.parent.parent.name.removeprefix("models--").replace("--", "/")
    return {
        "model": str(facts.get("model") or reporter.job.model),
        "repo": repo,
        "revision": str(facts.get("revision") or (source.name if from_cache else "")),
        "source_build": str(reporter.job.spec.get("build") or (repo if from_cache else source.name)),
    }


def require_same(target: Path, same: bool) -> dict[str, Any]:
    """The provenance of the build that is at ``target`` already; raises ``RecipeError`` unless it is whole and is the
    ``same`` as what the job would make."""
    if same and not folder_problem(target):
        return read_provenance(target)
    raise RecipeError(
        f"there is a build named {target.name} already" + (", and it is damaged" if same else ", made otherwise"),
        f"choose another name with --name, or remove it with: heft rm {target.name}",
    )
