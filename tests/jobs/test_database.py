"""The file under the store: migrations, newer schemas, damage, full disks, foreign file systems."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tui import sqlite_file
from tui.errors import StoreError
from tui.jobs import database, job_folder
from tui.jobs.database import migrate
from tui.jobs.job import Failure, JobRequest, Kind, Progress, State
from tui.jobs.liveness import take_lock
from tui.jobs.schema import SCHEMA_VERSION
from tui.jobs.store import Store
from tui.paths import file_system_of


def request(kind: Kind = Kind.DOWNLOAD, **fields) -> JobRequest:
    return JobRequest(kind, "some/model", {"x": 1}, **fields)


def test_a_database_of_version_1_is_brought_up_and_keeps_its_jobs(paths):
    old = sqlite3.connect(paths.database, isolation_level=None)
    migrate(old, 0, upto=1)
    old.execute(
        "INSERT INTO job (key, kind, state, model, spec, needs, after, plan, created)"
        " VALUES ('k', 'download', 'queued', 'm', '{\"a\": 1}', '{}', '[]', '', '2026-01-01T00:00:00+00:00')"
    )
    columns = {row[1] for row in old.execute("PRAGMA table_info(job)")}
    old.close()
    assert "furthest" not in columns
    store = Store(paths)
    assert [(job.key, job.spec) for job in store.jobs()] == [("k", {"a": 1})]
    store.claim(1, "cpu")
    store.report(1, 1, Progress(1, 2))
    assert store.died(1, 1, "killed") is State.QUEUED
    assert len(store.history(1)) == 3
    store.close()
    assert sqlite3.connect(paths.database).execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


def test_a_new_kind_of_job_is_a_new_schema() -> None:
    """A runner of the version before would meet a kind that it does not know, and every job would wait for ever."""
    kinds = {"download", "quantize", "serve", "evaluate", "compare", "export", "benchmark"}
    assert ({kind.value for kind in Kind}, SCHEMA_VERSION) == (kinds, 4), "add a migration, then both to this line"


def test_a_migration_that_is_cut_off_leaves_the_old_version(paths, monkeypatch):
    old = sqlite3.connect(paths.database, isolation_level=None)
    migrate(old, 0, upto=1)
    old.close()
    good = database.MIGRATIONS
    monkeypatch.setattr(database, "MIGRATIONS", (good[0], (*good[1], "SELECT no_such_function()")))
    with pytest.raises(StoreError):
        Store(paths)
    monkeypatch.setattr(database, "MIGRATIONS", good)
    Store(paths).close()


def test_a_newer_schema_is_refused_and_left_alone(paths):
    Store(paths).close()
    newer = sqlite3.connect(paths.database)
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 7}")
    newer.close()
    before = paths.database.read_bytes()
    with pytest.raises(StoreError, match=rf"newer Heft \(schema {SCHEMA_VERSION + 7}; this one knows") as refusal:
        Store(paths)
    assert "update Heft" in refusal.value.hint
    assert paths.database.read_bytes() == before


def populated(paths) -> dict[str, int]:
    """One job in each kind of situation."""
    store = Store(paths)
    done, failed, cancelled, queued, paused, alive, host, dead_host = (
        store.submit(request(Kind.SERVE if "host" in name else Kind.DOWNLOAD, key=name, priority=place)).id
        for place, name in enumerate(["done", "failed", "cancelled", "queued", "paused", "alive", "host", "dead_host"])
    )
    for job_id in (done, failed, alive, host, dead_host):
        store.claim(job_id, "cpu")
    store.finish(done, 1, {"path": "/there"})
    store.fail(failed, 1, Failure("broke", "mend"))
    store.cancel(cancelled)
    store.pause(paused)
    for job_id in (host, dead_host):
        store.mark_ready(job_id, 1, {"base_url": "unix:/x"})
    for job_id in (alive, host):
        folder = paths.job_folder(job_id)
        order = json.loads((folder / "spec.json").read_text()) | {"attempt": 1, "device": "cpu"}
        (folder / "spec.json").write_text(json.dumps(order))
    store.close()
    names = ["done", "failed", "cancelled", "queued", "paused", "alive", "host", "dead_host"]
    return dict(zip(names, [done, failed, cancelled, queued, paused, alive, host, dead_host], strict=True))


def damage(path: Path, how: str) -> None:
    if how == "not a database":
        path.write_bytes(b"this is no database at all" * 400)
    elif how == "torn pages":
        content = bytearray(path.read_bytes())
        content[4096:] = os.urandom(len(content) - 4096)
        path.write_bytes(content)
    else:
        path.unlink()


@pytest.mark.parametrize("how", ["not a database", "torn pages", "gone"])
def test_a_damaged_database_is_set_aside_and_rebuilt_from_the_job_folders(paths, how):
    ids = populated(paths)
    revision_before = 10_000
    damage(paths.database, how)
    locks = [take_lock(paths.job_folder(ids[name]) / "lock") for name in ("alive", "host")]
    store = Store(paths)
    jobs = {job.key: job for job in store.jobs()}
    assert {key: job.id for key, job in jobs.items()} == ids
    assert {key: str(job.state) for key, job in jobs.items()} == {
        "done": "done", "failed": "failed", "cancelled": "cancelled", "queued": "queued", "paused": "paused",
        "alive": "running", "host": "ready", "dead_host": "interrupted",
    }  # fmt: skip
    assert jobs["done"].result == {"path": "/there"}
    assert jobs["failed"].failure.summary == "broke"
    assert jobs["queued"].priority == 3
    assert store.finish(ids["alive"], 1, {}), "the living worker's outcome is still taken"
    assert store.submit(request(key="done")).id == ids["done"]
    assert store.submit(request()).id == max(ids.values()) + 1
    assert store.changed_since(0)[2] > revision_before, "front ends that remember the old file see everything as new"
    aside = list(paths.state.glob("jobs.db.damaged-*"))
    assert bool(aside) == (how != "gone")
    store.close()
    for lock in locks:
        os.close(lock)


@pytest.mark.parametrize("before", ["queued", "paused", "tried before"])
def test_a_job_that_was_cancelled_on_a_full_disk_stays_cancelled_when_the_database_is_rebuilt(
    paths, monkeypatch, before
):
    """The database had room for the move; a new file beside it had none."""
    store = Store(paths)
    job = store.submit(request())
    if before == "paused":
        store.pause(job.id)
    elif before == "tried before":
        store.claim(job.id, "cpu")
        store.fail(job.id, 1, Failure("broke", "mend"))
        store.retry(job.id)

    def no_room(path, content, *, durable, room=0):
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as full:
        full.setattr(job_folder, "_write", no_room)
        assert store.cancel(job.id).state is State.CANCELLED
        with pytest.raises(StoreError, match="the disk is full"):
            store.submit(request(key="later"))
    store.close()
    damage(paths.database, "not a database")
    rebuilt = Store(paths)
    assert [(job.id, job.state) for job in rebuilt.jobs()] == [(job.id, State.CANCELLED)]
    rebuilt.close()


def test_an_outcome_that_does_not_fit_is_not_torn(paths, monkeypatch):
    folder = paths.job_folder(1)
    job_folder.reserve_outcome(folder)
    monkeypatch.setattr(job_folder, "_write", lambda *_, **__: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    job_folder.write_outcome(folder, {"state": "done", "result": "x" * job_folder.OUTCOME_ROOM})
    assert job_folder.read_outcome(folder) == {}
    job_folder.write_outcome(folder, {"state": "done", "result": "ä" * 1000})
    assert job_folder.read_outcome(folder)["result"] == "ä" * 1000
    job_folder.forget_outcome(folder)
    assert job_folder.read_outcome(folder) == {}
    assert (folder / "outcome.json").stat().st_size == job_folder.OUTCOME_ROOM


def test_whoever_has_no_open_files_to_spare_rebuilds_nothing(paths, monkeypatch):
    """It would read no folder at all, and forget every job."""
    ids = populated(paths)
    damage(paths.database, "gone")
    read = job_folder._read

    def none_to_spare(path):
        if path.name == "outcome.json":
            raise OSError(errno.EMFILE, "too many open files")
        return read(path)

    with monkeypatch.context() as poor:
        poor.setattr(job_folder, "_read", none_to_spare)
        with pytest.raises(StoreError, match="too many open files"):
            Store(paths)
    store = Store(paths)
    assert {job.id for job in store.jobs()} == set(ids.values())
    assert store.job(ids["cancelled"]).state is State.CANCELLED
    store.close()


def test_an_open_store_follows_a_file_that_was_replaced(paths):
    mine, other = Store(paths), Store(paths)
    job = mine.submit(request())
    version = other.data_version()
    mine.close()
    damage(paths.database, "not a database")
    for suffix in ("-wal", "-shm"):
        Path(f"{paths.database}{suffix}").unlink(missing_ok=True)
    rebuilt = Store(paths)
    assert other.data_version() != version
    assert other.claim(job.id, "cpu").id == job.id
    assert rebuilt.job(job.id).state is State.RUNNING
    other.close()
    rebuilt.close()


def test_what_was_written_to_a_file_that_was_set_aside_meanwhile_is_not_acknowledged(paths, monkeypatch):
    store = Store(paths)
    real = database._transaction

    @contextlib.contextmanager
    def replaced(connection, begin):
        with real(connection, begin):
            yield
        if begin == "BEGIN IMMEDIATE":
            monkeypatch.setattr(database, "_transaction", real)
            for path in paths.state.glob("jobs.db*"):
                path.rename(path.with_name("aside-" + path.name))
            Store(paths).close()  # what another process does that found the damage

    monkeypatch.setattr(database, "_transaction", replaced)
    with pytest.raises(StoreError, match="was replaced while it was written"):
        store.submit(request(key="mine"))
    assert store.submit(request(key="mine")).key == "mine"
    assert [job.key for job in Store(paths).jobs()] == ["mine"]
    store.close()


def test_damage_that_shows_only_in_use_is_repaired_at_the_next_call(paths):
    store = Store(paths)
    for number in range(200):
        store.submit(JobRequest(Kind.DOWNLOAD, "m", {"blob": "x" * 3000}, key=str(number)))
    store._database._main.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store._database._main.execute("PRAGMA cache_size = 0")
    with paths.database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (paths.database.stat().st_size - 4096))
    with pytest.raises(StoreError, match="is damaged"):
        store.jobs()
    assert [job.key for job in store.jobs()] == [str(number) for number in range(200)]
    store.close()


FILL = """
import resource, signal, sys
from tui.jobs.job import JobRequest, Kind
from tui.jobs.store import Store
from tui.paths import file_system_of
from tui.errors import StoreError
from tui.paths import Paths, file_system_of
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = Store(Paths.from_environment())
acknowledged = []
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    for number in range(500):
        store.submit(JobRequest(Kind.DOWNLOAD, "m", {"blob": "x" * 5000}, key=str(number)))
        acknowledged.append(number)
