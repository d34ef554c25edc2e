"""What every request stands on: paths, settings, the catalog, the library, the hub, the queue and the machine."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING

from tui.catalog.catalog_file import Catalog, load_catalog
from tui.catalog.hub import Hub
from tui.catalog.library import Library
from tui.catalog.recipes import RecipeBook
from tui.errors import StoreError
from tui.fit.measured import MeasuredHere
from tui.hardware.probe import Probe
from tui.hardware.snapshot import Snapshot
from tui.jobs.liveness import jobs_by_pid
from tui.jobs.planner import Planner
from tui.jobs.store import Store
from tui.paths import Paths
from tui.settings import Settings, load_settings

if TYPE_CHECKING:
    from tui.doctor import Check


class Ground:
    """The files, the queue, the hardware and the catalog that every request works with."""

    def __init__(self, paths: Paths | None = None) -> None:
        self.paths = paths or Paths.from_environment()
        try:
            self.paths.prepare()
        except OSError as error:
            raise StoreError(
                f"Heft's folders cannot be written: {error.filename}: {error.strerror}", "check them, or set HEFT_HOME"
            ) from error
        self.settings: Settings = load_settings(self.paths.settings_file)
        self.store = Store(self.paths)
        self.library = Library(self.paths)
        self.hub = Hub(self.paths, self.settings)
        self._probe = Probe(self.paths, jobs=lambda: jobs_by_pid(self.paths.jobs))
        self._probe_lock = threading.Lock()
        self.measured = MeasuredHere(self.paths)
        self.recipes = RecipeBook(self.paths)
        self.planner = Planner(self.paths, self.store, self.library, self.hub, self.snapshot)

    def close(self) -> None:
        """Let go of the database and the driver; jobs go on."""
        self._probe.close()
        self.store.close()

    @cached_property
    def _catalog(self) -> Catalog:
        return load_catalog(self.paths)

    def catalog(self) -> Catalog:
        """The shipped rows and the user's own, with the problems found in them."""
        return self._catalog

    def snapshot(self) -> Snapshot:
        """The machine at this moment."""
        with self._probe_lock:
            return self._probe.snapshot()

    def doctor(self) -> list[Check]:
        """What is wrong with this installation, and what to do about it."""
        from tui.doctor import examine

        return examine(self.paths)
