"""Trouble that passes is waited for, a bounded number of times; a refusal is not."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tui.jobs import rows
from tui.jobs.job import Again, Failure, JobRequest, Kind, Progress, State
from tui.jobs.retry import again_text, next_try, seconds_left
from tui.jobs.store import Store
from tui.settings import JobSettings

AWAY = Failure("the hub is away", "wait", passing=True)
THRICE = JobSettings(retries=3, retry_wait=20)
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def running(store: Store):
    return store.claim(store.submit(JobRequest(Kind.DOWNLOAD, "m", {})).id, "")


def fail_again(store: Store, job_id: int, settings: JobSettings = THRICE):
    job = store.job(job_id)
    job = store.claim(job_id, "") if job.state is State.QUEUED else job
    assert store.fail(job_id, job.attempt, AWAY, settings)
    return store.job(job_id)


def test_the_wait_doubles_and_the_tries_are_counted(store, running):
    waits = []
    for _ in range(3):
        job = fail_again(store, running.id)
        assert job.state is State.QUEUED
        waits.append((job.again.seconds, job.again.tries, job.waiting_because))
    assert waits == [
        (20, 1, "the hub is away; tries again in 20s (1 of 3)"),
        (40, 2, "the hub is away; tries again in 40s (2 of 3)"),
        (80, 3, "the hub is away; tries again in 1m 20s (3 of 3)"),
    ]
    job = fail_again(store, running.id)
    assert (job.state, job.failure.summary) == (State.FAILED, "the hub is away")


def test_a_refusal_is_never_tried_again(store, running):
    store.fail(running.id, 1, Failure("terms are not accepted"), THRICE)
    assert store.job(running.id).state is State.FAILED


def test_no_retries_when_none_are_set(store, running):
    assert fail_again(store, running.id, JobSettings(retries=0)).state is State.FAILED


def test_dependents_wait_with_it(store, running):
    later = store.submit(JobRequest(Kind.QUANTIZE, "m", {}, after=(running.id,)))
    fail_again(store, running.id)
    store.fail_dependents()
    assert store.job(later.id).state is State.QUEUED


def test_a_person_need_not_wait(store, running):
    waits = fail_again(store, running.id)
    assert seconds_left(waits.again, rows.now()) > 15
    hurried = store.retry(running.id)
    assert hurried.state is State.QUEUED and seconds_left(hurried.again, rows.now()) == 0
    assert fail_again(store, running.id).again.tries == 2


def test_a_retry_by_hand_after_the_last_try_begins_the_count_anew(store, running):
    for _ in range(4):
        fail_again(store, running.id)
    assert store.retry(running.id).again is None
    assert fail_again(store, running.id).again.tries == 1


def test_getting_further_begins_the_count_anew(store, running):
    store.report(running.id, 1, Progress(10, 100))
    assert fail_again(store, running.id).again.tries == 1
    assert fail_again(store, running.id).again.tries == 2
    store.claim(running.id, "")
    store.report(running.id, 3, Progress(50, 100))
    assert fail_again(store, running.id).again.tries == 1


@pytest.mark.parametrize(("want", "ends"), [("pause", State.PAUSED), ("cancel", State.FAILED)])
def test_what_a_person_wanted_meanwhile_counts(store, running, want, ends):
    getattr(store, want)(running.id)
    assert fail_again(store, running.id).state is ends


def test_the_wait_is_bounded(store, running):
    again = next_try(running, 100, 3000.0, NOON)
    assert again.seconds == 3000
    assert next_try(replace(running, again=again), 100, 3000.0, NOON).seconds == 3600


@pytest.mark.parametrize(
    ("jump", "left"),
    [(timedelta(0), 20), (timedelta(seconds=8), 12), (timedelta(days=1), 0), (timedelta(days=-400), 0)],
)
def test_a_clock_that_jumps_makes_nothing_wait_for_ever(store, running, jump, left):
    again = next_try(running, 3, 20, NOON)
    assert seconds_left(again, NOON + jump) == left


def test_the_words():
    assert again_text(Again(2, 3, NOON, 40), 40) == "tries again in 40s (2 of 3)"


def test_the_runner_waits_between_the_tries_and_gives_up_after_the_last(bench):
    job = bench.store.submit(
        JobRequest(Kind.DOWNLOAD, "m", {"steps": 1, "seconds": 0, "misbehave": "unreachable", "wait": 1.0})
    )
    later = bench.submit(Kind.QUANTIZE, after=(job.id,))
    bench.run()
    bench.until(lambda: "(1 of 2)" in bench.store.job(job.id).waiting_because, 15)
    ended = bench.wait(job, State.FAILED)
    assert ended.attempt == 3
    bench.wait(later, State.FAILED)
    started = [event.at for event in bench.store.history(job.id) if event.state is State.RUNNING]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(started)]
    assert gaps[0] >= 1 and gaps[1] >= 2


def test_the_runner_that_comes_later_keeps_the_wait(bench):
    job = bench.store.submit(
        JobRequest(Kind.DOWNLOAD, "m", {"steps": 1, "seconds": 0, "misbehave": "unreachable", "wait": 3.0})
    )
    bench.run()
    bench.until(lambda: bench.store.job(job.id).again, 15)
    due = bench.store.job(job.id).again.at
    bench.kill_runner()
    bench.run()
    bench.until(lambda: bench.store.job(job.id).attempt == 2, 15)
    begun = [event.at for event in bench.store.history(job.id) if event.state is State.RUNNING][1]
    assert begun >= due
