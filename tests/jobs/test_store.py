"""The store alone: moves, idempotence, revisions, guards and two stores at once."""

from __future__ import annotations

import itertools
import json
import multiprocessing
import threading

import pytest

from tui.errors import MoveRefusedError, NotFoundError, StoreError
from tui.jobs.job import MOVES, Failure, JobRequest, Kind, Needs, Progress, State, Want, move_is_allowed
from tui.jobs.store import Store
from tui.jobs.transition import Queue


def request(kind: Kind = Kind.DOWNLOAD, **fields) -> JobRequest:
    return JobRequest(kind, "some/model", {"x": 1}, **fields)


def running(store: Store, **fields):
    return store.claim(store.submit(request(**fields)).id, "cpu")


def put_into(store: Store, state: State, kind: Kind = Kind.SERVE) -> int:
    """A job in ``state``, brought there by public calls only."""
    job = store.submit(request(kind))
    if state is State.QUEUED:
        return job.id
    if state is State.PAUSED:
        return store.pause(job.id).id
    store.claim(job.id, "cpu")
    if state is State.READY:
        assert store.mark_ready(job.id, 1, {})
    elif state is State.DONE:
        assert store.finish(job.id, 1, {"a": 1})
    elif state is State.FAILED:
        assert store.fail(job.id, 1, Failure("no"))
    elif state is not State.RUNNING:
        assert store.settle(job.id, 1, state, "so")
    assert store.job(job.id).state is state
    return job.id


@pytest.mark.parametrize("old, new", list(itertools.product(State, State)))
def test_exactly_the_moves_of_the_table_are_made(store, old, new):
    job_id = put_into(store, old)
    before = len(store.history(job_id))
    with store._database.writing() as connection:
        queue = Queue(connection, store._paths)
        made = queue.move(queue.get(job_id), new, "test")
    assert made == move_is_allowed(old, new) == (new in MOVES[old])
    assert store.job(job_id).state is (new if made else old)
    assert len(store.history(job_id)) == before + made


ASKED = {
    "cancel": {State.QUEUED, State.RUNNING, State.READY, State.PAUSED, State.INTERRUPTED},
    "pause": {State.QUEUED, State.RUNNING},
    "resume": {State.PAUSED, State.INTERRUPTED},
    "retry": {State.FAILED, State.CANCELLED, State.INTERRUPTED},
}


@pytest.mark.parametrize("verb, state", list(itertools.product(ASKED, State)))
def test_a_front_end_may_ask_only_what_the_state_allows(store, verb, state):
    job_id = put_into(store, state)
    if state in ASKED[verb]:
        assert getattr(store, verb)(job_id).id == job_id
        return
    with pytest.raises(MoveRefusedError, match=f"job {job_id} cannot be .*: it is {state}"):
        getattr(store, verb)(job_id)
    assert store.job(job_id).state is state


@pytest.mark.parametrize("verb", ["cancel", "pause", "resume", "retry", "history", "job"])
def test_an_unknown_job_is_not_found(store, verb):
    with pytest.raises(NotFoundError, match="no job 7"):
        getattr(store, verb)(7)


def test_a_submitted_job_comes_back_as_it_was_asked_for(store):
    needs = Needs("cuda:1", 5, 6, "/data", True)
    job = store.submit(JobRequest(Kind.QUANTIZE, "a/ü", {"bits": 4, "deep": [1, {"k": None}]}, needs, priority=3))
    again = store.job(job.id)
    assert again == job
    assert (again.spec, again.needs, again.priority) == ({"bits": 4, "deep": [1, {"k": None}]}, needs, 3)
    assert again.created.tzinfo is not None
    spec = json.loads((job.folder / "spec.json").read_text())
    assert (spec["id"], spec["kind"], spec["spec"], spec["attempt"]) == (job.id, "quantize", job.spec, 0)
    assert job.folder.stat().st_mode & 0o777 == 0o700


def test_the_same_key_is_the_same_job(store):
    first = store.submit(request(key="once"))
    assert store.submit(request(Kind.SERVE, key="once")) == first
    assert store.submit(request()).id != store.submit(request()).id
    assert len(store.jobs()) == 3


def test_a_chain_is_linked_and_all_or_nothing(store):
    a, b, c = store.submit_chain([request(key="a"), request(Kind.QUANTIZE, key="b"), request(Kind.SERVE, key="c")])
    assert (a.after, b.after, c.after) == ((), (a.id,), (b.id,))
    assert a.plan == b.plan == c.plan != ""
    assert store.submit_chain([request(key="a"), request(key="b")]) == (a, b)
    with pytest.raises(NotFoundError):
        store.submit_chain([request(key="d"), request(key="e", after=(99,))])
    assert len(store.jobs()) == 3


