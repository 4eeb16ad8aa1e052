"""The tables of the usage ledger, version by version, and how a request becomes their rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from operator import add
from typing import Any, cast

import msgspec

from proxy.observe.database import Connection
from proxy.observe.usage import BUCKETS, LOSSES_MAX, TEXT_CHARACTERS_MAX, Cell, Tokens, Tried, Used, clipped

HOUR, DAY = 3600, 86400

_SUMS = ("requests", "failed", *BUCKETS, "cost", "unpriced", "seconds")
_ROLL = "at INTEGER NOT NULL, key TEXT NOT NULL, credential TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL"
_ROLL_UP = ", ".join(f"{name} {'REAL' if name in {'cost', 'seconds'} else 'INTEGER'} NOT NULL" for name in _SUMS)

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE request (
            id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, request_id TEXT NOT NULL, route TEXT NOT NULL,
            operation TEXT NOT NULL, key TEXT NOT NULL, model_asked TEXT NOT NULL, model_served TEXT, provider TEXT,
            credential TEXT, account TEXT, wire_in TEXT NOT NULL, wire_out TEXT, is_stream INTEGER NOT NULL,
            status INTEGER NOT NULL, input_uncached INTEGER, cache_read INTEGER, cache_write INTEGER, output INTEGER,
            reasoning INTEGER, cost REAL, first_byte_seconds REAL, seconds REAL NOT NULL, retries INTEGER NOT NULL,
            finish TEXT, error TEXT, session TEXT, losses TEXT NOT NULL, attempts TEXT NOT NULL)""",
        "CREATE INDEX request_at ON request (at)",
        "CREATE INDEX request_request_id ON request (request_id)",
        f"CREATE TABLE hourly ({_ROLL}, {_ROLL_UP}, PRIMARY KEY (at, key, credential, provider, model)) WITHOUT ROWID",
        f"CREATE TABLE daily ({_ROLL}, {_ROLL_UP}, PRIMARY KEY (at, key, credential, provider, model)) WITHOUT ROWID",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    ),
)
"""Each step leads from its number to the next; what has been released is never changed, only added to."""
VERSION = len(MIGRATIONS)

COLUMNS = (
    "at", "request_id", "route", "operation", "key", "model_asked", "model_served", "provider", "credential", "account",
    "wire_in", "wire_out", "is_stream", "status", *BUCKETS, "cost", "first_byte_seconds", "seconds", "retries",
    "finish", "error", "session", "losses", "attempts",
)  # fmt: skip
ROWS_AT_ONCE = (100, 10, 1)
"""In one statement: each is a time out of Python's lock, and a chance for others to take it. Of three sizes only:
SQLite keeps every statement that it has prepared, with its last values, and one of each size took 15 MB.
"""
_ROW = f"({', '.join('?' * len(COLUMNS))})"
_INSERT = f"INSERT INTO request ({', '.join(COLUMNS)}) VALUES "  # noqa: S608 - names of ours
_INSERTS = {size: _INSERT + ", ".join([_ROW] * size) for size in ROWS_AT_ONCE}
_ROLL_COLUMNS = ("at", "key", "credential", "provider", "model", *_SUMS)
_INTO = f"({', '.join(_ROLL_COLUMNS)}) VALUES ({', '.join('?' * len(_ROLL_COLUMNS))})"
_UPSERTS = {
    table: f"INSERT INTO {table} {_INTO} ON CONFLICT (at, key, credential, provider, model) DO UPDATE SET "
    + ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in _SUMS)
    for table in ("hourly", "daily")
}


Row = tuple[Cell, ...]
"""A request's cells, in the order of `COLUMNS`."""


class _Told(msgspec.Struct, omit_defaults=True):
    """An attempt, as it is written: what is not known of it is left out."""

    provider: str
    credential: str
    model: str | None
    status: int | None
    why: str | None
    seconds: float
    first_byte_seconds: float | None = None
    tokens: Tokens | None = None


_encode = msgspec.json.Encoder().encode


