"""The runner's log: it never raises, never repeats itself, never grows without bound."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tui.jobs.runner_log import LIMIT, RunnerLog


def test_a_repeated_line_is_counted(tmp_path):
    log = RunnerLog(tmp_path / "log")
    for _ in range(1000):
        log.say("the disk is full")
    log.say("better")
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    assert [line.partition("] ")[2] for line in lines] == ["the disk is full", "(said 999 more times)", "better"]


def test_the_file_is_turned_over(tmp_path):
    log = RunnerLog(tmp_path / "log")
    for number in range(4000):
        log.say(f"{number} " + "x" * 1000)
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"log", "log.1"}
    assert max(sizes.values()) < LIMIT + 2000
    assert "3999 " in (tmp_path / "log").read_text()


def test_control_characters_and_new_lines_cannot_forge_entries(tmp_path):
    log = RunnerLog(tmp_path / "log")
    log.say("one\ntwo\x1b[2J")
    log.close()
    assert len((tmp_path / "log").read_text().splitlines()) == 1
    assert "\x1b" not in (tmp_path / "log").read_text()


def test_a_log_that_cannot_be_written_is_no_trouble(tmp_path):
    log = RunnerLog(tmp_path / "no" / "such" / "folder" / "log")
    log.say("nobody hears this")
    log.close()
    full = RunnerLog(Path("/dev/full"))
    full.say("no room")
    full.close()


def test_stray_output_follows_the_file_when_it_is_turned_over(tmp_path):
    code = """
import os, sys
from pathlib import Path
from tui.jobs.runner_log import RunnerLog
log = RunnerLog(Path(sys.argv[1]), redirect=True)
for number in range(1500):
    log.say(f"{number} " + "x" * 1000)
os.write(2, b"stray words\\n")
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "log")], check=True, env=dict(os.environ))
    assert "stray words" in (tmp_path / "log").read_text()
    assert (tmp_path / "log.1").exists()