def test_queue_order_is_priority_then_age(store):
    ids = [store.submit(request(priority=priority)).id for priority in (0, 5, 0)]
    assert [job.id for job in store.jobs()] == [ids[1], ids[0], ids[2]]
    store.reprioritise(ids[2], 9)
    assert [job.id for job in store.jobs()] == [ids[2], ids[1], ids[0]]
    store.claim(ids[0], "cpu")
    with pytest.raises(MoveRefusedError):
        store.reprioritise(ids[0], 1)


def test_late_and_foreign_writers_change_nothing(store):
    job = running(store)
    assert store.died(job.id, 1, "killed") is State.QUEUED
    assert store.claim(job.id, "cpu").attempt == 2
    assert not store.finish(job.id, 1, {"stale": True})
    assert not store.fail(job.id, 1, Failure("stale"))
    assert not store.mark_ready(job.id, 1, {})
    assert not store.report(job.id, 1, Progress(9))
    assert not store.settle(job.id, 1, State.CANCELLED, "stale")
    assert store.died(job.id, 1, "stale") is None
    assert store.job(job.id).state is State.RUNNING
    assert store.finish(job.id, 2, {"ok": True})
    assert not store.finish(job.id, 2, {"twice": True})
    assert not store.finish(99, 1, {})
    assert store.job(job.id).result == {"ok": True}


def test_a_job_is_claimed_once(store):
    job = store.submit(request())
    assert store.claim(job.id, "cuda:1").device == "cuda:1"
    assert store.claim(job.id, "cuda:1") is None
    assert store.claim(99, "cpu") is None


def test_a_ready_host_cannot_be_paused_and_a_cancel_is_not_taken_back(store):
    host = put_into(store, State.READY)
    with pytest.raises(MoveRefusedError):
        store.pause(host)
    job = running(store)
    assert store.cancel(job.id).want is Want.CANCEL
    with pytest.raises(MoveRefusedError, match="being cancelled"):
        store.pause(job.id)
    assert store.died(job.id, 1, "killed") is State.CANCELLED


def test_a_pause_that_is_taken_back_before_it_happens(store):
    job = running(store)
    assert store.pause(job.id).want is Want.PAUSE
    assert store.resume(job.id).want is None
    assert store.job(job.id).state is State.RUNNING


def test_deaths_count_only_without_progress(store):
    job = running(store)

    def die_at(done: float) -> State:
        attempt = store.job(job.id).attempt
        assert store.report(job.id, attempt, Progress(done, 100, "layers"))
        state = store.died(job.id, attempt, "killed")
        if state is State.QUEUED:
            store.claim(job.id, "cpu")
        return state

    assert [die_at(done) for done in (10, 10, 50, 50.5, 90, 90)] == [State.QUEUED] * 6
    assert die_at(90) is State.INTERRUPTED
    assert store.job(job.id).deaths == 3
    assert "3 times without getting further" in store.job(job.id).failure.summary
    assert store.resume(job.id).deaths == 0


def test_cancelling_a_job_fails_what_needs_it_and_retry_revives_both_ways(store):
    a, b, c = store.submit_chain([request(), request(Kind.QUANTIZE), request(Kind.SERVE)])
    store.cancel(a.id)
    assert store.job(b.id).failure.summary == f"needs job {a.id} (download), which was cancelled"
    assert store.job(c.id).failure.summary == f"needs job {b.id} (quantize), which failed"
    store.retry(a.id)
    assert [job.state for job in store.jobs()] == [State.QUEUED] * 3
    store.cancel(a.id)
    store.retry(c.id)
    assert [(job.state, job.failure) for job in store.jobs()] == [(State.QUEUED, None)] * 3


def test_changed_since_reports_each_change_and_each_removal_once(store):
    a, b = store.submit(request()), store.submit(request())
    changed, removed, revision = store.changed_since(0)
    assert ([job.id for job in changed], removed) == ([a.id, b.id], [])
    assert store.changed_since(revision) == ([], [], revision)
    store.claim(b.id, "cpu")
    store.report(b.id, 1, Progress(1, 2, "steps"))
    changed, _, second = store.changed_since(revision)
    assert [(job.id, job.progress.done) for job in changed] == [(b.id, 1)]
    assert second > revision
    store.cancel(a.id)
    store.clear()
    assert store.changed_since(second)[:2] == ([], [a.id])
    assert store.changed_since(0)[1] == []
    assert [job.id for job in store.changed_since(10**9)[0]] == [b.id]


