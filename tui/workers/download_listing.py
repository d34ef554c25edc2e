"""What one download job fetches, pinned in its folder by the first attempt.

A job that goes on after a kill or a reboot thus fetches the same commit, although the branch may have moved, and needs
no answer from a hub that may not be reachable yet.
"""

from __future__ import annotations

import json
import os
from dataclasses import astuple, dataclass
from pathlib import Path

from tui.catalog.hub import HubFile, HubRepository

LISTING_FILE = "listing.json"


@dataclass(frozen=True, slots=True)
class Listing:
    """The needed ``files`` of ``repo`` at ``commit``."""

    repo: str
    commit: str
    files: tuple[HubFile, ...]

    @classmethod
    def of(cls, repository: HubRepository) -> Listing:
        """What a download of ``repository`` fetches."""
        return cls(repository.repo, repository.commit, repository.needed_files)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def read_listing(folder: Path) -> Listing | None:
    """What an earlier attempt pinned in ``folder``; None when there is nothing to go on with."""
    try:
        table = json.loads((folder / LISTING_FILE).read_bytes())
        return Listing(table["repo"], table["commit"], tuple(HubFile(*row) for row in table["files"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_listing(folder: Path, listing: Listing) -> None:
    """Pin ``listing`` for the attempts to come; raises ``OSError``."""
    table = {"repo": listing.repo, "commit": listing.commit, "files": [astuple(file) for file in listing.files]}
    beside = folder / f".{LISTING_FILE}"
    with beside.open("w", encoding="utf-8") as file:
        json.dump(table, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(folder / LISTING_FILE)