class Scribe:
    """Makes the rows of one batch. The names in them are few, and come again and again: each is looked at once."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        """`redact`: takes secrets out of a text."""
        self._redact = redact
        self._clean: dict[str | None, str | None] = {None: None}

    def _cleaned(self, text: str | None) -> str | None:
        found = self._clean.get(text)
        if found is not None or text is None:
            return found
        cleaned = self._redact(clipped(text))
        if len(text) <= TEXT_CHARACTERS_MAX:
            self._clean[text] = cleaned
        return cleaned

    def row(self, used: Used, cost: float | None) -> Row:
        clean, first, tokens = self._cleaned, used.first_byte_seconds, used.tokens
        return (
            used.at,
            self._redact(clipped(used.request_id)),
            used.route,
            used.operation,
            clean(used.key),
            clean(used.model_asked),
            clean(used.model_served),
            clean(used.provider),
            clean(used.credential),
            clean(used.account),
            used.wire_in,
            used.wire_out,
            int(used.is_stream),
            used.status,
            tokens.input_uncached,
            tokens.cache_read,
            tokens.cache_write,
            tokens.output,
            tokens.reasoning,
            cost,
            None if first is None else round(first, 4),
            round(used.seconds, 4),
            used.retries,
            used.finish,
            clean(used.error),
            clean(used.session),
            _encode([clean(each) for each in used.losses[:LOSSES_MAX]]).decode() if used.losses else "[]",
            self._attempts(used.attempts),
        )

    def _attempts(self, attempts: Sequence[Tried]) -> str:
        told = [
            _Told(
                each.provider,
                each.credential,
                self._cleaned(each.model),
                each.status,
                each.why and self._redact(clipped(each.why)),
                round(each.seconds, 4),
                None if each.first_byte_seconds is None else round(each.first_byte_seconds, 4),
                each.tokens,
            )
            for each in attempts
        ]
        text = _encode(told).decode()
        return self._redact(text) if any(each.why for each in attempts) else text


def insert(connection: Connection, rows: Iterable[Row]) -> None:
    """The rows, and what they add to the hours and the days that they fall into. They are made as they are wanted: in
    between, while the database writes, others can take Python's lock.
    """
    hours: dict[Row, list[Any]] = {}
    for some in _portions(iter(rows)):
        connection.execute(_INSERTS[len(some)], [cell for row in some for cell in row])
        _sum_up(hours, ((_group(row, HOUR), _counted(row)) for row in some))
    days: dict[Row, list[Any]] = {}
    _sum_up(days, (((cast("int", hour[0]) // DAY * DAY, *hour[1:]), tuple(sums)) for hour, sums in hours.items()))
    for table, groups in (("hourly", hours), ("daily", days)):
        connection.executemany(_UPSERTS[table], [[*group, *sums] for group, sums in groups.items()])


def _portions(rows: Iterator[Row]) -> Iterator[Sequence[Row]]:
    largest, *smaller = ROWS_AT_ONCE
    while some := list(islice(rows, largest)):
        if len(some) == largest:
            yield some
            continue
        start = 0
        for size in smaller:
            while len(some) - start >= size:
                yield some[start : start + size]
                start += size


_AT, _KEY, _SERVED, _PROVIDER, _CREDENTIAL, _STATUS, _COST, _SECONDS = map(
    COLUMNS.index, ("at", "key", "model_served", "provider", "credential", "status", "cost", "seconds")
)
_TOKENS = slice(COLUMNS.index(BUCKETS[0]), COLUMNS.index(BUCKETS[-1]) + 1)


def _group(row: Row, span: int) -> Row:
    """A model that nobody served is none: clients make up names without end."""
    at = int(cast("float", row[_AT]) // span * span)
    return at, row[_KEY] or "", row[_CREDENTIAL] or "", row[_PROVIDER] or "", row[_SERVED] or ""


def _counted(row: Row) -> Row:
    uncached, read, written, output, reasoning = row[_TOKENS]
    cost = row[_COST]
    is_used = uncached or read or written or output or reasoning
    is_failed = int(cast("int", row[_STATUS]) >= 400)
    return (
        1, is_failed, uncached or 0, read or 0, written or 0, output or 0, reasoning or 0,
        cost or 0.0, 1 if cost is None and is_used else 0, row[_SECONDS],
    )  # fmt: skip


def _sum_up(groups: dict[Row, list[Any]], lines: Iterable[tuple[Row, Row]]) -> None:
    for group, own in lines:
        sums = groups.get(group)
        if sums is None:
            groups[group] = [*own]
        else:
            sums[:] = map(add, sums, own)
