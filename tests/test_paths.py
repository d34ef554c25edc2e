"""Where things are, and who may read them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tui.paths import SOCKET_PATH_LIMIT, Paths


def test_heft_home_holds_everything(tmp_path: Path) -> None:
    paths = Paths.from_environment({"HEFT_HOME": str(tmp_path / "home")})
    for place in (paths.config, paths.data, paths.state, paths.hub_cache, paths.database, paths.builds, paths.chats):
        assert place.is_relative_to(tmp_path / "home")


def test_the_hugging_face_variables_win_for_the_cache(tmp_path: Path) -> None:
    home = {"HEFT_HOME": str(tmp_path)}
    assert Paths.from_environment({**home, "HF_HOME": "/big/hf"}).hub_cache == Path("/big/hf/hub")
    assert Paths.from_environment({**home, "HF_HOME": "/x", "HF_HUB_CACHE": "/big/hub"}).hub_cache == Path("/big/hub")


def test_without_heft_home_the_cache_is_the_one_other_tools_use() -> None:
    cache = Paths.from_environment({"HOME": "/home/anna"}).hub_cache
    assert cache == Path("~/.cache/huggingface/hub").expanduser()


def test_the_state_folder_is_private(paths: Paths) -> None:
    assert paths.state.stat().st_mode & 0o077 == 0
    assert paths.jobs.stat().st_mode & 0o077 == 0


def test_a_socket_path_is_always_short_enough(tmp_path: Path) -> None:
    deep = Paths.from_environment({"HEFT_HOME": str(tmp_path / ("deep" * 30))})
    path = deep.socket_path(7)
    assert len(os.fsencode(path)) <= SOCKET_PATH_LIMIT
    assert path.parent.stat().st_mode & 0o077 == 0
    assert path != Paths.from_environment({"HEFT_HOME": str(tmp_path / ("deed" * 30))}).socket_path(7)


def test_a_folder_of_somebody_else_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = Paths.from_environment({"HEFT_HOME": str(tmp_path / ("deep" * 30))})
    monkeypatch.setattr(os, "getuid", lambda: 987654)
    folder = Path("/tmp/heft-987654")
    try:
        with pytest.raises(OSError, match="not a private folder"):
            deep.socket_path(7)
    finally:
        folder.rmdir()
