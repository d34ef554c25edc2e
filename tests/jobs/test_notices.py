"""The user's own program hears of every ending once, with the facts on stdin and never through a shell."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.jobs.job import Failure, JobRequest, Kind, State
from tui.jobs.notices import Notices
from tui.jobs.store import Store
from tui.settings import NotifySettings, Settings

HOSTILE = "$(touch pwned); `id` \x1b]0;x\x07 'quoted\" name"


@pytest.fixture
def heard(tmp_path: Path) -> Path:
    return tmp_path / "heard"


@pytest.fixture
def command(tmp_path: Path, heard: Path) -> str:
    script = tmp_path / "a hook.py"
    script.write_text(
        f"import sys, pathlib\nname = pathlib.Path({str(heard)!r})\n"
        "with name.open('a') as file: file.write(sys.stdin.read() + ' ' + repr(sys.argv[1:]) + chr(10))\n"
    )
    return shlex.join([sys.executable, str(script), "a word"])


def ended(store: Store, name: str = "m", failure: Failure | None = None) -> None:
    job = store.claim(store.submit(JobRequest(Kind.DOWNLOAD, name, {})).id, "")
    if failure:
        store.fail(job.id, 1, failure)
    else:
        store.finish(job.id, 1, {"bytes": 5})


def run(notices: Notices, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while notices.is_busy:
        notices.tend()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_ending_is_given_once(store):
    ended(store)
    assert store.has_untold()
    assert [job.state for job in store.untold()] == [State.DONE]
    assert store.untold() == [] and not store.has_untold()


def test_a_retried_job_is_told_about_again_and_a_cancelled_one_never(store):
    ended(store, failure=Failure("no"))
    assert len(store.untold()) == 1
    store.retry(1)
    assert not store.has_untold()
    store.cancel(1)
    assert not store.has_untold()
    store.retry(1)
    store.claim(1, "")
    store.fail(1, 2, Failure("no"))
    assert len(store.untold()) == 1


def test_hostile_names_are_only_data(store, command, heard, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said: list[str] = []
    notices = Notices(lambda: Settings(notify=NotifySettings(command=command)), said.append)
    ended(store, HOSTILE, Failure("it " + HOSTILE, "x"))
    notices.tell(store.untold())
    run(notices)
    text, _, words = heard.read_text().strip().rpartition(" ['")
    facts = json.loads(text)
    assert (facts["state"], facts["model"], facts["failure"]["summary"]) == ("failed", HOSTILE, "it " + HOSTILE)
    assert words == "a word']" and not said
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("/no/such/program", "cannot be run"),
        ("'unclosed", "cannot be run"),
        (shlex.join([sys.executable, "-c", "raise SystemExit(3)"]), "ended with 3"),
        (shlex.join([sys.executable, "-c", "import time; time.sleep(60)"]), "did not end in time"),
    ],
)
def test_a_bad_program_costs_a_line_in_the_log(store, words, complaint):
    said: list[str] = []
    notices = Notices(lambda: Settings(notify=NotifySettings(command=words, timeout=0.5)), said.append)
    ended(store)
    notices.tell(store.untold())
    run(notices)
    assert complaint in said[0] and len(said) == 1


def test_many_endings_are_told_a_few_at_a_time(store, command, heard):
    notices = Notices(lambda: Settings(notify=NotifySettings(command=command)), print)
    for _ in range(5):
        ended(store)
    notices.tell(store.untold())
    notices.tend()
    assert len(notices._running) == 2
    run(notices)
    assert len(heard.read_text().splitlines()) == 5


def test_the_runner_tells(bench, command, heard, until: Callable[..., object]):
    bench.paths.settings_file.write_text(f"[notify]\ncommand = {json.dumps(command)}\n")
    done, failed = bench.submit(), bench.submit(misbehave="fail")
    bench.run()
    bench.wait(done, State.DONE)
    bench.wait(failed, State.FAILED)
    until(lambda: heard.exists() and len(heard.read_text().splitlines()) == 2, 20)
    bench.kill_runner()
    bench.run()
    last = bench.submit()
    bench.wait(last, State.DONE)
    until(lambda: len(heard.read_text().splitlines()) == 3, 20)
    told = sorted(json.loads(line.rpartition(" ['")[0])["id"] for line in heard.read_text().splitlines())
    assert told == [done.id, failed.id, last.id]
