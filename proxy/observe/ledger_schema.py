"""The tables of the usage ledger, version by version, and how a request becomes their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from proxy.observe.usage import BUCKETS, LOSSES_MAX, Cell, Used, clipped

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
_INSERT = f"INSERT INTO request ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"  # noqa: S608 - names of ours
_ADD = ", ".join(f"{name} = {name} + excluded.{name}" for name in _SUMS)
_ROLL_COLUMNS = ("at", "key", "credential", "provider", "model", *_SUMS)
_INTO = f"({', '.join(_ROLL_COLUMNS)}) VALUES ({', '.join('?' * len(_ROLL_COLUMNS))})"
_UPSERT = f"INSERT INTO {{}} {_INTO} ON CONFLICT (at, key, credential, provider, model) DO UPDATE SET {_ADD}"
_UPSERTS = ((HOUR, _UPSERT.format("hourly")), (DAY, _UPSERT.format("daily")))


class TooNew(Exception):
    """A later version of this program wrote the file."""


def migrate(connection: sqlite3.Connection) -> None:
    """Raises `TooNew`; then nothing was touched."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise TooNew(f"was written by a later version (schema {version}; this one knows {VERSION})")
    for number in range(version, VERSION):
        connection.execute("BEGIN IMMEDIATE")
        with connection:
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")


def row_of(used: Used, cost: float | None) -> dict[str, Cell]:
    """Its cells by column."""
    attempts = [
        {
            "provider": each.provider,
            "credential": each.credential,
            "model": clipped(each.model),
            "status": each.status,
            "why": clipped(each.why),
            "seconds": round(each.seconds, 4),
        }
        for each in used.attempts
    ]
    first = used.first_byte_seconds
    return {
        "at": used.at,
        "request_id": clipped(used.request_id),
        "route": used.route,
        "operation": used.operation,
        "key": clipped(used.key),
        "model_asked": clipped(used.model_asked),
        "model_served": clipped(used.model_served),
        "provider": used.provider,
        "credential": used.credential,
        "account": clipped(used.account),
        "wire_in": used.wire_in,
        "wire_out": used.wire_out,
        "is_stream": int(used.is_stream),
        "status": used.status,
        **{name: getattr(used.tokens, name) for name in BUCKETS},
        "cost": cost,
        "first_byte_seconds": None if first is None else round(first, 4),
        "seconds": round(used.seconds, 4),
        "retries": used.retries,
        "finish": used.finish,
        "error": clipped(used.error),
        "session": clipped(used.session),
        "losses": msgspec.json.encode([clipped(each) for each in used.losses[:LOSSES_MAX]]).decode(),
        "attempts": msgspec.json.encode(attempts).decode(),
    }


def insert(connection: sqlite3.Connection, rows: Iterable[dict[str, Cell]]) -> None:
    """The rows, and what they add to the hour and the day that they fall into."""
    for row in rows:
        connection.execute(_INSERT, [row[name] for name in COLUMNS])
        for span, statement in _UPSERTS:
            connection.execute(statement, _rolled(row, span))


def _rolled(row: dict[str, Cell], span: int) -> list[Cell]:
    """A model that nobody served is none: clients make up names without end."""
    at, status, cost = row["at"], row["status"], row["cost"]
    assert isinstance(at, float | int)
    assert isinstance(status, int)
    is_used = any(row[name] for name in BUCKETS)
    return [
        int(at // span * span),
        row["key"] or "",
        row["credential"] or "",
        row["provider"] or "",
        row["model_served"] or "",
        1,
        int(status >= 400),
        *(row[name] or 0 for name in BUCKETS),
        cost or 0.0,
        int(cost is None and is_used),
        row["seconds"],
    ]
