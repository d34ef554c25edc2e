"""A worker's voice: few writes however often it speaks, honest rates, and no secrets."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tui.errors import BuildBrokenError
from tui.jobs.job import Job, Kind, Progress, State
from tui.jobs.store import Store
from tui.paths import Paths
from tui.workers.reporter import REPORT_SECONDS, RateMeter, Reporter, Stopped, redact

Speak = Callable[..., Reporter]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_rate_is_of_the_last_ten_seconds(clock: Clock) -> None:
    meter = RateMeter(clock)
    done = 5_000_000_000  # resumed bytes are no speed
    meter.add(done, "B")
    assert meter.rate() is None
    for second in range(60):
        clock.now += 1
        done += 1_000_000 if second < 40 else 3_000_000
        meter.add(done, "B")
    assert meter.rate() == pytest.approx(3_000_000)


def test_a_rate_falls_to_nothing_when_nothing_moves(clock: Clock) -> None:
    meter = RateMeter(clock)
    for step in range(20):
        meter.add(step * 1000, "B")
        clock.now += 0.25
    falling = []
    for _ in range(8):
        falling.append(meter.rate())
        clock.now += 1
    assert falling == sorted(falling, reverse=True)
    assert falling[0] == pytest.approx(4000, rel=0.2)
    assert falling[-1] == 0.0


def test_slow_steps_have_a_rate_too(clock: Clock) -> None:
    meter = RateMeter(clock)
    for layer in range(6):
        meter.add(layer, "layers")
        clock.now += 60
    assert meter.rate() == pytest.approx(1 / 60, rel=0.25)
    clock.now += 300
    assert 0 < (meter.rate() or 0) < 1 / 60
    clock.now += 600
    assert meter.rate() == 0.0


def test_another_unit_or_a_step_back_starts_afresh(clock: Clock) -> None:
    meter = RateMeter(clock)
    for step in range(5):
        clock.now += 1
        meter.add(step * 100, "B")
    meter.add(3, "layers")
    assert meter.rate() is None
    clock.now += 1
    meter.add(1, "layers")
    assert meter.rate() is None


def test_ten_thousand_words_are_few_writes_and_the_last_one_arrives(
    reporter: Speak, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Progress] = []
    real = store.report

    def report(job_id: int, attempt: int, progress: Progress) -> bool:
        written.append(progress)
        return real(job_id, attempt, progress)

    monkeypatch.setattr(store, "report", report)
    begun = time.monotonic()
    voice = reporter(Kind.DOWNLOAD, {})
    for number in range(10_000):
        voice.progress(number, 10_000, "B", f"step {number}", shard=number)
    voice.close()
    assert 1 <= len(written) <= 3 + (time.monotonic() - begun) / REPORT_SECONDS
    seen = store.job(voice.job.id).progress
    assert (seen.done, seen.total, seen.unit, seen.message) == (9999, 10_000, "B", "step 9999")
    assert seen.details == {"shard": 9999}


def test_what_is_not_said_stays(reporter: Speak, store: Store) -> None:
    voice = reporter(Kind.DOWNLOAD, {})
    voice.progress(1, 10, "layers", "first", loss=0.5)
    voice.progress(2)
    voice.flush()
    seen = store.job(voice.job.id).progress
    assert (seen.done, seen.total, seen.unit, seen.message, seen.details) == (2, 10, "layers", "first", {"loss": 0.5})


def test_a_store_that_breaks_does_not_end_the_work(
    reporter: Speak, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("disk I/O error")

    monkeypatch.setattr(store, "report", broken)
    voice = reporter(Kind.DOWNLOAD, {})
    threads = [threading.Thread(target=voice.progress, args=(number, 9)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    voice.close()
    assert "progress was not written: RuntimeError: disk I/O error" in capsys.readouterr().out


def test_a_stop_is_an_exception_that_no_library_swallows(reporter: Speak) -> None:
    voice = reporter(Kind.DOWNLOAD, {})
    voice.check()
    voice.stop.set()
    with pytest.raises(Stopped):
        voice.check()
    assert not issubclass(Stopped, Exception)


def test_the_source_is_named_or_made_by_the_job_before(
    reporter: Speak, claimed: Callable[..., Job], store: Store, tmp_path: Path
) -> None:
    named = reporter(Kind.QUANTIZE, {"path": str(tmp_path)})
    assert named.source() == tmp_path
    before = claimed(Kind.DOWNLOAD, {})
    store.finish(before.id, before.attempt, {"path": str(tmp_path / "made")})
    (tmp_path / "made").mkdir()
    after = reporter(Kind.QUANTIZE, {"path": ""}, (before.id,))
    assert after.source() == tmp_path / "made"
    (tmp_path / "made").rmdir()
    with pytest.raises(BuildBrokenError, match=r"made is gone"):
        after.source()
    with pytest.raises(BuildBrokenError, match="names no build"):
        reporter(Kind.QUANTIZE, {}).source()


def test_ready_is_refused_to_an_attempt_that_was_given_up(reporter: Speak, store: Store) -> None:
    voice = reporter(Kind.SERVE, {})
    voice.ready({"base_url": "unix:/x"})
    assert store.job(voice.job.id).state is State.READY
    late = reporter(Kind.SERVE, {})
    store.settle(late.job.id, late.job.attempt, State.CANCELLED, "gone")
    with pytest.raises(Stopped):
        late.ready({})


@pytest.mark.parametrize(
    "text",
    [
        "GET https://x?token=hf_abcdefghijklmnop failed",
        "{'Authorization': 'Bearer abcdef123456'}",
        "authorization: bearer abcdef123456\r\nnext",
        "key sk-proj-abcdefghijklmnopqrstuvwxyz",
    ],
)
def test_secrets_are_hidden(text: str) -> None:
    hidden = redact(text)
    assert "[hidden]" in hidden
    for secret in ("abcdefghijklmnop", "abcdef123456"):
        assert secret not in hidden


def test_names_are_not_secrets() -> None:
    for text in ("hf-internal-testing/tiny-random-gpt2", "hf_hub", "sk-learn", "api_key is missing"):
        assert redact(text) == text


def test_log_lines_are_harmless(reporter: Speak, capsys: pytest.CaptureFixture[str], paths: Paths) -> None:
    reporter(Kind.DOWNLOAD, {}).say("a\x1b[31mb hf_abcdefghijklmnop\u202e")
    out = capsys.readouterr().out
    assert out.rstrip().endswith("a\ufffd[31mb hf_[hidden]\ufffd")
