"""SQLite files of Heft: how one is opened, brought up to date and written, for the queue, the chats and the trials.

On network file systems the write-ahead log, which needs shared memory, gives way to a plain journal. Within one process
a file is never opened beside SQLite: closing any descriptor of it would drop the locks that SQLite holds on it (POSIX),
and another process that leaves would then take the log away from under us.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tui.errors import NotFoundError, StoreError
from tui.paths import NETWORK_FILE_SYSTEMS, file_system_of

BUSY_SECONDS = 10.0
"""How long a write waits for another process."""


def connect(path: Path, patience: float, synchronous: str) -> sqlite3.Connection:
    """One connection, for any thread, that waits ``patience`` seconds for other writers; ``synchronous`` is SQLite's
    word for how much is on the disk when a write returns. Raises ``sqlite3.Error``."""
    connection = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        wanted = "truncate" if file_system_of(path.absolute()) in NETWORK_FILE_SYSTEMS else "wal"
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != wanted:
            connection.execute(f"PRAGMA journal_mode = {wanted}")
        connection.execute(f"PRAGMA synchronous = {synchronous}")
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[sqlite3.Connection]:
    """All of what is done in it, or nothing."""
    connection.execute(begin)
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


@dataclass(frozen=True, slots=True)
class Kind:
    """What a file of records holds: the words for one record and for several, and the migrations of its schema."""

    one: str
    several: str
    migrations: Sequence[Sequence[str]]


class RecordsFile:
    """One file of a user's own records, mode 0600, usable from several threads and by several processes at once.

    Every commit is on the disk when it returns. In its queries ``contains(text, wanted)`` looks for folded text. Raises
    ``StoreError`` for a newer schema and for what SQLite cannot do.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self.path = path
        self._kind = kind
        self._lock = threading.RLock()
        with self._lock, self._translated():
            self._main = self._open("FULL")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._main.close()

    def _rows(self, query: str, values: Sequence[Any] | Mapping[str, Any]) -> list[sqlite3.Row]:
        with self._lock, self._translated():
            return self._main.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated(), transaction(self._main) as connection:
            yield connection

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise NotFoundError(f"there is no such {self._kind.one}: {error}") from error
        except sqlite3.Error as error:
            hint = f"check the disk, or move {self.path} away to begin afresh"
            raise StoreError(f"the file of {self._kind.several} cannot be used: {error}", hint) from error

    def _open(self, synchronous: str) -> sqlite3.Connection:
        try:
            _make(self.path)
        except OSError as error:
            raise StoreError(f"{self.path} cannot be written: {error.strerror}", "check its owner and mode") from error
        connection = connect(self.path, BUSY_SECONDS, synchronous)
        try:
            connection.create_function("contains", 2, _contains, deterministic=True)
            connection.execute("PRAGMA foreign_keys = ON")
            with transaction(connection):
                self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        known = len(self._kind.migrations)
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > known:
            raise StoreError(
                f"the {self._kind.several} were written by a newer Heft (schema {version}; this one knows {known})",
                f"update Heft, or move {self.path} away to begin afresh",
            )
        for statements in self._kind.migrations[version:]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {known}")


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):  # only a new file is opened here, never one that SQLite may have open
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    path.chmod(0o600)


def _contains(text: str | None, wanted: str) -> bool:
    return wanted in (text or "").casefold()
