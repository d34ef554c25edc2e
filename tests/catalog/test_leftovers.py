"""What may be deleted from this disk, and what a job, another program or a person still wants."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path

import pytest

from tui.catalog.leftovers import Leftover
from tui.errors import HeftError
from tui.jobs.job import Failure, JobRequest, Kind, State
from tui.paths import Paths
from tui.workbench import Workbench

MAIN, OLD = "a" * 40, "b" * 40
DAY = 86400.0


@pytest.fixture
def bench(paths: Paths):
    opened = Workbench(paths)
    yield opened
    opened.close()


def blob(paths: Paths, repo: str, data: bytes) -> Path:
    path = paths.hub_cache / f"models--{repo.replace('/', '--')}" / "blobs" / hashlib.sha256(data).hexdigest()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def revision(paths: Paths, repo: str, commit: str, data: bytes, ref: str = "") -> Path:
    weights = blob(paths, repo, data)
    folder = weights.parent.parent / "snapshots" / commit
    folder.mkdir(parents=True)
    (folder / "model.safetensors").symlink_to(os.path.relpath(weights, folder))
    (folder / "config.json").write_text("{}")
    if ref:
        (weights.parent.parent / "refs").mkdir(exist_ok=True)
        (weights.parent.parent / "refs" / ref).write_text(commit)
    return folder


def partial(paths: Paths, name: str = "c" * 64 + ".heft.incomplete", age: float = 0) -> Path:
    path = paths.hub_cache / "models--org--model/blobs" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * 10_000)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def download(bench: Workbench) -> int:
    return bench.store.submit(JobRequest(Kind.DOWNLOAD, "m", {"repo": "org/model"})).id


def found(bench: Workbench) -> dict[str, Leftover]:
    return {item.path.name: item for item in bench.disk_use().leftovers}


def test_an_empty_machine(bench):
    assert bench.disk_use().leftovers == () and bench.prune() == ([], [])


def test_half_a_download_that_nobody_goes_on_with_is_deleted(bench, paths):
    path = partial(paths)
    assert found(bench)[path.name].bytes >= 10_000
    (gone,), problems = bench.prune()
    assert (gone.path, gone.name, problems) == (path, "org/model", [])
    assert not path.exists()


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING, State.PAUSED, State.FAILED])
def test_it_stays_while_a_job_goes_on_with_it(bench, paths, state):
    path, number = partial(paths), download(bench)
    if state is State.PAUSED:
        bench.store.pause(number)
    elif state is not State.QUEUED:
        bench.store.claim(number, "")
    if state is State.FAILED:
        bench.store.fail(number, 1, Failure("no"))
    assert found(bench)[path.name].kept_because == f"job {number} (download, {state}) goes on with it"
    assert bench.prune() == ([], []) and path.exists()
    if state is State.RUNNING:
        bench.store.finish(number, 1, {})
    else:
        bench.store.clear() if state is State.FAILED else bench.store.cancel(number)
    assert len(bench.prune()[0]) == 1


def test_a_job_that_comes_while_we_prune_keeps_its_file(bench, paths, monkeypatch):
    path = partial(paths)
    looked = iter([lambda: None, lambda: download(bench)])
    jobs = bench.jobs
    monkeypatch.setattr(bench, "jobs", lambda: (next(looked, lambda: None)(), jobs())[1])
    assert bench.prune() == ([], []) and path.exists()


def test_what_another_program_writes_stays(bench, paths):
    path = partial(paths)
    lock = paths.hub_cache / ".locks/models--org--model" / f"{'c' * 64}.lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert found(bench)[path.name].kept_because == "another program writes it now"
        assert bench.prune() == ([], [])
    assert len(bench.prune()[0]) == 1


def test_a_partial_file_of_another_program_rests_for_a_day(bench, paths):
    fresh, old = partial(paths, "d" * 64 + ".incomplete", age=3600), partial(paths, "e" * 64 + ".incomplete", 2 * DAY)
    assert found(bench)[fresh.name].kept_because == "another program wrote to it 1h 00m ago"
    assert [item.path for item in bench.prune()[0]] == [old]
    assert fresh.exists()


def test_a_revision_that_nothing_points_to_goes_and_frees_only_its_own(bench, paths):
    kept = revision(paths, "org/model", MAIN, b"new" * 1000, "main")
    old = revision(paths, "org/model", OLD, b"old" * 2000)
    (old / "shared").symlink_to((kept / "model.safetensors").readlink())
    item = found(bench)[OLD]
    assert (item.kind, item.name, item.bytes) == ("revision", f"org/model@{OLD[:8]}", 6002)
    assert [gone.path for gone in bench.prune()[0]] == [old]
    assert not old.exists() and (kept / "model.safetensors").read_bytes() == b"new" * 1000


def test_a_revision_that_a_job_uses_stays(bench, paths):
    revision(paths, "org/model", MAIN, b"new", "main")
    old = revision(paths, "org/model", OLD, b"old")
    job = bench.store.submit(JobRequest(Kind.SERVE, "m", {"path": str(old), "build": ""}))
    assert found(bench)[OLD].kept_because == f"job {job.id} (serve, queued) uses it"
    assert bench.prune() == ([], [])


def test_commits_that_were_asked_for_by_number_stay(bench, paths):
    revision(paths, "org/model", MAIN, b"new")
    revision(paths, "org/model", OLD, b"old")
    assert bench.prune() == ([], [])


def test_half_made_builds(bench, paths):
    number = bench.store.submit(JobRequest(Kind.QUANTIZE, "m", {})).id
    for name in (f".making-{number}", ".making-77"):
        (paths.builds / name).mkdir()
        (paths.builds / name / "model.safetensors").write_bytes(b"x" * 500)
    assert found(bench)[f".making-{number}"].kept_because == f"job {number} works on it"
    assert [gone.path.name for gone in bench.prune()[0]] == [".making-77"]
    assert (paths.builds / f".making-{number}").exists()


def test_the_trash_waits_a_day_and_can_be_undone(bench, paths):
    folder = paths.builds / "mine"
    folder.mkdir()
    (folder / "heft.json").write_text("{}")
    bench.remove_build("mine")
    item = found(bench)["mine"]
    assert item.kind == "trash" and item.kept_because == "heft rm --undo brings it back, for 1d 0h more"
    assert bench.prune() == ([], [])
    assert [gone.kept_because for gone in bench.disk_use(trash=True).leftovers] == [""]
    assert bench.restore_build().id == "mine" and folder.exists()
    bench.remove_build("mine")
    trash = found(bench)["mine"].path.parent
    os.utime(trash, (time.time() - 2 * DAY,) * 2)
    assert [gone.kind for gone in bench.prune()[0]] == ["trash"]
    assert not trash.exists()


def test_the_trash_is_emptied_before_its_day_when_somebody_wants_the_space(bench, paths):
    revision(paths, "org/model", MAIN, b"new", "main")
    bench.remove_build("org/model")
    assert bench.prune() == ([], [])
    assert [gone.kind for gone in bench.prune(trash=True)[0]] == ["trash"]
    assert not list(paths.hub_cache.parent.rglob("model.safetensors"))


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
def test_what_the_job_before_it_made_is_not_removed_under_a_job(bench, paths, state):
    folder = revision(paths, "org/model", MAIN, b"new", "main")
    first, second = bench.store.submit_chain(
        [JobRequest(Kind.DOWNLOAD, "m", {"repo": "org/model"}), JobRequest(Kind.QUANTIZE, "m", {"path": ""})]
    )
    bench.store.claim(first.id, "")
    with pytest.raises(HeftError, match=rf"job {first.id} \(download\) uses org/model"):
        bench.remove_build("org/model")
    bench.store.finish(first.id, 1, {"path": str(folder)})
    if state is State.RUNNING:
        bench.store.claim(second.id, "cpu")
    with pytest.raises(HeftError, match=rf"job {second.id} \(quantize\) uses org/model"):
        bench.remove_build("org/model")
    bench.store.claim(second.id, "cpu")
    bench.store.finish(second.id, 1, {})
    assert bench.remove_build("org/model").path == folder


def test_files_that_are_here_twice(bench, paths):
    data = os.urandom(1_500_000)
    one, other = blob(paths, "org/one", data), blob(paths, "org/other", data)
    blob(paths, "org/other", os.urandom(1_500_000))
    made = paths.builds / "mine"
    made.mkdir()
    (made / "model.safetensors").write_bytes(data)
    (made / "link.safetensors").symlink_to(one)
    os.link(one, made / "hard.safetensors")
    (twin,) = bench.disk_use().duplicates
    assert (set(twin.paths), twin.wasted) == ({one, other}, 1_500_000)
    (twin,) = bench.disk_use(compare=True).duplicates
    assert (set(twin.paths), twin.wasted) == ({one, other, made / "model.safetensors"}, 3_000_000)


def test_when_a_build_was_last_used(bench, paths):
    folder = revision(paths, "org/model", MAIN, b"new", "main")
    (use,) = bench.disk_use().builds
    assert use.refs == ("main",) and use.last_used is not None
    job = bench.store.submit(JobRequest(Kind.SERVE, "m", {"path": str(folder), "build": ""}))
    started = bench.store.claim(job.id, "").started
    assert bench.disk_use().builds[0].last_used == started
