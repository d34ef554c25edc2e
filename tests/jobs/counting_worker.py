"""A small real worker: counts steps durably, and misbehaves as its spec says. ``HEFT_WORKER`` points here in tests.

Each step is written to ``trace`` (attempt, pid, step) and then to ``checkpoint`` (by rename), so a test can tell
whether steps were lost, done by two processes at once, or begun behind a checkpoint.

Spec: ``steps``, ``seconds`` per step, ``misbehave``: "" | "fail" | "segfault" | "exit" | "stubborn" (ignores TERM, has
a stubborn grandchild in a session of its own) | "leave_child" (finishes but leaves such a grandchild) | "with_child"
(one that ends with it) | "unreachable" (a passing failure, twice more after ``wait`` seconds) | "fork_holds_lock" |
"wipe_environment" | "full_disk" | "hang_after_outcome"; ``until_file``: misbehave only while this file exists.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tui.jobs.job import Failure, Progress
from tui.jobs.job_folder import read_spec
from tui.jobs.store import Store
from tui.paths import Paths
from tui.settings import JobSettings

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def main() -> int:
    folder = Path(sys.argv[1])
    order = read_spec(folder)
    job_id, attempt, spec = order["id"], order["attempt"], order["spec"]
    (folder / "environment").write_text(json.dumps(dict(os.environ)))
    misbehave = spec.get("misbehave", "")
    if spec.get("until_file") and not Path(spec["until_file"]).exists():
        misbehave = ""
    begin_badly(misbehave)
    store = Store(Paths.from_environment())
    if order["kind"] == "serve":
        return serve(store, job_id, attempt)
    if misbehave == "fail":
        return 0 if store.fail(job_id, attempt, Failure("it was asked to fail", "ask for something else")) else 3
    if misbehave == "unreachable":
        away = Failure("the hub is away", "wait", passing=True)
        return 0 if store.fail(job_id, attempt, away, JobSettings(retries=2, retry_wait=spec["wait"])) else 3
    child = (
        subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
        if (misbehave == "with_child")
        else None
    )
    count(store, folder, order, misbehave)
    if child is not None and child.stdin is not None:
        child.stdin.close()
        child.wait()
    if misbehave == "leave_child":
        subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
    accepted = store.finish(job_id, attempt, {"path": str(folder), "steps": spec["steps"]})
    if misbehave == "hang_after_outcome":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
    return 0 if accepted else 3


def begin_badly(misbehave: str) -> None:
    if misbehave == "segfault":
        ctypes.string_at(0)
    elif misbehave == "exit":
        sys.exit(9)
    elif misbehave == "full_disk":
        sys.exit(os.EX_TEMPFAIL)
    elif misbehave == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
    elif misbehave == "fork_holds_lock" and os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(600)
        os._exit(0)
    elif misbehave == "wipe_environment" and "WIPED" not in sys.argv:
        kept = {name: os.environ[name] for name in ("HEFT_HOME", "PYTHONPATH", "PATH") if name in os.environ}
        os.execve(sys.executable, [sys.executable, *sys.argv, "WIPED"], kept)


def count(store: Store, folder: Path, order: dict, misbehave: str) -> None:
    spec = order["spec"]
    checkpoint = folder / "checkpoint"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(done + 1, spec["steps"] + 1):
        deadline = time.monotonic() + spec.get("seconds", 0.02)
        while (left := deadline - time.monotonic()) > 0:
            time.sleep(left)
        with (folder / "trace").open("a") as trace:
            trace.write(f"{order['attempt']} {os.getpid()} {step}\n")
        beside = folder / f"checkpoint.{os.getpid()}"
        with beside.open("w") as file:
            file.write(str(step))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(checkpoint)
        store.report(order["id"], order["attempt"], Progress(step, spec["steps"], "steps"))
        if misbehave == "die_at_half" and step == spec["steps"] // 2:
            os.kill(os.getpid(), signal.SIGKILL)


def serve(store: Store, job_id: int, attempt: int) -> int:
    store.mark_ready(job_id, attempt, {"base_url": "unix:/nowhere", "pid": os.getpid()})
    time.sleep(600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
