"""The door of a worker: who may enter, how it leaves, and what it writes when something breaks."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.patience import patient
from tests.workers.worker_job import WorkerJob
from tui.jobs.job import Kind, State
from tui.paths import Paths

VERB = """
import sys, types
verb = types.ModuleType("tui.workers.evaluate")
exec({body!r}, verb.__dict__)
sys.modules["tui.workers.evaluate"] = verb
import os
from tui.workers.__main__ import main
code = main(sys.argv[1:])
sys.stdout.flush()
os._exit(code)
"""


@pytest.fixture
def job(paths: Paths) -> Iterator[WorkerJob]:
    made = WorkerJob(paths, Kind.EVALUATE, "m", {"build": "m"})
    yield made
    made.close()


def verb(body: str) -> tuple[str, str]:
    return "-c", VERB.format(body=body)


def test_a_result_is_written_and_the_process_leaves_0(job: WorkerJob) -> None:
    ended = job.run(verb("def run(r):\n r.progress(3, 3, 'tokens')\n return {'perplexity': 7.5}"))
    assert (ended.state, ended.result, ended.progress.done) == (State.DONE, {"perplexity": 7.5}, 3)


def test_the_process_is_prepared_before_anything_loads(job: WorkerJob, paths: Paths) -> None:
    body = """
import os, pathlib, sys
early = sorted(name for name in ("torch", "transformers", "huggingface_hub") if name in sys.modules)
def run(r):
    umask = os.umask(0)
    return {"env": dict(os.environ), "umask": umask, "early": early,
            "oom": int(pathlib.Path("/proc/self/oom_score_adj").read_text())}
