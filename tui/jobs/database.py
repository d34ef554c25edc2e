"""The SQLite file under the store: opening, migrating, transactions, and what happens when the file is damaged.

States are committed with ``synchronous=FULL``; progress goes through a second connection that neither waits nor
syncs. A damaged file is set aside, never deleted, and its successor is filled by the caller (``rebuild``). Processes
that still hold the old file notice by its inode and reopen.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from tui.errors import StoreError
from tui.jobs.schema import MIGRATIONS, SCHEMA_VERSION
from tui.sqlite_file import BUSY_SECONDS, connect
from tui.sqlite_file import transaction as _transaction

QUICK_BUSY_SECONDS = 0.25
_FULL, _BUSY, _READONLY, _CORRUPT, _NOT_A_DATABASE = 13, 5, 8, 11, 26


class NewerSchemaError(StoreError):
    """The file was written by a newer Heft; whoever holds it open must let go of it."""


class Database:
    """One SQLite file, usable from several threads. ``rebuild`` fills a file that was just created."""

    def __init__(self, path: Path, *, durable: bool, rebuild: Callable[[sqlite3.Connection], None]) -> None:
        self.path = path
        self._durable = durable
        self._rebuild = rebuild
        self._lock = threading.RLock()
        self._main: sqlite3.Connection | None = None
        self._quick: sqlite3.Connection | None = None
        self._watch: sqlite3.Connection | None = None
        self._file: tuple[int, int] = (0, 0)
        self._generation = 0
        self._closed = False
        with self._lock, _translated(self):
            self._ensure_open()

    def close(self) -> None:
        """Close every connection; later calls raise ``StoreError``."""
        with self._lock:
            self._closed = True
            self._close_connections()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One consistent view of the file."""
        with self._lock, _translated(self):
            connection = self._ensure_open()
            with _transaction(connection, "BEGIN"):
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One short transaction that is on the disk when it ends."""
        with self._lock, _translated(self):
            connection = self._ensure_open()
            with _transaction(connection, "BEGIN IMMEDIATE"):
                yield connection
            if _identity(self.path) != self._file:
                # Another process found the file damaged and set it aside meanwhile: nothing was promised by this.
                raise StoreError("the job database was replaced while it was written", "try again")

    @contextlib.contextmanager
    def writing_quickly(self) -> Iterator[sqlite3.Connection]:
        """A transaction for what may be lost: no sync, and a short wait for other writers."""
        with self._lock, _translated(self):
            self._ensure_open()
            if self._quick is None:
                self._quick = connect(self.path, QUICK_BUSY_SECONDS, "NORMAL" if self._durable else "OFF")
            with _transaction(self._quick, "BEGIN IMMEDIATE"):
                yield self._quick

    def data_version(self) -> int:
        """A number that changes when anybody, this object included, changed the file. Costs microseconds.

        Raises ``NewerSchemaError`` when a newer Heft has migrated the file under our hands.
        """
        with self._lock, _translated(self):
            self._ensure_open()
            if self._watch is None:
                self._watch = connect(self.path, BUSY_SECONDS, "NORMAL")
            version: int = self._watch.execute("PRAGMA data_version").fetchone()[0]
            _refuse_newer(self._watch.execute("PRAGMA user_version").fetchone()[0], self.path)
            return self._generation << 40 | version

    def _ensure_open(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreError("the job database was closed")
        if self._main is not None:
            if _identity(self.path) == self._file:
                return self._main
            self._close_connections()
        if not self.path.parent.is_dir():
            raise StoreError(f"the folder {self.path.parent} is gone", "start Heft again; it makes a new one")
        with _opening_lock(self.path):
            self._main = self._open()
            self._file = _identity(self.path)
            self._generation += 1
        return self._main

    def _open(self) -> sqlite3.Connection:
        connection = self._open_sound()
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            _refuse_newer(version, self.path)
            if version < SCHEMA_VERSION:
                with _transaction(connection, "BEGIN IMMEDIATE"):
                    migrate(connection, version)
                    if version == 0:
                        self._rebuild(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open_sound(self) -> sqlite3.Connection:
        synchronous = "FULL" if self._durable else "OFF"
        try:
            connection = connect(self.path, BUSY_SECONDS, synchronous)
            problem = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if problem == "ok":
                return connection
            connection.close()
        except sqlite3.DatabaseError as error:
            if _code(error) not in (_CORRUPT, _NOT_A_DATABASE):
                raise
        _set_aside(self.path)
        return connect(self.path, BUSY_SECONDS, synchronous)

    def _close_connections(self) -> None:
        for connection in (self._watch, self._quick, self._main):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()
        self._watch = self._quick = self._main = None

    def forget_damaged(self) -> None:
        """Close a file that turned out to be damaged, so that the next call checks it and sets it aside."""
        self._close_connections()


def migrate(connection: sqlite3.Connection, version: int, upto: int = SCHEMA_VERSION) -> None:
    """Bring the open transaction's file from ``version`` to ``upto``."""
    for number in range(version, upto):
        for statement in MIGRATIONS[number]:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {upto}")


@contextlib.contextmanager
def _opening_lock(path: Path) -> Iterator[None]:
    """Only one process at a time checks, migrates or sets aside the file."""
    descriptor = os.open(path.with_name(path.name + ".opening"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StoreError(
                        f"another process has kept the job database shut for {BUSY_SECONDS:.0f} s",
                        "look for a stopped heft process (ps -o pid,stat,args)",
                    ) from None
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(database: Database) -> Iterator[None]:
    """Turn what SQLite says into what a person can act on."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = _code(error)
        path = database.path
        if code == _FULL:
            raise _full(path) from error
        if code == _BUSY:
            raise StoreError(f"the job database has been busy for {BUSY_SECONDS:.0f} s", "try again") from error
        if code == _READONLY:
            raise _read_only(path) from error
        if code in (_CORRUPT, _NOT_A_DATABASE):
            database.forget_damaged()
            raise StoreError("the job database is damaged", "try again: it is set aside and rebuilt") from error
        raise StoreError(f"the job database cannot be used: {error}", f"check {path}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(database.path) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise _read_only(database.path) from error
        raise StoreError(f"the job database cannot be used: {error}", f"check {database.path.parent}") from error


def _read_only(path: Path) -> StoreError:
    return StoreError(
        f"{path.parent} is read-only: the queue cannot be written",
        "check its owner and mode, and whether the volume was mounted read-only after an error; or set HEFT_HOME",
    )


def _full(path: Path) -> StoreError:
    return StoreError("the disk is full: the job database cannot be written", f"free space on the volume of {path}")


def _refuse_newer(version: int, path: Path) -> None:
    if version > SCHEMA_VERSION:
        raise NewerSchemaError(
            f"the job database was written by a newer Heft (schema {version}; this one knows {SCHEMA_VERSION})",
            f"update Heft, or move {path} away to begin with an empty queue",
        )


def _code(error: sqlite3.Error) -> int:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _identity(path: Path) -> tuple[int, int]:
    try:
        info = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return (info.st_dev, info.st_ino)


def _set_aside(path: Path) -> None:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(path.with_name(f"{path.name}.damaged-{stamp}{suffix}"))
