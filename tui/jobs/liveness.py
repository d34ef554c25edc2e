"""Whether a job's process lives, and which processes are the job's.

Liveness is a lock on a file in the job folder, inherited by the job's process: the kernel frees it however the
process ends, and no recycled pid can look alive. What a job started is found by a mark in the environment, which
survives ``setsid`` and re-parenting, or by the open lock file; every signal goes through a pidfd after that was
looked at again.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from collections.abc import Iterator
from pathlib import Path

LOCK_FILE = "lock"
MARK = "HEFT_JOB"
"""Environment variable of everything that a job starts: ``<state folder>:<job id>``."""


def take_lock(path: Path) -> int | None:
    """Take the lock file ``path`` and return its descriptor; None when another process holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock file ``path``; looks without making the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def job_is_alive(folder: Path) -> bool:
    """Whether a process works in this job folder."""
    return is_locked(folder / LOCK_FILE)


def mark_of(folder: Path) -> str:
    """The value of ``MARK`` for the job of this folder (``<state folder>/jobs/<id>``)."""
    return f"{folder.parent.parent}:{folder.name}"


def marked_jobs(jobs: Path) -> set[int]:
    """The ids of all jobs under the folder ``jobs`` that have at least one living process."""
    return set(jobs_by_pid(jobs).values())


def jobs_by_pid(jobs: Path) -> dict[int, int]:
    """The living processes of all jobs under the folder ``jobs``: pid to job id."""
    prefix = f"{MARK}={jobs.parent}:".encode()
    found = {}
    for pid in _own_processes():
        for variable in _environment(pid):
            if variable.startswith(prefix) and variable[len(prefix) :].isdigit():
                found[pid] = int(variable[len(prefix) :])
    return found


def processes_of(folder: Path) -> list[int]:
    """The pids of everything the job of this folder started and that still lives."""
    return [pid for pid in _own_processes() if belongs_to(folder, pid)]


def belongs_to(folder: Path, pid: int) -> bool:
    """Whether ``pid`` carries the job's mark or has the job's lock file open; False for zombies."""
    if f"{MARK}={mark_of(folder)}".encode() in _environment(pid):
        return True
    lock = str(folder / LOCK_FILE)
    try:
        # A program may overwrite its environment (setproctitle does), but not let go of the lock unnoticed.
        return any(_link(entry.path) == lock for entry in os.scandir(f"/proc/{pid}/fd"))
    except OSError:
        return False


def send_signal(folder: Path, pid: int, number: signal.Signals) -> None:
    """Signal a process of the job, and its group when it leads one; does nothing if the pid is another's by now."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if not belongs_to(folder, pid):
            return
        if os.getpgid(pid) == pid:
            os.killpg(pid, number)
        signal.pidfd_send_signal(descriptor, number)
    except (ProcessLookupError, PermissionError):
        pass
    finally:
        os.close(descriptor)


def stop(folder: Path, pids: list[int], *, force: bool) -> None:
    """Ask the processes to end (TERM, and CONT so that stopped ones hear it), or end them (KILL)."""
    for pid in pids:
        for number in (signal.SIGKILL,) if force else (signal.SIGTERM, signal.SIGCONT):
            send_signal(folder, pid, number)


def stopped_writer(database: Path) -> int | None:
    """The pid of a stopped process (``kill -STOP``, Ctrl-Z) that holds a write lock on an SQLite file, or None.

    Such a process keeps the whole queue shut until somebody continues it.
    """
    files = set()
    for name in (database.name, f"{database.name}-shm"):
        with contextlib.suppress(OSError):
            files.add(str(database.with_name(name).stat().st_ino))
    try:
        locks = Path("/proc/locks").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    for line in locks:
        words = line.split()  # "1: POSIX  ADVISORY  WRITE 4121 08:01:131 120 120"
        if (
            len(words) == 8
            and words[3] == "WRITE"
            and words[5].rpartition(":")[2] in files
            and process_is_stopped(words[4])
        ):
            return int(words[4])
    return None


def process_is_stopped(pid: int | str) -> bool:
    """Whether a process was told to stop (``kill -STOP``) and not to go on yet."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] == "T"
        )
    except (OSError, IndexError):
        return False


def _own_processes() -> Iterator[int]:
    me, user = os.getpid(), os.getuid()
    with os.scandir("/proc") as entries:
        for entry in entries:
            if entry.name.isdigit() and int(entry.name) != me:
                with contextlib.suppress(OSError):
                    if entry.stat().st_uid == user:
                        yield int(entry.name)


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
