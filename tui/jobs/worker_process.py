"""The process of one job as the runner sees it: started or adopted, gone or not, and how it came to its end.

A worker is a command line plus a job folder and nothing more, so that the same job can run elsewhere later.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tui.jobs.job import Job
from tui.jobs.job_folder import read_spec, write_spec
from tui.jobs.liveness import LOCK_FILE, MARK, belongs_to, job_is_alive, mark_of, process_is_stopped

WORKER_VARIABLE = "HEFT_WORKER"
"""Environment variable with another command line for workers (split as a shell does; the job folder is appended):
the seam at which tests put a worker of their own."""


class WorkerProcess:
    """One attempt of one job. ``pid`` is None for an adopted one that did not leave its number."""

    def __init__(self, job: Job, pid: int | None, child: subprocess.Popen[bytes] | None) -> None:
        self.job_id = job.id
        self.attempt = job.attempt
        self.folder = job.folder
        self.pid = pid
        self._child = child
        self._kills_before = kills_for_memory()

    @classmethod
    def adopt(cls, job: Job) -> WorkerProcess:
        """Take over a job that another runner started."""
        pid = None
        with contextlib.suppress(OSError, ValueError):
            pid = int((job.folder / LOCK_FILE).read_text(encoding="ascii"))
        return cls(job, pid, None)

    @classmethod
    def start(cls, job: Job, lock: int, environment: Mapping[str, str]) -> WorkerProcess:
        """Start the worker in a session of its own; it inherits ``lock``. Raises ``OSError``."""
        command = shlex.split(environment.get(WORKER_VARIABLE, "")) or [sys.executable, "-m", "tui.workers"]
        with job.log.open("ab") as log:
            child = subprocess.Popen(
                [*command, str(job.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**environment, MARK: mark_of(job.folder), "SPT_NOENV": "1"},
                start_new_session=True,
                pass_fds=(lock,),
            )
        with contextlib.suppress(OSError):
            os.pwrite(lock, f"{child.pid:<20}".encode("ascii"), 0)
        with contextlib.suppress(OSError):
            # When memory runs out, the kernel shall take the job and not the runner or somebody's shell.
            Path(f"/proc/{child.pid}/oom_score_adj").write_text("500", encoding="ascii")
        return cls(job, child.pid, child)

    def is_gone(self) -> bool:
        """Whether the worker itself has ended; what it started may still live."""
        if self._child is not None:
            return self._child.poll() is not None
        if not job_is_alive(self.folder):
            return True
        # The lock is held; by the worker, or by a fork that outlived it?
        return self.pid is not None and not belongs_to(self.folder, self.pid)

    def is_stopped(self) -> bool:
        """Whether somebody has frozen it (``kill -STOP``, a debugger, a frozen control group looks the same)."""
        return self.pid is not None and process_is_stopped(self.pid)

    def exit_code(self) -> int | None:
        """Minus the signal for a killed one; None while it lives and for adopted ones."""
        return self._child.poll() if self._child is not None else None

    def how_it_ended(self) -> str:
        """In words, for the history and the user."""
        code = self.exit_code()
        if code is None:
            return "its process ended"
        if code == 128 + signal.SIGTERM:
            return "stopped by SIGTERM"
        if code >= 0:
            return f"its process ended with code {code} and no outcome"
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        if -code != signal.SIGKILL:
            return f"killed by {name}"
        kills = kills_for_memory()
        if kills is None or self._kills_before is None:
            return "killed by SIGKILL (short of memory?)"
        if kills > self._kills_before:
            return "killed by the kernel: memory ran out"
        return "killed by SIGKILL, and not by the kernel"


def kills_for_memory() -> int | None:
    """How many processes the kernel has killed since it booted because memory ran out; None where it does not say."""
    try:
        for line in Path("/proc/vmstat").read_text(encoding="ascii", errors="replace").splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count)
    except (OSError, ValueError):
        pass
    return None


def write_order(job: Job, attempt: int, device: str) -> None:
    """Renew ``spec.json`` for an attempt that is about to start; raises ``OSError`` (full disk) or ``ValueError``."""
    write_spec(job.folder, read_spec(job.folder) | {"attempt": attempt, "device": device})


def device_environment(device: str, uuid: str) -> dict[str, str]:
    """What makes a worker see its GPU as the only one (so in the worker it is ``cuda:0``), or none at all."""
    if not device.startswith("cuda"):
        return {"CUDA_VISIBLE_DEVICES": ""}
    return {"CUDA_VISIBLE_DEVICES": uuid or device.partition(":")[2] or "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
