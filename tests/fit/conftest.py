"""The shipped catalog and machines to hold its rows against."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tui.catalog.catalog_file import load_catalog
from tui.catalog.model import Model
from tui.hardware.snapshot import Gpu, GpuProcess, Host, Snapshot
from tui.paths import Paths

GB = 10**9


@pytest.fixture
def row(paths: Paths) -> Callable[[str], Model]:
    """``row(id)`` is a row of the shipped models.toml."""
    catalog = load_catalog(paths)

    def find(model_id: str) -> Model:
        model = catalog.find(model_id)
        assert model is not None, f"{model_id} is not in models.toml"
        return model

    return find


def gpu(index: int, total: float, free: float, *processes: GpuProcess, **facts) -> Gpu:
    """A GPU with sizes in GB."""
    size, left = int(total * GB), int(free * GB)
    name = facts.pop("name", "NVIDIA L4")
    return Gpu(index=index, name=name, total=size, free=left, used=size - left, processes=processes, **facts)


def machine(*gpus: Gpu, ram: float = 64, available: float = 48) -> Snapshot:
    """A machine with sizes in GB."""
    host = Host(memory_total=int(ram * GB), memory_available=int(available * GB))
    return Snapshot(taken=1.0, host=host, gpus=gpus)
