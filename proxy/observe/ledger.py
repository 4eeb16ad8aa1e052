"""The usage ledger: a SQLite file with one row for each request, and what they come to by hour and by day.

One thread writes; whoever records never waits. Rows are written together a few times a second, so that a killed
process loses a fraction of a second at most; `close` writes all that is left.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from proxy.observe.ledger_schema import DAY, Row, TooNew, insert, migrate, row_of
from proxy.observe.prices import Prices
from proxy.observe.usage import Used

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

PENDING_MAX = 200_000
"""Requests that wait to be written. Beyond it, which takes a disk that has long been full, they are only counted."""
BATCH_MAX = 2_000
GATHER_SECONDS = 0.2
RETRY_SECONDS = 1.0
CLOSE_TRIES = 3
TIDY_SECONDS = 3600.0
TIDY_ROWS = 5_000
FLUSH_SECONDS = 5.0


class Unusable(Exception):
    """There is no ledger to ask: the message says why."""


class Log(Protocol):
    def warning(self, event: str, **fields: object) -> object: ...

    def error(self, event: str, **fields: object) -> object: ...


class Ledger:
    """Nothing is opened before the first `record` or question. `retention_days`: 0 keeps rows for ever; days are kept
    in any case. `redact`: takes secrets out of a text.
    """

    def __init__(
        self,
        path: Path,
        *,
        retention_days: Callable[[], int] = lambda: 0,
        redact: Callable[[str], str] = lambda text: text,
        prices: Prices | None = None,
        now: Callable[[], float] = time.time,
        log: Log | None = None,
    ) -> None:
        self.path = path
        self.dropped = 0
        """Requests that are in no row, since the start."""
        self.fault: str | None = None
        """Why nothing can be written at present."""
        self._retention_days = retention_days
        self._redact = redact
        self._prices = prices or Prices()
        self._now = now
        self._log: Log = log or structlog.get_logger()
        lock = threading.Lock()
        self._news = threading.Condition(lock)
        self._hurry = threading.Condition(lock)
        self._rows: deque[Used] = deque()
        self._jobs: deque[Callable[[sqlite3.Connection | None], None]] = deque()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._tidied_at = 0.0

    # for whoever records and asks

    def record(self, used: Used) -> None:
        """Never waits for the disk."""
        with self._news:
            if self._is_closing or len(self._rows) >= PENDING_MAX:
                self.dropped += 1
                return
            self._rows.append(used)
            if len(self._rows) == 1:  # otherwise it is awake, and gathering
                self._wake()

    def ask(self, job: Job[T]) -> Future[T]:
        """In the thread that writes, after everything that was recorded before."""
        future: Future[T] = Future()

        def run(connection: sqlite3.Connection | None) -> None:
            if connection is None:
                future.set_exception(Unusable(self.fault or "the ledger is closed"))
                return
            try:
                future.set_result(job(connection))
            except sqlite3.Error as error:
                future.set_exception(Unusable(f"{self.path}: {error}"))

        with self._news:
            if self._is_closing:
                run(None)
            else:
                self._jobs.append(run)
                self._wake()
                self._hurry.notify()
        return future

    def read(self, job: Job[T]) -> T:
        """Beside the writer, after everything that was recorded before. Blocks. Raises `Unusable`."""
        try:
            self.ask(lambda _connection: None).result(FLUSH_SECONDS)
            with closing(sqlite3.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
                connection.row_factory = sqlite3.Row
                return job(connection)
        except (sqlite3.Error, TimeoutError) as error:
            raise Unusable(f"{self.path}: {str(error) or 'busy'}") from error

    def close(self) -> None:
        """Waits until everything is written."""
        with self._news:
            self._is_closing = True
            self._news.notify()
            self._hurry.notify()
        if self._thread is not None:
            self._thread.join()

    def _wake(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="ledger", daemon=True)
            self._thread.start()
        self._news.notify()

    # the thread

    def _run(self) -> None:
        tries_left = CLOSE_TRIES
        while True:
            with self._news:
                self._news.wait_for(lambda: self._rows or self._jobs or self._is_closing, TIDY_SECONDS)
                self._hurry.wait_for(lambda: self._jobs or self._is_closing, GATHER_SECONDS)
                batch = [self._rows.popleft() for _ in range(min(BATCH_MAX, len(self._rows)))]
                is_last = not self._rows
                jobs = [self._jobs.popleft() for _ in range(len(self._jobs))] if is_last else []
                is_closing = self._is_closing
            is_written = self._write(batch)
            for job in jobs:
                job(self._connection)
            if not is_written:
                tries_left -= is_closing
                self._put_back(batch)
            if is_closing and (tries_left <= 0 or (is_last and is_written)):
                self._end()
                return
            if not is_written:
                time.sleep(RETRY_SECONDS if not is_closing else RETRY_SECONDS / 10)
            elif is_last:
                self._tidy()

    def _put_back(self, batch: list[Used]) -> None:
        with self._news:
            self._rows.extendleft(reversed(batch))

    def _end(self) -> None:
        with self._news:
            lost, jobs = len(self._rows), [*self._jobs]
            self._jobs.clear()
        self.dropped += lost
        if lost:
            self._log.error("ledger.lost", requests=lost, why=self.fault)
        for job in jobs:
            job(None)
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _write(self, batch: list[Used]) -> bool:
        try:
            connection = self._connection = self._connection or self._open()
            if batch:
                self._prices.look()
                connection.execute("BEGIN IMMEDIATE")
                with connection:
                    insert(connection, [self._row(used) for used in batch])
        except (sqlite3.Error, OSError, OverflowError, TooNew) as error:
            fault = f"{self.path}: {error}"
            if fault != self.fault:
                self.fault = fault
                self._log.error("ledger.failed", why=fault)
            return False
        if self.fault is not None:
            self.fault = None
            self._log.warning("ledger.recovered")
        return True

    def _row(self, used: Used) -> Row:
        return row_of(used, self._prices.cost(used.provider, used.model_served, used.tokens), self._redact)

    def _open(self) -> sqlite3.Connection:
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
            self._log.error("ledger.set_aside", file=str(aside), why=str(error))
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            migrate(connection)
        except (sqlite3.Error, TooNew):
            connection.close()
            raise
        return connection

    def _tidy(self) -> None:
        """What is older than it may be goes, a few thousand rows at a time."""
        days, now = self._retention_days(), self._now()
        if days <= 0 or now - self._tidied_at < TIDY_SECONDS or self._connection is None:
            return
        oldest = now - days * DAY
        try:
            gone = self._connection.execute(
                "DELETE FROM request WHERE id IN (SELECT id FROM request WHERE at < ? LIMIT ?)", (oldest, TIDY_ROWS)
            ).rowcount
            self._connection.execute("DELETE FROM hourly WHERE at < ?", (oldest,))
            self._connection.execute("PRAGMA incremental_vacuum").fetchall()
        except sqlite3.Error as error:
            self._log.warning("ledger.tidying_failed", why=str(error))
            gone = 0
        if gone < TIDY_ROWS:
            self._tidied_at = now