def test_data_version_sees_own_and_foreign_changes(store, paths):
    other = Store(paths, durable=False)
    seen = {store.data_version()}
    job = store.submit(request())
    seen.add(store.data_version())
    other.claim(job.id, "cpu")
    seen.add(store.data_version())
    store.report(job.id, 1, Progress(1))
    seen.add(store.data_version())
    assert len(seen) == 4
    assert store.data_version() in seen
    other.close()


def test_clear_forgets_what_is_over_with_its_folder(store):
    kept, needed, dependent, gone = (store.submit(request()) for _ in range(4))
    store.cancel(gone.id)
    store.claim(needed.id, "cpu")
    store.finish(needed.id, 1, {})
    waiting = store.submit(request(after=(needed.id,)))
    with pytest.raises(MoveRefusedError, match="is queued"):
        store.clear([kept.id])
    with pytest.raises(MoveRefusedError, match=f"job {waiting.id} needs it"):
        store.clear([needed.id])
    assert store.clear() == 1
    assert not gone.folder.exists()
    assert store.clear() == 0
    store.cancel(waiting.id)
    store.cancel(dependent.id)
    assert store.clear([needed.id]) == 1
    assert {job.id for job in store.jobs()} == {kept.id, dependent.id, waiting.id}
    assert store.submit(request()).id > waiting.id, "ids are never given twice"


def test_waiting_because_is_written_only_when_it_changed(store):
    job = store.submit(request())
    store.wait(job.id, "no room")
    revision = store.job(job.id).revision
    store.wait(job.id, "no room")
    assert (store.job(job.id).waiting_because, store.job(job.id).revision) == ("no room", revision)
    assert store.claim(job.id, "cpu").waiting_because == ""
    store.wait(job.id, "too late")
    assert store.job(job.id).waiting_because == ""


def test_report_never_raises(store, paths):
    job = running(store)
    other = Store(paths, durable=False)
    with other._database.writing():
        assert not store.report(job.id, 1, Progress(1))
    assert store.report(job.id, 1, Progress(2))
    assert not store.report(job.id, 1, Progress(details={"what": object()}))
    other.close()
    store.close()
    assert not store.report(job.id, 1, Progress(3))
    with pytest.raises(StoreError):
        store.jobs()


def test_one_store_serves_many_threads(store):
    job = running(store)
    errors = []

    def work(number: int) -> None:
        try:
            for step in range(20):
                store.submit(request(key=f"{number}-{step}"))
                store.report(job.id, 1, Progress(step))
                store.changed_since(0)
                store.data_version()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(store.jobs()) == 121


def _submit_many(paths, number: int) -> None:
    opened = Store(paths, durable=False)
    for step in range(25):
        for key in (f"shared-{step}", f"own-{number}-{step}"):
            _submit_again(opened, key)
    opened.close()


def _submit_again(opened: Store, key: str) -> None:
    """As the message says; on a machine with more to do than cores, SQLite may pass one of eight over for 10 s."""
    for tries in range(6):
        try:
            opened.submit(request(key=key))
            return
        except StoreError as error:
            if "busy" not in error.summary or tries == 5:
                raise


def test_many_processes_open_and_submit_at_once(paths):
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_submit_many, args=(paths, number)) for number in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(200)
    assert [process.exitcode for process in processes] == [0] * 8
    opened = Store(paths, durable=False)
    jobs = opened.jobs()
    assert len(jobs) == len({job.key for job in jobs}) == 25 + 8 * 25
    assert sorted(job.revision for job in jobs) == list(range(1, 226))
    opened.close()


def test_sweep_removes_folders_without_a_job(store, paths):
    job = store.submit(request())
    (paths.jobs / "77").mkdir()
    store.sweep_folders()
    assert [folder.name for folder in paths.jobs.iterdir()] == [str(job.id)]


def test_a_job_that_stands_still_shows_no_speed(store):
    job = running(store)
    store.report(job.id, 1, Progress(5, 10, "B", rate=2.0, eta=2.5, message="half"))
    store.died(job.id, 1, "killed")
    assert store.job(job.id).progress == Progress(5, 10, "B", message="half")
    store.claim(job.id, "cpu")
    store.report(job.id, 2, Progress(10, 10, "B", rate=2.0, eta=0.1, message="all"))
    store.finish(job.id, 2, {})
    assert store.job(job.id).progress == Progress(10, 10, "B", message="all")