except StoreError as error:
    print(len(acknowledged), error.summary, "|", error.hint)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
store.submit(JobRequest(Kind.DOWNLOAD, "m", {}, key="after"))
"""


def test_when_no_more_can_be_written_a_submit_is_refused_and_nothing_is_lost(paths):
    """A limit on file sizes makes real writes fail in the middle, as a full disk does."""
    done = subprocess.run([sys.executable, "-c", FILL], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    count = int(done.stdout.split()[0])
    assert 0 < count < 500
    store = Store(paths)
    keys = {job.key for job in store.jobs()}
    assert keys == {str(number) for number in range(count)} | {"after"}
    store.close()
    assert sqlite3.connect(paths.database).execute("PRAGMA integrity_check").fetchone()[0] == "ok"


def test_a_job_whose_order_cannot_be_written_is_not_in_the_queue(store, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tui.jobs.transition.write_spec", full)
    with pytest.raises(StoreError, match="the disk is full"):
        store.submit(request())
    monkeypatch.undo()
    assert store.jobs() == []
    assert store.submit(request()).id == 1


def test_a_file_that_cannot_be_written_says_so(paths):
    paths.database.mkdir()
    with pytest.raises(StoreError, match="cannot be used"):
        Store(paths)


MOUNTS = """22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:40 / /home rw shared:1 - nfs4 server:/home rw
31 30 0:41 / /home/my\\040scratch rw - xfs /dev/sdb rw
"""


def test_the_file_system_is_that_of_the_nearest_mount():
    assert file_system_of(Path("/var/x"), MOUNTS) == "ext4"
    assert file_system_of(Path("/home/me/state"), MOUNTS) == "nfs4"
    assert file_system_of(Path("/home/my scratch/a"), MOUNTS) == "xfs"
    assert file_system_of(Path("/homeless"), MOUNTS) == "ext4"


@pytest.mark.parametrize("kind, mode", [("nfs4", "truncate"), ("ext4", "wal")])
def test_network_file_systems_get_no_shared_memory(paths, monkeypatch, kind, mode):
    monkeypatch.setattr(sqlite_file, "file_system_of", lambda path: kind)
    store = Store(paths)
    job = store.submit(request())
    assert store._database._main.execute("PRAGMA journal_mode").fetchone()[0] == mode
    assert store._database._main.execute("PRAGMA synchronous").fetchone()[0] == 2
    version = store.data_version()
    assert store.claim(job.id, "cpu") and store.report(job.id, 1, Progress(1))
    assert store.data_version() != version
    store.close()
