"""The pages of a checkpoint that loading only passed through leave the process; what is still read stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from safetensors import safe_open  # noqa: E402
from safetensors.torch import save_file  # noqa: E402

from tui.workers.host.mapped_pages import MAPS, gaps, give_back_pages, mappings  # noqa: E402

MEGABYTES = 1_000_000


@pytest.mark.parametrize(
    ("taken", "free"),
    [
        ([], [(4096, 40960)]),
        ([(4096, 40960)], []),
        ([(0, 4096), (40960, 50000)], [(4096, 40960)]),
        ([(9000, 9001)], [(4096, 8192), (12288, 40960)]),
        ([(20000, 30000), (9000, 9001), (9001, 12289)], [(4096, 8192), (32768, 40960)]),
        ([(5000, 39000), (9000, 9001)], []),
    ],
)
def test_only_whole_pages_that_nobody_reads_are_gaps(
    taken: list[tuple[int, int]], free: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tui.workers.host.mapped_pages.mmap.PAGESIZE", 4096)
    assert gaps((4096, 40960), taken) == free


def resident(name: str) -> int:
    """Bytes of the file ``name`` that are in this process now."""
    found, inside = 0, False
    for row in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in row.split(maxsplit=1)[0]:
            inside = row.endswith(name)
        elif inside and row.startswith("Rss:"):
            found += int(row.split()[1]) * 1024
    return found


@pytest.mark.skipif(not MAPS.exists(), reason="this system has no /proc")
def test_what_is_read_no_more_leaves_the_process(tmp_path: Path) -> None:
    original = torch.arange(1_000_000, dtype=torch.float32).reshape(1000, 1000)
    save_file({"kept": original, "left": original + 1}, tmp_path / "blob")
    (tmp_path / "model.safetensors").symlink_to(tmp_path / "blob")
    with safe_open(tmp_path / "model.safetensors", framework="pt") as file:
        kept, left = file.get_tensor("kept"), file.get_tensor("left")
    if not mappings({str(tmp_path / "blob")}):
        pytest.skip("this version of safetensors reads instead of mapping")
    assert kept.sum() != left.sum()  # touches all of both
    before = resident("/blob")
    assert before > 7 * MEGABYTES
    del left
    assert give_back_pages(tmp_path.glob("*.safetensors")) > 3.9 * MEGABYTES
    assert resident("/blob") < before - 3.9 * MEGABYTES
    assert torch.equal(kept, original)


def test_a_file_that_is_not_mapped_gives_nothing_back(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert give_back_pages([tmp_path / "model.safetensors"]) == 0
