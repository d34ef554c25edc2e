"""What a worker process is set to before any library loads: environment, file mode, memory order, signals.

The heavy libraries read their environment on import, so this module imports none of them and runs first.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from tui.jobs.job import Kind
from tui.paths import Paths

STOPPED_EXIT = 128 + signal.SIGTERM
"""Exit code of a worker that was told to stop; it leaves no outcome."""


XET_OFF = "HEFT_XET_OFF"
"""Set in a worker whose user had turned Xet off: a mirror may be there so that nothing is fetched past it."""


def prepare_process(paths: Paths, kind: str) -> None:
    """Set up this process for a job of ``kind``."""
    os.umask(0o077)
    if os.environ.get("HF_HUB_DISABLE_XET", "").upper() in ("1", "ON", "YES", "TRUE"):
        os.environ[XET_OFF] = "1"
    os.environ.update(
        HF_HUB_CACHE=str(paths.hub_cache),
        HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1",
        HF_HUB_DISABLE_XET="1",  # the bytes are moved by our own transfer, which resumes and verifies
        TOKENIZERS_PARALLELISM="false",
        TORCHDYNAMO_DISABLE="1",  # inductor wants a compiler at run time
        SPT_NOENV="1",  # keeps the mark by which the runner finds this process
    )
    os.environ.setdefault("GPTQMODEL_CPU_WORKERS", "2")
    os.environ.setdefault("OMP_NUM_THREADS", str(free_cores()))
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads crawl on a machine that others use too
    if kind != Kind.DOWNLOAD:  # work on folders never asks the network behind the user's back
        os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_DATASETS_OFFLINE="1")
    faulthandler.enable(sys.stderr)
    faulthandler.register(signal.SIGUSR1, sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")  # type: ignore[union-attr]
    with contextlib.suppress(OSError, ValueError):  # the kernel shall take the job, not the runner or sshd
        score = Path("/proc/self/oom_score_adj")
        score.write_text(str(max(500, int(score.read_text()))))


def free_cores() -> int:
    """Physical cores that this process may use, by affinity and by the quota of its control group; at least 1."""
    allowed = len(os.sched_getaffinity(0))
    with contextlib.suppress(OSError, ValueError):
        siblings = set()
        for cpu in os.sched_getaffinity(0):
            siblings.add(Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text())
        allowed = min(allowed, len(siblings))
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        allowed = min(allowed, -(-int(quota) // int(period)))
    return max(1, allowed)


def watch_for_stop(stop: threading.Event, grace: Callable[[], float]) -> None:
    """Set ``stop`` on SIGTERM or SIGINT; if the process is still here ``grace()`` seconds later, leave at once.

    A thread reads the signal from a pipe that the kernel's side of the handler fills, so it is heard even while the
    main thread sits in a long library call or a stalled socket.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def watch() -> None:
        while os.read(reading, 1)[0] not in (signal.SIGTERM, signal.SIGINT):
            pass
        stop.set()
        time.sleep(max(0.0, grace()))
        os._exit(STOPPED_EXIT)

    threading.Thread(target=watch, name="stop", daemon=True).start()
