"""The ledger in PostgreSQL: one for several servers, with the same tables and the same questions.

Its driver is not installed with the program: ``pip install "proxy[postgres]"``.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from auth.secret import Secret
from proxy.observe.database import Connection, Found, Record, Unfit, Values
from proxy.observe.ledger_schema import MIGRATIONS, VERSION

CONNECT_SECONDS = 10
STATEMENT_SECONDS = 30
"""Longer than any question takes; a server that hangs does not hang us."""
_DIALECT = (
    (re.compile(r"INTEGER PRIMARY KEY AUTOINCREMENT"), "BIGSERIAL PRIMARY KEY"),
    (re.compile(r"\bINTEGER\b"), "BIGINT"),
    (re.compile(r"\bREAL\b"), "DOUBLE PRECISION"),
    (re.compile(r" WITHOUT ROWID"), ""),
)
_SCHEMA = "schema"
"""In `meta`: the version of the tables."""


class Line:
    """`proxy.observe.database.Record`."""

    __slots__ = ("_names", "_values")

    def __init__(self, names: Sequence[str], values: Sequence[Any]) -> None:
        self._names = names
        self._values = values

    def __getitem__(self, place: int | str) -> Any:
        return self._values[place if isinstance(place, int) else self._names.index(place)]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def keys(self) -> Sequence[str]:
        return self._names


class PostgresConnection:
    floor = "FLOOR({})::BIGINT"

    def __init__(self, connection: Any) -> None:
        connection.row_factory = _line_factory
        self._inner = connection

    def execute(self, sql: str, values: Values = ()) -> Found:
        found: Found = self._inner.execute(sql.replace("%", "%%").replace("?", "%s"), values)
        return found

    def executemany(self, sql: str, rows: Iterable[Values]) -> None:
        with self._inner.cursor() as cursor:
            cursor.executemany(sql.replace("%", "%%").replace("?", "%s"), rows)

    @contextmanager
    def transaction(self, *, name: str = "") -> Iterator[None]:
        with self._inner.transaction():
            if name:
                self._inner.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"proxy {name}",))
            yield

    def close(self) -> None:
        self._inner.close()


def _line_factory(cursor: Any) -> Any:
    """A sum of whole numbers comes as a decimal."""
    names = [each.name for each in cursor.description or ()]
    return lambda values: Line(names, [int(each) if isinstance(each, Decimal) else each for each in values])


class PostgresDatabase:
    def __init__(self, url: Secret) -> None:
        """Raises `Unfit` without a driver. Nothing is connected yet."""
        try:
            self._driver = importlib.import_module("psycopg")
        except ImportError:
            raise Unfit('needs a driver that is not installed: pip install "proxy[postgres]"') from None
        self._url = url
        self.errors: tuple[type[Exception], ...] = (self._driver.Error, OSError, OverflowError, Unfit)

    @property
    def name(self) -> str:
        """Without user and password."""
        parts = urlsplit(self._url.reveal())
        return f"{parts.hostname or 'postgresql'}{parts.path}"

    def exists(self) -> bool:
        return True

    def open(self) -> Connection:
        connection = PostgresConnection(self._connect())
        try:
            _migrate(connection)
        except self.errors:
            connection.close()
            raise
        return connection

    def reading(self) -> Connection:
        return PostgresConnection(self._connect())

    def shrink(self, connection: Connection) -> None:
        """It does so by itself."""

    def _connect(self) -> Any:
        return self._driver.connect(
            self._url.reveal(),
            autocommit=True,
            connect_timeout=CONNECT_SECONDS,
            application_name="proxy",
            options=f"-c statement_timeout={STATEMENT_SECONDS * 1000}",
            prepare_threshold=None,  # poolers between us know no prepared statements
        )


def _migrate(connection: PostgresConnection) -> None:
    """One server at a time. Raises `Unfit`; then nothing was touched."""
    with connection.transaction(name="migrate"):
        version = _version(connection)
        if version > VERSION:
            raise Unfit(f"was written by a later version (schema {version}; this one knows {VERSION})")
        for number in range(version, VERSION):
            for statement in MIGRATIONS[number]:
                connection.execute(translated(statement))
        if version < VERSION:
            connection.execute(
                "INSERT INTO meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (_SCHEMA, VERSION),
            )


def _version(connection: PostgresConnection) -> int:
    found: Record | None = connection.execute("SELECT to_regclass('meta') AS name").fetchone()
    if found is None or found["name"] is None:
        return 0
    told = connection.execute("SELECT value FROM meta WHERE name = ?", (_SCHEMA,)).fetchone()
    return 0 if told is None else int(told["value"])


def translated(statement: str) -> str:
    """A table as SQLite has it, for PostgreSQL."""
    for pattern, word in _DIALECT:
        statement = pattern.sub(word, statement)
    return statement
