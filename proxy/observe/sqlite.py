"""The ledger as a SQLite file: the default, which needs nothing and nobody."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from proxy.observe.database import Connection, Found, Unfit, Values
from proxy.observe.ledger_schema import MIGRATIONS, VERSION


class SqliteConnection:
    floor = "CAST({} AS INTEGER)"

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.row_factory = sqlite3.Row
        self.inner = connection
        self.execute: Callable[..., Found] = connection.execute
        self.executemany: Callable[[str, Iterable[Values]], object] = connection.executemany

    @contextmanager
    def transaction(self, *, name: str = "") -> Iterator[None]:
        del name  # a file has one writer at a time
        self.inner.execute("BEGIN IMMEDIATE")
        with self.inner:
            yield

    def close(self) -> None:
        self.inner.close()


class SqliteDatabase:
    errors: tuple[type[Exception], ...] = (sqlite3.Error, OSError, OverflowError, Unfit)

    def __init__(
        self, path: Path, *, now: Callable[[], float] = time.time, tell: Callable[[str, str], object] | None = None
    ) -> None:
        """`tell`: where a file that is no database was put aside, and why."""
        self.path = path
        self._now = now
        self._tell = tell or (lambda _file, _why: None)

    @property
    def name(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return self.path.exists()

    def open(self) -> Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
        self.path.chmod(0o600)  # the files beside it take over its mode
        try:
            return self._connect()
        except sqlite3.DatabaseError as error:
            if error.sqlite_errorcode not in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}:
                raise
            aside = self.path.with_name(f"{self.path.name}.broken-{int(self._now())}")
            self.path.replace(aside)
            for suffix in ("-wal", "-shm"):
                with suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).unlink()
            self._tell(str(aside), str(error))
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return self._connect()

    def _connect(self) -> SqliteConnection:
        connection = SqliteConnection(sqlite3.connect(self.path, isolation_level=None, check_same_thread=False))
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _migrate(connection)
        except (sqlite3.Error, Unfit):
            connection.close()
            raise
        return connection

    def reading(self) -> Connection:
        return SqliteConnection(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True))

    def shrink(self, connection: Connection) -> None:
        connection.execute("PRAGMA incremental_vacuum").fetchall()


def _migrate(connection: SqliteConnection) -> None:
    """Raises `Unfit`; then nothing was touched."""
    (version,) = connection.inner.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise Unfit(f"was written by a later version (schema {version}; this one knows {VERSION})")
    for number in range(version, VERSION):
        with connection.transaction():
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
