"""Starting when a device has been free for long enough: counted over the runner's looks, said in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.jobs.test_admission import GB, gpu, job, machine
from tui.errors import MoveRefusedError
from tui.jobs.admission import Start, Wait, decide
from tui.jobs.free_watch import FreeWatch
from tui.jobs.job import JobRequest, Kind, Needs, State, WhenFree
from tui.jobs.store import Store

WISH = Needs(device="cuda", memory=5 * GB, free=24 * GB, free_for=60)


def around(*gpus, **seconds):
    seen = {(name.replace("_", ":"), 24 * GB): value for name, value in seconds.items()}
    return machine(*gpus, free_for=seen)


def reason(*gpus, needs=WISH, **seconds) -> str:
    (decision,) = decide([job(needs=needs)], [], around(*gpus, **seconds))
    return decision.reason if isinstance(decision, Wait) else f"on {decision.device}"


def test_too_little_is_free():
    assert reason(gpu(free=14.1)) == "waits for 24.0 GB free for 60 s on any GPU; GPU 0 has 14.1 GB"


def test_free_but_not_for_long_enough():
    assert reason(gpu(free=30), cuda_0=12.0).endswith("; GPU 0 has had it for 12s")


def test_the_gpu_that_had_it_long_enough_is_taken_even_when_another_has_more():
    assert reason(gpu(0, free=70), gpu(1, free=30), cuda_0=5.0, cuda_1=61.0) == "on cuda:1"


def test_a_named_gpu():
    needs = Needs(device="cuda:1", memory=GB, free=24 * GB, free_for=60)
    assert "on GPU 1; GPU 1 " in reason(gpu(0), gpu(1, free=3), needs=needs, cuda_0=99.0)


def test_what_can_never_be_is_said():
    assert reason(gpu(total=16, free=16)).endswith("has 16.0 GB in all: that will never be")


def test_ram():
    needs = Needs(device="cpu", memory=GB, free=24 * GB, free_for=5)
    (decision,) = decide([job(needs=needs)], [], machine(available=10))
    assert decision.reason == "waits for 24.0 GB free for 5 s in RAM; RAM has 10.0 GB"
    (decision,) = decide([job(needs=needs)], [], machine(free_for={("cpu", 24 * GB): 5.0}))
    assert isinstance(decision, Start)


def test_it_holds_nobody_up():
    first, second = job(needs=WISH), job(needs=Needs(device="cuda", memory=5 * GB), kind=Kind.SERVE)
    decisions = decide([first, second], [], around(gpu(free=14)))
    assert [type(decision) for decision in decisions] == [Wait, Start]


def looks(*free_and_time) -> float:
    watch, seen = FreeWatch(), {}
    for free, now in free_and_time:
        seen = watch.seen([job(needs=WISH)], machine(gpu(free=free)).snapshot, now)
    return seen.get(("cuda:0", 24 * GB), -1.0)


@pytest.mark.parametrize(
    ("seen", "seconds"),
    [
        ([(30, 0.0)], 0),
        ([(30, 0.0), (25, 1.0), (40, 2.5)], 2.5),
        ([(30, 0.0), (20, 1.0), (30, 2.0), (30, 3.0)], 1),
        ([(30, 0.0), (20, 1.0)], -1),
        ([(30, 0.0), (30, 50.0), (30, 51.0)], 1),
    ],
    ids=["first look", "all the time", "with a gap", "gone", "nobody looked for a while"],
)
def test_the_seconds_are_counted_on_end(seen, seconds):
    assert looks(*seen) == seconds


def test_a_real_runner_waits_that_long(bench):
    job_ = bench.submit(needs=Needs(device="cpu", memory=1, free=1000, free_for=2.0))
    begun = bench.store.job(job_.id).created
    bench.run()
    bench.until(lambda: "has had it for" in bench.store.job(job_.id).waiting_because, 15)
    ended = bench.wait(job_, State.DONE)
    assert (ended.started - begun).total_seconds() >= 2


def test_a_waiting_job_can_be_told_to_wait_and_a_rebuilt_queue_remembers(store, paths):
    needs = Needs(device="cpu", memory=1000)
    job = store.submit(JobRequest(Kind.QUANTIZE, "m", {}, needs))
    assert store.start_when_free(job.id, WhenFree(5_000, 7)).needs == replace(needs, free=5_000, free_for=7)
    store.close()
    paths.database.unlink()
    again = Store(paths)
    assert again.job(job.id).needs.free == 5_000
    assert again.start_when_free(job.id, WhenFree(0)).needs == needs
    with pytest.raises(MoveRefusedError, match="computes on no device"):
        again.start_when_free(again.submit(JobRequest(Kind.DOWNLOAD, "m", {})).id, WhenFree(1))
    again.claim(job.id, "cpu")
    with pytest.raises(MoveRefusedError, match="cannot be made to wait"):
        again.start_when_free(job.id, WhenFree(1))
    again.close()
