"""The usage ledger: a database with one row for each request, and what they come to by hour and by day.

One thread writes; whoever records never waits. Rows are written together twice a second, so that a killed process
loses half a second at most; `close` writes all that is left.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import Protocol, TypeVar

import structlog

from proxy.observe.database import Connection, Database
from proxy.observe.ledger_schema import DAY, Row, Scribe, insert
from proxy.observe.prices import Prices
from proxy.observe.sqlite import SqliteDatabase
from proxy.observe.usage import Used

T = TypeVar("T")
Job = Callable[[Connection], T]

PENDING_MAX = 200_000
"""Requests that wait to be written. Beyond it, which takes a disk that has long been full, they are only counted."""
BATCH_MAX = 2_000
GATHER_SECONDS = 0.5
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
    """`place`: a SQLite file, or another database. Nothing is opened before the first `record` or question.

    `retention_days`: 0 keeps rows for ever; days are kept in any case. `redact`: takes secrets out of a text.
    """

    def __init__(
        self,
        place: Path | Database,
        *,
        retention_days: Callable[[], int] = lambda: 0,
        redact: Callable[[str], str] = lambda text: text,
        prices: Prices | None = None,
        now: Callable[[], float] = time.time,
        log: Log | None = None,
    ) -> None:
        self.dropped = 0
        """Requests that are in no row, since the start."""
        self.fault: str | None = None
        """Why nothing can be written at present."""
        self._retention_days = retention_days
        self._redact = redact
        self._prices = prices or Prices()
        self._now = now
        self._log: Log = log or structlog.get_logger()
        self._database: Database = (
            SqliteDatabase(place, now=now, tell=self._set_aside) if isinstance(place, Path) else place
        )
        lock = threading.Lock()
        self._news = threading.Condition(lock)
        self._hurry = threading.Condition(lock)
        self._rows: deque[Used] = deque()
        self._jobs: deque[Callable[[Connection | None], None]] = deque()
        self._is_closing = False
        self._thread: threading.Thread | None = None
        self._connection: Connection | None = None
        self._tidied_at = 0.0

    def _set_aside(self, file: str, why: str) -> None:
        self._log.error("ledger.set_aside", file=file, why=why)

    @property
    def exists(self) -> bool:
        """Whether there may be something in it already."""
        return self._database.exists()

    # for whoever records and asks

    def record(self, *used: Used) -> None:
        """Never waits for the disk."""
        with self._news:
            if self._is_closing or len(self._rows) >= PENDING_MAX:
                self.dropped += len(used)
                return
            is_asleep = not self._rows
            self._rows.extend(used)
            if is_asleep:  # otherwise it is awake, and gathering
                self._wake()

    def ask(self, job: Job[T]) -> Future[T]:
        """In the thread that writes, after everything that was recorded before."""
        future: Future[T] = Future()

        def run(connection: Connection | None) -> None:
            if connection is None:
                future.set_exception(Unusable(self.fault or "the ledger is closed"))
                return
            try:
                future.set_result(job(connection))
            except self._database.errors as error:
                future.set_exception(Unusable(f"{self._database.name}: {error}"))

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
            with closing(self._database.reading()) as connection:
                return job(connection)
        except self._database.errors as error:
            raise Unusable(f"{self._database.name}: {str(error).strip() or 'busy'}") from error

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
                self._hurry.wait_for(self._is_urgent, GATHER_SECONDS)
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

    def _is_urgent(self) -> bool:
        """Of a full batch nothing more is gathered: several thousand requests a second would pile up."""
        return bool(self._jobs) or self._is_closing or len(self._rows) >= BATCH_MAX

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
            connection = self._connection = self._connection or self._database.open()
            if batch:
                self._prices.look()
                with connection.transaction():
                    insert(connection, self._rows_of(batch))
        except self._database.errors as error:
            self._reconnect()
            fault = f"{self._database.name}: {error}"
            if fault != self.fault:
                self.fault = fault
                self._log.error("ledger.failed", why=fault)
            return False
        if self.fault is not None:
            self.fault = None
            self._log.warning("ledger.recovered")
        return True

    def _reconnect(self) -> None:
        """The next try has a connection of its own: this one may be of a server that is gone."""
        if self._connection is not None:
            with suppress(*self._database.errors):
                self._connection.close()
            self._connection = None

    def _rows_of(self, batch: Iterable[Used]) -> Iterator[Row]:
        scribe, cost = Scribe(self._redact), self._prices.cost
        return (scribe.row(used, cost(used.provider, used.model_served, used.tokens, used.at)) for used in batch)

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
            self._database.shrink(self._connection)
        except self._database.errors as error:
            self._log.warning("ledger.tidying_failed", why=str(error))
            gone = 0
        if gone < TIDY_ROWS:
            self._tidied_at = now