"""
    result = job.run(verb(body)).result
    env = result["env"]
    assert (result["umask"], result["early"]) == (0o077, [])
    assert result["oom"] >= 500
    assert env["HF_HUB_CACHE"] == str(paths.hub_cache)
    assert env["HF_HUB_OFFLINE"] == "1"  # only downloads ask the network
    for name, value in {
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "GPTQMODEL_CPU_WORKERS": "2",
        "TORCHDYNAMO_DISABLE": "1",
    }.items():
        assert env[name] == value
    assert int(env["OMP_NUM_THREADS"]) >= 1


@pytest.mark.parametrize(
    ("body", "summary", "hint"),
    [
        (
            "from tui.errors import DoesNotFitError\ndef run(r): raise DoesNotFitError('too big', 'buy')",
            "too big",
            "buy",
        ),
        ("def run(r): raise ValueError('odd\\x1b[2J hf_abcdefghijkl')", "ValueError: odd\ufffd[2J hf_[hidden]", "log"),
        ("def run(r): raise MemoryError", "memory ran out: this job used", "smaller model"),
        (
            "def run(r): raise RuntimeError('[enforce fail] DefaultCPUAllocator: can\\'t allocate memory:"
            " you tried to allocate 34359738368 bytes.')",
            "memory ran out when it asked for 34.4 GB",
            "shorter context",
        ),
        (
            "class OutOfMemoryError(RuntimeError): pass\ndef run(r): raise OutOfMemoryError("
            "'CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB')",
            "the GPU ran out of memory: Tried to allocate 2.00 GiB. GPU 0 has 79 GiB",
            "unload",
        ),
        ("def run(r): raise SystemExit(1)", "SystemExit: 1", "log"),
        ("def run(r): import no_such_library", "ModuleNotFoundError: No module named 'no_such_library'", "log"),
    ],
)
def test_a_failure_in_words(job: WorkerJob, body: str, summary: str, hint: str) -> None:
    failure = job.run(verb(body)).failure
    assert failure is not None
    assert summary in failure.summary
    assert hint in failure.hint
    assert failure.log == str(job.job.log)
    assert "Traceback" in job.log and "\x1b" not in job.log and "abcdefghijkl" not in job.log


def test_the_exit_code_of_a_failure_travels_with_it(job: WorkerJob) -> None:
    failure = job.run(verb("from tui.errors import DoesNotFitError\ndef run(r): raise DoesNotFitError('big')")).failure
    assert failure is not None and failure.exit_code == 5


@pytest.mark.parametrize(
    "error",
    ["OSError(28, 'No space left on device')", "OSError(122, 'Disk quota exceeded')"],
)
def test_a_full_disk_leaves_no_outcome(job: WorkerJob, error: str) -> None:
    body = f"def run(r):\n try: raise {error}\n except OSError as e: raise RuntimeError('save failed') from e"
    assert job.start(verb(body)).wait(30) == os.EX_TEMPFAIL
    assert (job.job.state, job.job.failure) == (State.RUNNING, None)


STUBBORN = {
    "asleep": "import time\ndef run(r):\n r.say('begun')\n while True: time.sleep(100)",
    "deep in a library": "import zlib\ndef run(r):\n r.say('begun')\n import threading\n threading.Event().wait()",
    "catching everything": (
        "import time\ndef run(r):\n r.say('begun')\n while True:\n  try: time.sleep(1)\n  except BaseException: pass"
    ),
    "breaking while unwinding": (
        "def run(r):\n r.say('begun')\n r.stop.wait()\n raise ConnectionResetError('because of the stop')"
    ),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("body", STUBBORN.values(), ids=STUBBORN)
def test_a_stop_takes_little_more_than_a_second(
    job: WorkerJob, until: Callable[..., object], body: str, number: signal.Signals
) -> None:
    process = job.start(verb(body))
    until(lambda: "begun" in job.log)
    begun = time.monotonic()
    process.send_signal(number)
    assert process.wait(10) == 143
    assert time.monotonic() - begun < patient(2.5)
    assert (job.job.state, job.job.failure) == (State.RUNNING, None)


def test_work_that_is_done_when_the_stop_comes_counts(job: WorkerJob, until: Callable[..., object]) -> None:
    process = job.start(verb("def run(r):\n r.say('begun')\n r.stop.wait()\n return {'perplexity': 1.0}"))
    until(lambda: "begun" in job.log)
    process.terminate()
    assert process.wait(10) == 0
    assert job.job.state is State.DONE


def test_a_hang_up_of_the_terminal_is_not_heard(job: WorkerJob, until: Callable[..., object]) -> None:
    body = "import os, signal\ndef run(r):\n os.kill(os.getpid(), signal.SIGHUP)\n return {}"
    assert job.run(verb(body)).state is State.DONE


def test_one_worker_per_job(job: WorkerJob) -> None:
    store_job = job.store.claim(job.id, "cpu")
    assert store_job is not None
    lock = store_job.folder / "lock"
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        refused = enter(store_job.folder)
        assert refused.returncode == 3
        assert "already being worked on" in refused.stderr
        # the runner's way: it hands its own lock on
        taken = enter(store_job.folder, pass_fds=(held.fileno(),))
        assert "already being worked on" not in taken.stderr


def test_only_the_attempt_that_was_started_may_run(job: WorkerJob) -> None:
    folder = job.job.folder
    queued = enter(folder)
    assert (queued.returncode, "is queued" in queued.stderr) == (3, True)
    job.store.claim(job.id, "cpu")
    late = enter(folder)  # spec.json still speaks of attempt 0
    assert late.returncode == 3
    assert job.job.failure is None


@pytest.mark.parametrize("spec", [None, "not json", "[]", '{"id": 1}'])
def test_what_is_no_job_folder_is_refused(tmp_path: Path, spec: str | None) -> None:
    folder = tmp_path / "jobs/1"
    folder.mkdir(parents=True)
    if spec is not None:
        (folder / "spec.json").write_text(spec)
    refused = enter(folder)
    assert refused.returncode == 2
    assert "is not a job folder" in refused.stderr


def test_a_folder_of_another_home_is_refused(job: WorkerJob, tmp_path: Path) -> None:
    job.start(verb("def run(r): return {}")).wait(30)
    copy = tmp_path / "1"
    copy.mkdir()
    (copy / "spec.json").write_text(json.dumps({"id": job.id, "attempt": 1, "kind": "evaluate"}))
    assert enter(copy).returncode == 3


def enter(folder: Path, pass_fds: tuple[int, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tui.workers", str(folder)],
        pass_fds=pass_fds,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        ('HubUnreachableError("the hub did not answer")', State.QUEUED),
        ('HubUnreachableError("offline mode is on", passing=False)', State.FAILED),
        ('NotAllowedError("accept the terms")', State.FAILED),
    ],
)
def test_only_trouble_that_passes_is_tried_again(job: WorkerJob, raised: str, state: State) -> None:
    body = f"def run(reporter):\n    from tui.errors import HubUnreachableError, NotAllowedError\n    raise {raised}\n"
    assert job.run(verb(body)).state is state
