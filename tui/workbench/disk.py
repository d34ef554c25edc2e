"""What is on this disk: builds, the trash, leftovers and duplicates."""

from __future__ import annotations

from tui.catalog.build import Build
from tui.catalog.leftovers import TRASH_SECONDS, Leftover, duplicates, leftovers, prune
from tui.errors import BuildBrokenError, HeftError, NotFoundError
from tui.jobs.disk_use import DiskUse, build_use, in_use, user_of
from tui.jobs.job import Job
from tui.workbench.ground import Ground


class DiskRequests(Ground):
    """Requests about weights that are on this disk."""

    def jobs(self) -> list[Job]:
        """The queue, in its order."""
        return self.store.jobs()

    def builds(self) -> list[Build]:
        """Every build of Heft and every complete model in the Hugging Face cache."""
        return self.library.builds()

    def build(self, ref: str) -> Build:
        """The build of that id, path or model; raises ``NotFoundError`` with what exists."""
        try:
            return self.library.build(ref)
        except NotFoundError:
            row = self._catalog.find(ref)
            if row is None or not row.repo or row.is_local_folder:
                raise
            return self.library.build(row.repo)

    def whole_build(self, ref: str) -> Build:
        """The same, refused with ``BuildBrokenError`` when a file of it is missing or damaged."""
        build = self.build(ref)
        if build.problem:
            raise BuildBrokenError(f"{build.id} cannot be loaded: {build.problem}", f"heft rm {build.id}, then get it")
        return build

    def remove_build(self, ref: str) -> Build:
        """Move a build to the trash, where it can be brought back for a day; refused while a job uses it."""
        build = self.build(ref)
        job = user_of(build, self.jobs())
        if job is not None:
            raise HeftError(f"job {job.id} ({job.kind}) uses {build.id}", f"heft jobs cancel {job.id} first")
        self.library.empty_trash(older_than=TRASH_SECONDS)
        self.library.remove(build)
        return build

    def restore_build(self, ref: str = "") -> Build:
        """Bring the newest removed build of that name (without one: of any) back; raises ``NotFoundError`` when it is
        not in the trash."""
        for removal in self.library.trash():
            if ref in ("", removal.build.id, removal.build.path.name):
                return self.library.restore(removal)
        if not ref:
            raise NotFoundError("the trash is empty", "removed builds wait there for a day")
        raise NotFoundError(f"there is no {ref} in the trash", "removed builds wait there for a day")

    def disk_use(self, *, compare: bool = False, trash: bool = False) -> DiskUse:
        """Builds with their last use, what could be deleted (``trash``: also what was removed a moment ago), and what
        is here twice; ``compare`` reads files of equal size to find more of those."""
        jobs = self.jobs()
        builds = tuple(build_use(build, jobs) for build in self.builds())
        return DiskUse(
            builds,
            tuple(leftovers(self.paths, in_use(jobs), trash=trash)),
            tuple(duplicates(self.paths, compare=compare)),
            tuple(removal.build for removal in self.library.trash()),
        )

    def prune(self, *, trash: bool = False) -> tuple[list[Leftover], list[str]]:
        """Delete half downloads and builds that no job goes on with, revisions that nothing points to, and what was
        removed more than a day ago (with ``trash``: at any time); returns what went, and what could not go."""
        return prune(self.paths, lambda: in_use(self.jobs()), trash=trash)

    def installed(self) -> frozenset[str]:
        """Catalog ids and repositories of the models that have a whole build here."""
        builds = [build for build in self.builds() if not build.problem]
        return frozenset(name for build in builds for name in (build.id, build.model, build.repo) if name)
