"""What is still to be fetched, to the byte, from what lies in the Hugging Face cache."""

from __future__ import annotations

from pathlib import Path

from tui.catalog.hub import HubFile
from tui.catalog.partial_file import missing_bytes
from tui.workers.transfer_parts import PartFile

WHOLE, HALF, ABSENT, SMALL = (HubFile(name, 1000, name[0] * 64, "") for name in ("whole", "half", "absent", "small"))


def test_whole_half_absent_and_twins(tmp_path: Path) -> None:
    blobs = tmp_path / "models--org--m" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / WHOLE.sha256).write_bytes(bytes(1000))
    (blobs / SMALL.sha256).write_bytes(bytes(999))  # of another length: not that file
    half = PartFile(blobs / f"{HALF.sha256}.heft.incomplete", 1000, 400)
    half.write(400, memoryview(bytes(250)))
    half.write(0, memoryview(bytes(100)))
    half.close()
    assert missing_bytes(tmp_path, "org/m", [WHOLE, HALF, ABSENT, SMALL]) == 650 + 1000 + 1000
    assert missing_bytes(tmp_path, "org/m", [ABSENT, HubFile("twin", 1000, ABSENT.sha256, "")]) == 1000
    assert missing_bytes(tmp_path, "org/other", [WHOLE]) == 1000
