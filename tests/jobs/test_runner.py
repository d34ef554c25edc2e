"""The runner with real processes: what it does when they end well, badly, or not at all."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tui.jobs import rounds, worker_process
from tui.jobs.admission import Volume
from tui.jobs.job import Kind, Needs, State, Want
from tui.jobs.liveness import MARK, mark_of
from tui.jobs.rounds import Runner
from tui.jobs.schema import SCHEMA_VERSION
from tui.jobs.store import Store
from tui.jobs.surroundings import Machine
from tui.jobs.worker_process import device_environment

DONE = State.DONE


def test_a_chain_runs_in_order_and_the_runner_leaves_when_idle(bench):
    first = bench.submit()
    second = bench.submit(Kind.QUANTIZE, after=(first.id,))
    pid = bench.run()
    assert bench.wait(second, DONE).result["steps"] == 5
    assert bench.store.job(first.id).ended <= bench.store.job(second.id).started
    assert [event.state for event in bench.store.history(first.id)] == [State.QUEUED, State.RUNNING, DONE]
    bench.until(lambda: bench.runner() != pid, 15, "the idle runner to leave")
    assert "leaving" in bench.runner_log()


def test_a_killed_runner_costs_the_running_job_nothing(bench):
    job = bench.submit(steps=60, seconds=0.03)
    bench.run()
    bench.wait_steps(job, 5)
    worker = bench.worker(job)
    bench.kill_runner()
    bench.wait_steps(job, 15)
    bench.run()
    ended = bench.wait(job, DONE)
    assert ended.attempt == 1
    assert {pid for _, pid, _ in bench.trace(job)} == {worker}


def test_a_job_that_ends_while_no_runner_lives_is_done(bench):
    job = bench.submit(steps=20)
    later = bench.submit(after=(job.id,))
    bench.run()
    bench.wait_steps(job, 3)
    bench.kill_runner()
    bench.wait(job, DONE)
    assert bench.store.job(later.id).state is State.QUEUED
    bench.run()
    bench.wait(later, DONE)


def test_a_killed_worker_resumes_at_its_checkpoint(bench):
    job = bench.submit(steps=30, seconds=0.03)
    bench.run()
    bench.wait_steps(job, 10)
    os.kill(bench.worker(job), signal.SIGKILL)
    ended = bench.wait(job, DONE)
    assert ended.attempt == 2
    steps = [step for _, _, step in bench.trace(job)]
    assert sorted(set(steps)) == list(range(1, 31))
    assert len(steps) <= 31, "only the step that the kill hit may be done again"
    assert any("SIGKILL" in event.note for event in bench.store.history(job.id))


def test_killing_both_runner_and_worker_loses_nothing(bench):
    job = bench.submit(steps=30, seconds=0.03)
    waiting = bench.submit(after=(job.id,))
    bench.run()
    bench.wait_steps(job, 10)
    worker = bench.worker(job)
    bench.kill_runner()
    os.kill(worker, signal.SIGKILL)
    bench.run()
    assert bench.wait(job, DONE).attempt == 2
    bench.wait(waiting, DONE)


def test_an_unasked_term_as_at_a_reboot_resumes(bench):
    job = bench.submit(steps=30, seconds=0.03)
    bench.run()
    bench.wait_steps(job, 5)
    os.kill(bench.worker(job), signal.SIGTERM)
    assert bench.wait(job, DONE).attempt == 2


def test_a_job_that_always_dies_is_given_up_after_three_deaths(bench):
    job = bench.submit(misbehave="segfault")
    dependent = bench.submit(after=(job.id,))
    bench.run()
    ended = bench.wait(job, State.INTERRUPTED)
    assert (ended.attempt, ended.deaths) == (3, 3)
    assert "SIGSEGV" in ended.failure.summary
    assert ended.failure.log == str(job.log)
    bench.until(lambda: "resume" in bench.store.job(dependent.id).waiting_because, 10)
    assert bench.store.job(dependent.id).state is State.QUEUED


def test_a_resumed_job_gets_three_lives_again(bench, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    job = bench.submit(misbehave="exit", until_file=str(trouble))
    bench.run()
    assert "code 9" in bench.wait(job, State.INTERRUPTED).failure.summary
    trouble.unlink()
    bench.store.resume(job.id)
    bench.run()
    assert bench.wait(job, DONE).failure is None


def test_a_failure_is_not_retried_and_fails_its_dependents_until_retried(bench, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    job = bench.submit(misbehave="fail", until_file=str(trouble))
    second = bench.submit(after=(job.id,))
    third = bench.submit(after=(second.id,))
    bench.run()
    assert bench.wait(third, State.FAILED).failure.summary == f"needs job {second.id} (download), which failed"
    assert bench.store.job(second.id).failure.summary == f"needs job {job.id} (download), which failed"
    failed = bench.store.job(job.id)
    assert (failed.state, failed.attempt) == (State.FAILED, 1)
    assert (failed.failure.summary, failed.failure.hint) == ("it was asked to fail", "ask for something else")
    trouble.unlink()
    bench.store.retry(third.id)
    bench.run()
    bench.wait(third, DONE)


def test_cancel_ends_a_stubborn_tree_completely(bench):
    job = bench.submit(misbehave="stubborn", steps=10_000)
    bench.run()
    bench.wait_steps(job, 2)
    assert len(bench.pids(job)) == 2
    assert bench.store.cancel(job.id).want is Want.CANCEL
    ended = bench.wait(job, State.CANCELLED, seconds=20)
    assert bench.pids(job) == []
    assert ended.want is None
    assert not bench.store.job(job.id).state.is_alive


def test_pause_is_quick_and_resume_goes_on(bench):
    job = bench.submit(steps=40, seconds=0.03)
    bench.run()
    bench.wait_steps(job, 5)
    bench.store.pause(job.id)
    bench.wait(job, State.PAUSED, seconds=5)
    at = bench.checkpoint(job)
    assert bench.pids(job) == []
    bench.store.resume(job.id)
    bench.run()
    ended = bench.wait(job, DONE)
    assert (ended.attempt, ended.deaths) == (2, 0)
    assert bench.trace(job)[at][2] in (at, at + 1)


def test_a_stopped_process_can_be_cancelled(bench):
    job = bench.submit(steps=10_000)
    bench.run()
    bench.wait_steps(job, 2)
    os.kill(bench.worker(job), signal.SIGSTOP)
    bench.store.cancel(job.id)
    bench.wait(job, State.CANCELLED, seconds=12)
    assert bench.pids(job) == []


def test_cancel_wins_over_death(bench):
    """The process dies in the moment that the user cancels: the job must not come back."""
    job = bench.submit(steps=10_000)
    bench.run()
    bench.wait_steps(job, 2)
    worker = bench.worker(job)
    bench.kill_runner()
    bench.store.cancel(job.id)
    os.kill(worker, signal.SIGKILL)
    bench.run()
    bench.wait(job, State.CANCELLED)
    assert bench.store.job(job.id).attempt == 1


def test_what_a_finished_job_leaves_behind_is_swept(bench):
    job = bench.submit(misbehave="leave_child")
    bench.run()
    bench.wait(job, DONE)
    bench.until(lambda: bench.pids(job) == [], 20, "the grandchild to be swept")


def test_a_worker_that_hangs_after_its_outcome_is_ended(bench):
    job = bench.submit(misbehave="hang_after_outcome")
    bench.run()
    bench.wait(job, DONE)
    bench.until(lambda: bench.pids(job) == [], 25, "the hanging worker to be ended")


def test_leftovers_of_a_lost_runner_are_swept_by_the_next(bench):
    job = bench.submit(misbehave="leave_child")
    bench.run()
    bench.wait_steps(job, 1)
    bench.kill_runner()
    bench.wait(job, DONE)
    assert bench.until(lambda: bench.pids(job), 5)
    bench.run()
    bench.until(lambda: bench.pids(job) == [], 25, "the grandchild to be swept")


def test_what_was_overlooked_when_its_job_ended_is_swept_later(bench, monkeypatch):
    """A process between fork and exec shows no mark for a moment, just when the runner looks."""
    monkeypatch.setattr(rounds, "SWEEP_SECONDS", 0.0)
    said: list[str] = []
    runner = Runner(bench.paths, bench.store, Machine(bench.paths), said.append)
    runner.adopt()
    job = bench.submit()
    bench.store.cancel(job.id)
    marked = os.environ | {MARK: mark_of(job.folder)}
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env=marked, start_new_session=True)
    bench.until(lambda: bench.pids(job) == [left.pid], 10, "the leftover to be there")
    runner.tick()
    assert runner.is_ending and said == [f"job {job.id} has left a process behind"]
    bench.until(lambda: (runner.tick(), left.poll())[1] is not None, 30, "the leftover to be swept")
    assert left.returncode == -signal.SIGTERM
    bench.until(lambda: (runner.tick(), not runner.has_work())[1], 10, "the runner to have nothing to do")


def test_a_fork_that_holds_the_lock_does_not_look_like_life(bench):
    job = bench.submit(steps=30, seconds=0.05, misbehave="fork_holds_lock")
    bench.run()
    bench.wait_steps(job, 3)
    worker = bench.worker(job)
    bench.until(lambda: len(bench.pids(job)) == 2, 10)
    bench.kill_runner()  # the next runner is not the parent, so it must see this without an exit status
    os.kill(worker, signal.SIGKILL)
    bench.run()
    bench.until(lambda: bench.store.job(job.id).attempt == 2, 15, "a second attempt")
    assert worker not in bench.pids(job)
    bench.wait(job, DONE)


def test_a_job_that_wiped_its_environment_is_found_by_its_lock(bench):
    job = bench.submit(steps=10_000, misbehave="wipe_environment")
    bench.run()
    bench.wait_steps(job, 2)
    bench.store.cancel(job.id)
    bench.wait(job, State.CANCELLED, seconds=12)
    assert bench.pids(job) == []


def test_a_host_that_dies_is_offered_not_restarted(bench):
    job = bench.submit(Kind.SERVE)
    bench.run()
    ready = bench.wait(job, State.READY)
    os.kill(ready.result["pid"], signal.SIGKILL)
    ended = bench.wait(job, State.INTERRUPTED)
    assert ended.failure.summary.startswith("the host died (killed by SIGKILL")
    assert ended.attempt == 1


def test_a_host_killed_for_memory_is_told_so_with_what_to_do(bench, monkeypatch):
    kills = iter([7, 8])
    monkeypatch.setattr(worker_process, "kills_for_memory", lambda: next(kills, 8))
    job = bench.submit(Kind.SERVE)
    child = subprocess.Popen(["sleep", "60"])
    worker = worker_process.WorkerProcess(job, child.pid, child)
    child.kill()
    child.wait()
    assert worker.how_it_ended() == "killed by the kernel: memory ran out"
    claimed = bench.store.claim(job.id, "cpu")
    bench.store.died(job.id, claimed.attempt, worker.how_it_ended())
    failure = bench.store.job(job.id).failure
    assert "memory ran out" in failure.summary
    assert "shorter context" in failure.hint and "fewer bits" in failure.hint
    assert (
        worker_process.WorkerProcess(job, child.pid, child).how_it_ended() == "killed by SIGKILL, and not by the kernel"
    )


def test_a_worker_that_found_the_disk_full_waits_without_dying(bench, tmp_path):
    trouble = tmp_path / "trouble"
    trouble.touch()
    job = bench.submit(misbehave="full_disk", until_file=str(trouble))
    bench.run()
    bench.until(lambda: "disk is full; it starts again" in bench.store.job(job.id).waiting_because, 10)
    assert bench.store.job(job.id).deaths == 0
    trouble.unlink()
    bench.wait(job, DONE)


def test_a_job_for_a_gpu_waits_where_there_is_none(bench, monkeypatch):
    monkeypatch.setenv("HEFT_NVML", "/nowhere/libnvidia-ml.so")
    job = bench.submit(Kind.QUANTIZE, needs=Needs(device="cuda", memory=1000))
    other = bench.submit(Kind.QUANTIZE, needs=Needs(device="cpu", memory=1000))
    bench.run()
    bench.wait(other, DONE)
    bench.until(lambda: "no GPU" in bench.store.job(job.id).waiting_because, 10)
    assert json.loads((other.folder / "environment").read_text())["CUDA_VISIBLE_DEVICES"] == ""


def test_one_broken_job_does_not_stop_the_others(bench):
    broken = bench.submit()
    (broken.folder / "spec.json").write_text("not a table")
    other = bench.submit()
    bench.run()
    bench.wait(other, DONE)
    assert bench.store.job(broken.id).state is State.QUEUED


def test_the_runner_leaves_when_its_folder_is_taken_away(bench):
    pid = bench.run()
    bench.paths.state.rename(bench.paths.state.with_name("elsewhere"))
    bench.until(lambda: _is_gone(pid), 10, "the runner to leave")


def test_a_runner_that_is_told_to_stop_leaves_its_jobs_alone(bench):
    job = bench.submit(steps=60, seconds=0.03)
    bench.run()
    bench.wait_steps(job, 3)
    bench.kill_runner(signal.SIGTERM)
    bench.wait_steps(job, 10)
    bench.run()
    assert bench.wait(job, DONE).attempt == 1


def _is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


def test_when_the_disk_is_full_nothing_new_starts_and_the_reason_is_shown(bench):
    """The reading of free space is the only thing that is not real here."""
    free = [0]
    machine = Machine(bench.paths, volume=lambda folder: Volume(1, free[0], "/home"))
    runner = Runner(bench.paths, bench.store, machine, print)
    job = bench.submit()
    runner.tick()
    assert bench.store.job(job.id).waiting_because == "the disk is full: 0 B left on /home; nothing new starts"
    free[0] = 10**12
    bench.until(lambda: (runner.tick(), bench.store.job(job.id).state is DONE)[1], 20)


def test_a_job_that_died_twice_backs_off_before_it_starts_again(bench):
    job = bench.submit(misbehave="exit")
    bench.run()
    bench.until(lambda: "starts again in" in bench.store.job(job.id).waiting_because, 10)
    assert bench.store.job(job.id).attempt == 2
    bench.wait(job, State.INTERRUPTED)


def test_a_worker_sees_its_gpu_alone_and_its_own_mark(bench):
    job = bench.submit()
    bench.run()
    bench.wait(job, DONE)
    environment = json.loads((job.folder / "environment").read_text())
    assert environment["HEFT_JOB"] == f"{bench.paths.state}:{job.id}"
    assert environment["SPT_NOENV"] == "1"
    assert device_environment("cuda:1", "GPU-abc") == {
        "CUDA_VISIBLE_DEVICES": "GPU-abc",
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
    }
    assert device_environment("cuda:1", "")["CUDA_VISIBLE_DEVICES"] == "1"
    assert device_environment("cpu", "GPU-abc") == {"CUDA_VISIBLE_DEVICES": ""}


def test_a_runner_makes_way_when_a_newer_program_has_migrated_the_database(bench):
    job = bench.submit(steps=10_000)
    bench.run()
    bench.wait_steps(job, 2)
    newer = sqlite3.connect(bench.paths.database)
    newer.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    newer.close()
    bench.until(lambda: bench.runner() == 0, 30, "the older runner to leave")
    assert "leaving the jobs to its runner" in bench.runner_log()
    assert bench.pids(job), "the job goes on"


def test_a_database_that_is_damaged_under_a_running_job_costs_it_nothing(bench):
    job, later = bench.submit(steps=100, seconds=0.03), bench.submit(steps=3)
    bench.store.pause(later.id)
    bench.run()
    bench.wait_steps(job, 5)
    bench.store.close()
    for name in ("jobs.db", "jobs.db-wal", "jobs.db-shm"):
        (bench.paths.state / name).unlink(missing_ok=True)
    bench.paths.database.write_bytes(b"no database " * 1000)
    bench.store = Store(bench.paths, durable=False)
    assert bench.wait(job, DONE).attempt == 1
    assert bench.store.job(later.id).state is State.PAUSED
    bench.store.close()


def test_a_really_full_disk_under_a_running_job(bench):
    """A volume of 24 MB that is filled to the last byte while the job works, then freed."""
    home = bench.paths.config.parent
    command = ["unshare", "-rm", "sh", "-c", 'mount -t tmpfs -o size=24m tmpfs "$0" && exec "$1" "$2"']
    probe = subprocess.run([*command[:4], 'mount -t tmpfs tmpfs "$0"', home], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("this machine lets nobody mount a volume of his own")
    script = Path(__file__).parent / "full_disk.py"
    done = subprocess.run(
        [*command, home, sys.executable, script], check=False, capture_output=True, text=True, timeout=120
    )
    assert done.stdout == "held\n", done.stdout + done.stderr


SHUT = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
os.kill(os.getpid(), signal.SIGSTOP)
connection.execute("COMMIT")
"""


def test_a_process_that_is_stopped_in_the_middle_of_a_write_is_continued(bench):
    """Ctrl-Z may hit a front end while it holds the write lock; without help nothing would move until ``fg``."""
    bench.submit(steps=1000)
    bench.run()
    writer = subprocess.Popen([sys.executable, "-c", SHUT, str(bench.paths.database)])
    assert writer.wait(20) == 0
    assert f"process {writer.pid} was stopped in the middle of a write" in bench.runner_log()
    assert bench.submit(steps=1).state is State.QUEUED
