"""Settings: what the file says holds, what it says wrongly is named, and nothing stops the program."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.settings import Settings, load_settings


def write(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load_settings(file)


def test_a_missing_file_gives_the_defaults(tmp_path: Path) -> None:
    assert load_settings(tmp_path / "none.toml") == Settings()


def test_values_are_read(tmp_path: Path) -> None:
    settings = write(
        tmp_path,
        '[downloads]\nconnections = 8\nlimit = "20MB"\n[chat]\ntemperature = 0\n'
        '[interface]\nkeys = { "quit" = "f10" }\n'
        '[endpoints.lab]\nbase_url = "http://lab:8000/v1"\nkey_env = "LAB_KEY"\n',
    )
    assert settings.problems == ()
    assert settings.downloads.connections == 8
    assert settings.downloads.limit == 20_000_000
    assert settings.chat.temperature == 0.0
    assert settings.interface.keys == {"quit": "f10"}
    assert settings.endpoints[0].name == "lab" and settings.endpoints[0].key_env == "LAB_KEY"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[downloads\n", "config.toml"),
        ("[download]\nat_once = 1\n", "[download]"),
        ("[downloads]\nat_onc = 1\n", "downloads.at_onc"),
        ('[downloads]\nconnections = "many"\n', "downloads.connections"),
        ("[downloads]\nconnections = -1\n", "downloads.connections"),
        ("[downloads]\nconnections = true\n", "downloads.connections"),
        ("[interface]\nbell = 1\n", "interface.bell"),
        ("[chat]\ntemperature = 'hot'\n", "chat.temperature"),
        ("chat = 3\n", "chat"),
        ("[endpoints.x]\nmodel = 'm'\n", "endpoints.x"),
    ],
)
def test_what_is_wrong_is_named_and_the_rest_holds(tmp_path: Path, text: str, named: str) -> None:
    settings = write(tmp_path, text)
    assert any(named in problem for problem in settings.problems), settings.problems
    assert settings.downloads.connections == 4


def test_bytes_that_are_not_text_are_a_problem_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    assert load_settings(tmp_path / "config.toml").problems
