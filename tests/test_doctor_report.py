"""The file for a bug report: it says what is wrong, and nothing secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.heft import Heft
from tui.doctor import Check
from tui.doctor_report import report_text, write_report
from tui.jobs.job import Failure, JobRequest, Kind
from tui.jobs.store import Store
from tui.paths import Paths

SECRET = "hf_SEKRETSEKRETSEKRET"


@pytest.fixture
def trouble(paths: Paths) -> Paths:
    """A home where secrets have got into every file that a report reads."""
    store = Store(paths)
    job = store.submit(JobRequest(Kind.DOWNLOAD, "some-model", {"repo": "a/b"}))
    store.claim(job.id, "")
    store.fail(job.id, 1, Failure(f"refused with {SECRET}", "look"))
    store.close()
    job.log.write_text(f"asked with Bearer {SECRET}\n\x1b[31mred\n")
    paths.settings_file.write_text(f'[endpoints.lab]\nbase_url = "http://me:{SECRET}@lab/v1"\n')
    for log in (paths.app_log, paths.runner_log):
        log.write_text(f"token={SECRET}\n" + "x" * 20_000 + "\nthe last line\n")
    return paths


def test_a_report_has_everything_and_no_secret(trouble: Paths) -> None:
    environment = {"HF_TOKEN": SECRET, "TERM": "xterm", "LAB_KEY": "plain but secret"}
    checks = [Check("hub", "problem", "plain but secret was said", "do this")]
    text = report_text(trouble, checks, environment)
    for part in ("hub: ", "do this", "some-model", "refused", "asked with", "base_url", "the last line", "TERM=xterm"):
        assert part in text, part
    assert "HF_TOKEN=(set)" in text
    assert "SEKRET" not in text and "plain but secret" not in text and "\x1b" not in text
    assert len(text) < 60_000


def test_the_file_is_private(trouble: Paths, tmp_path: Path) -> None:
    inside = write_report(trouble, [])
    assert inside.stat().st_mode & 0o077 == 0 and inside.parent.parent == trouble.state
    assert write_report(trouble, [], tmp_path / "r.txt").read_text().startswith("Heft ")


def test_a_broken_queue_is_in_the_report_too(paths: Paths) -> None:
    paths.database.mkdir()
    assert "cannot be read" in report_text(paths, [], {})


def test_the_command_writes_it_and_says_where(tmp_path: Path) -> None:
    heft = Heft(tmp_path / "home", HF_TOKEN=SECRET)
    ended = heft("doctor", "--quick", "--report", str(tmp_path / "r.txt"), "--json")
    said = json.loads(ended.out)
    assert said["report"] == str(tmp_path / "r.txt") and said["checks"]
    assert SECRET not in (tmp_path / "r.txt").read_text()
    ended = heft("doctor", "--quick", "--report", "/proc/no/such/file")
    assert ended.code == 1 and "cannot be written" in ended.err and "Traceback" not in ended.err
