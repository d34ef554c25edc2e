"""The doctor: each thing that can be wrong is found, named and given a remedy."""

from __future__ import annotations

import sqlite3
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from tui import doctor
from tui.doctor import Check, examine, libraries, own_files
from tui.paths import Paths


def found(checks: list[Check], name: str) -> list[Check]:
    return [check for check in checks if check.name == name]


def test_a_whole_installation_has_no_problem_of_its_own(paths: Paths) -> None:
    checks = examine(paths, imports=False)
    wrong = [check for check in checks if check.state == "problem"]
    assert not wrong, wrong
    assert {"python", "folder state", "settings", "catalog", "queue"} <= {check.name for check in checks}


def test_a_missing_and_a_wrong_package_are_named_with_the_command(
    paths: Paths, monkeypatch: pytest.MonkeyPatch
) -> None:
    def version(name: str) -> str:
        if name == "optimum":
            raise PackageNotFoundError(name)
        return "99.0" if name == "gptqmodel" else "0"

    monkeypatch.setattr(libraries.importlib.metadata, "requires", lambda _: ["optimum>=2.3,<3", "gptqmodel<7.7"])
    monkeypatch.setattr(libraries.importlib.metadata, "version", version)
    checks = list(libraries.check_packages())
    assert found(checks, "optimum")[0].hint.startswith('pip install "optimum')
    assert "99.0" in found(checks, "gptqmodel")[0].summary
    assert all(check.state == "problem" for check in checks if check.name in ("optimum", "gptqmodel"))


def test_broken_settings_are_told(paths: Paths) -> None:
    paths.settings_file.write_text("[downloads]\nconnections = 'x'\n")
    told = found(examine(paths, imports=False), "settings")
    assert told[0].state == "problem" and "downloads.connections" in told[0].summary


def test_an_open_state_folder_is_a_problem(paths: Paths) -> None:
    paths.state.chmod(0o755)
    assert found(list(own_files.check_folders(paths)), "folder state")[0].state == "problem"


def test_a_newer_database_is_a_problem_and_the_other_checks_go_on(paths: Paths) -> None:
    with sqlite3.connect(paths.database) as database:
        database.execute("PRAGMA user_version = 9999")
    checks = examine(paths, imports=False)
    assert found(checks, "queue")[0].state == "problem"
    assert found(checks, "terminal")


def test_a_token_is_never_read_out(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_verysecretverysecret")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    checks = examine(paths, imports=False)
    assert found(checks, "hub token")[0].state == "ok"
    assert "verysecret" not in repr(checks)


def test_a_check_that_breaks_becomes_a_finding(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Paths) -> list[Check]:
        raise RuntimeError("no psutil")

    monkeypatch.setattr(doctor, "check_gpu", broken)
    told = found(examine(paths, imports=False), "gpu")
    assert told[0].state == "problem" and "no psutil" in told[0].summary


def test_little_disk_is_a_warning(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_files.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000})())
    assert {check.state for check in own_files.check_disk(paths)} == {"warning"}


def test_the_compiler_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries.shutil, "which", lambda _: None)
    assert next(iter(libraries.check_compiler())).state == "warning"


def test_folders_that_cannot_be_written_are_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_files.os, "access", lambda *_: False)
    paths = Paths.from_environment({"HEFT_HOME": str(tmp_path)})
    assert {check.state for check in own_files.check_folders(paths)} == {"problem"}
