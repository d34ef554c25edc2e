"""Data sets of the hub by name: fetched once, then read from the cache, refused in words when they cannot be had."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

from tests.local_hub import LocalHub
from tui.catalog.calibration_names import hub_text, is_named_text
from tui.errors import RecipeError
from tui.workers.calibration_hub import hub_lines
from tui.workers.reporter import Stopped


def parquet(rows: list[str]) -> bytes:
    import pyarrow
    import pyarrow.parquet

    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table({"text": rows}), out)
    return out.getvalue()


def test_a_data_set_is_fetched_once_and_read(hub: LocalHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # as in a worker
    wikitext, c4 = hub_text("wikitext2"), hub_text("c4")
    assert wikitext and c4
    hub.add_repo(wikitext.repo, {wikitext.file: parquet(["", " = Title = ", "a line of text"])})
    lines = "\n".join(json.dumps({"text": f"page {number}", "url": "x"}) for number in range(3))
    hub.add_repo(c4.repo, {c4.file: gzip.compress(lines.encode())})
    assert hub_lines(wikitext, tmp_path) == [" = Title = ", "a line of text"]
    assert hub_lines(c4, tmp_path) == ["page 0", "page 1", "page 2"]
    asked = len(hub.requests)
    assert hub_lines(wikitext, tmp_path) == [" = Title = ", "a line of text"]
    assert len(hub.requests) == asked


def test_what_cannot_be_fetched_is_said_and_a_stop_is_heard(hub: LocalHub, tmp_path: Path) -> None:
    text = hub_text("c4")
    assert text

    def stop() -> Any:
        raise Stopped

    with pytest.raises(Stopped):
        hub_lines(text, tmp_path, stop)
    with pytest.raises(RecipeError, match=r"c4 \(allenai/c4\) is not on this disk and cannot be fetched") as caught:
        hub_lines(text, tmp_path)
    assert "built-in text" in caught.value.hint


def test_names_are_no_files() -> None:
    assert all(is_named_text(name) for name in ("", "prose", "code", "chat", "wikitext2", "c4"))
    assert not any(is_named_text(name) for name in ("notes.txt", "./code", "c5"))
