"""Moving what waits: chains stay together, the order is the one asked for, and it lasts."""

from __future__ import annotations

import random

import pytest

from tui.errors import MoveRefusedError
from tui.jobs.job import JobRequest, Kind, Needs, State
from tui.jobs.store import Store


def submit(store: Store, *names: str) -> list[int]:
    return [store.submit(JobRequest(Kind.DOWNLOAD, name, {})).id for name in names]


def order(store: Store) -> str:
    return "".join(job.model for job in store.jobs())


@pytest.mark.parametrize(
    ("name", "where", "expected"),
    [
        ("c", "up", "acbd"),
        ("c", "top", "cabd"),
        ("b", "down", "acbd"),
        ("b", "bottom", "acdb"),
        ("a", "up", "abcd"),
        ("d", "down", "abcd"),
    ],
)
def test_where_a_job_goes(store, name, where, expected):
    ids = dict(zip("abcd", submit(store, *"abcd"), strict=True))
    store.move(ids[name], where)
    assert order(store) == expected


def test_any_moves_give_the_order_that_a_list_would_have(store):
    ids = dict(zip("abcdef", submit(store, *"abcdef"), strict=True))
    wanted, dice = list("abcdef"), random.Random(4)
    for _ in range(60):
        name, where = dice.choice(wanted), dice.choice(["up", "down", "top", "bottom"])
        here = wanted.index(name)
        wanted.pop(here)
        place = {"up": max(0, here - 1), "down": min(len(wanted), here + 1), "top": 0, "bottom": len(wanted)}[where]
        wanted.insert(place, name)
        store.move(ids[name], where)
        assert order(store) == "".join(wanted)


def test_a_chain_moves_as_one(store):
    submit(store, "a")
    chain = store.submit_chain([JobRequest(Kind.DOWNLOAD, "b", {}), JobRequest(Kind.QUANTIZE, "c", {})])
    submit(store, "d")
    store.move(chain[1].id, "top")
    assert order(store) == "bcad"
    store.move(chain[0].id, "bottom")
    assert order(store) == "adbc"


def test_only_what_must_changes(store):
    ids = submit(store, *"abcd")
    before = {job.id: job.revision for job in store.jobs()}
    store.move(ids[3], "top")
    assert [job.model for job in store.jobs() if job.revision != before[job.id]] == ["d"]


def test_a_running_job_is_not_moved_and_not_in_the_way(store):
    ids = submit(store, *"abc")
    store.claim(ids[0], "")
    with pytest.raises(MoveRefusedError, match="it is running"):
        store.move(ids[0], "down")
    store.move(ids[2], "top")
    assert [job.model for job in store.jobs() if job.state is State.QUEUED] == ["c", "b"]


def test_the_runner_takes_them_in_the_new_order(bench):
    bench.paths.settings_file.write_text("[downloads]\nat_once = 1\n")
    jobs = [bench.submit(needs=Needs(network=True), steps=2) for _ in range(3)]
    bench.store.move(jobs[2].id, "top")
    bench.run()
    ended = [bench.wait(job, State.DONE) for job in jobs]
    assert sorted(ended, key=lambda job: job.started)[0].id == jobs[2].id
