"""The ledger in PostgreSQL says what the ledger in a file says, asked by the same questions."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from auth.secret import Secret
from proxy.observe import ledger as module
from proxy.observe.database import Unfit
from proxy.observe.ledger import Ledger, Unusable
from proxy.observe.ledger_schema import VERSION
from proxy.observe.postgres import PostgresDatabase, translated
from proxy.observe.usage import Tokens, Tried, Used
from proxy.observe.usage_queries import (
    Filter,
    percentiles,
    pop,
    recent,
    requests,
    series,
    tokens_by_hour,
    totals,
)
from tests.postgres.conftest import SECONDS_MAX, Server

NOW = 1_800_000_000.0


def used(number: int = 0, **more: Any) -> Used:
    told: dict[str, Any] = {
        "at": NOW - 700.25 * number,
        "request_id": f"r-{number}",
        "route": "/v1/messages",
        "operation": "generate",
        "status": 429 if number % 5 == 4 else 200,
        "seconds": 0.5 + number,
        "first_byte_seconds": 0.25,
        "key": ("laptop", "desk")[number % 2],
        "model_asked": "m",
        "model_served": ("m-1", "m-2", None)[number % 3],
        "provider": "anthropic",
        "credential": ("a-1", "a-2")[number % 2],
        "account": "work",
        "wire_in": "anthropic",
        "wire_out": "anthropic",
        "tokens": Tokens(input_uncached=10**9, cache_read=20, cache_write=None, output=40 * number, reasoning=50),
        "finish": "stop",
        "session": "s-1",
        "losses": ("$.x: 100 %, what?",),
        "attempts": (Tried(provider="anthropic", credential="a-1", model="m-1", status=200, why="50 % of what?"),),
    }
    return Used(**{**told, **more})


QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "totals": lambda connection: totals(connection, Filter()),
    "totals by model": lambda connection: sorted(map(str, totals(connection, Filter(), "model"))),
    "totals by account": lambda connection: sorted(map(str, totals(connection, Filter(), "account"))),
    "totals since": lambda connection: totals(connection, Filter(since=NOW - 3000.5)),
    "totals failed": lambda connection: totals(connection, Filter(is_failed=True), "key"),
    "totals of a model": lambda connection: totals(connection, Filter(model="m-1", since=NOW - 5000.5)),
    "hours": lambda connection: series(connection, Filter(), "hour"),
    "hours of failures": lambda connection: series(connection, Filter(is_failed=False), "hour"),
    "days": lambda connection: series(connection, Filter(), "day"),
    "percentiles": lambda connection: percentiles(connection, Filter()),
    "requests": lambda connection: [*requests(connection, Filter(), limit=7)],
    "requests before": lambda connection: [*requests(connection, Filter(key="desk"), limit=3, before=9)],
    "recent": lambda connection: recent(connection, now=NOW),
    "tokens by hour": lambda connection: sorted(tokens_by_hour(connection, since=NOW - 7200)),
}


@dataclass
class Pair:
    file: Ledger
    server: Ledger


@pytest.fixture
def pair(tmp_path: Path, url: Secret) -> Any:
    pair = Pair(Ledger(tmp_path / "usage.sqlite", now=lambda: NOW), Ledger(PostgresDatabase(url), now=lambda: NOW))
    for number in range(30):
        pair.file.record(used(number))
        pair.server.record(used(number))
    yield pair
    pair.file.close()
    pair.server.close()


def test_both_say_the_same(pair: Pair) -> None:
    for name, question in QUESTIONS.items():
        assert pair.server.read(question) == pair.file.read(question), name
    assert pair.server.fault is None


def test_the_queue_gives_each_request_once(pair: Pair, url: Secret) -> None:
    other = Ledger(PostgresDatabase(url), now=lambda: NOW)
    pair.server.read(lambda _connection: None)
    popped: list[str] = []
    lock = threading.Lock()

    def drain(ledger: Ledger) -> None:
        while found := ledger.ask(lambda connection: pop(connection, 3)).result(SECONDS_MAX):
            with lock:
                popped.extend(str(each["request_id"]) for each in found)

    threads = [threading.Thread(target=drain, args=(each,)) for each in (pair.server, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    other.close()
    assert sorted(popped) == sorted(f"r-{number}" for number in range(30))


def test_several_servers_add_up(url: Secret) -> None:
    ledgers = [Ledger(PostgresDatabase(url), now=lambda: NOW) for _ in range(3)]
    for number in range(60):
        ledgers[number % 3].record(used(0, request_id=f"r-{number}"))
    for ledger in ledgers:
        ledger.close()
    last = Ledger(PostgresDatabase(url))
    (told,) = last.read(lambda connection: totals(connection, Filter()))
    last.close()
    assert (told["requests"], told["input_uncached"]) == (60, 60 * 10**9)


def test_a_server_that_goes_and_comes_back_loses_nothing(
    url: Secret, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    ledger = Ledger(PostgresDatabase(url), now=lambda: NOW)
    ledger.record(used(0))
    ledger.ask(lambda _connection: None).result(SECONDS_MAX)
    server.stop()
    try:
        ledger.record(used(1))
        with pytest.raises(Unusable) as caught:
            ledger.read(lambda connection: totals(connection, Filter()))
        assert "a-password-of-mine" not in str(caught.value)
    finally:
        server.start()
    ledger.record(used(2))
    ledger.close()
    assert (ledger.dropped, ledger.fault) == (0, None)
    with psycopg.connect(url.reveal()) as connection:
        assert connection.execute("SELECT request_id FROM request ORDER BY 1").fetchall() == [
            ("r-0",),
            ("r-1",),
            ("r-2",),
        ]


def test_what_a_database_cannot_keep_stops_nothing(url: Secret) -> None:
    ledger = Ledger(PostgresDatabase(url), now=lambda: NOW)
    ledger.record(used(0, key="a\0b", model_asked="half \ud800 a character", session="x" * 9999))
    ledger.record(used(1))
    ledger.close()
    assert (ledger.dropped, ledger.fault) == (0, None)


def test_old_requests_go_and_their_days_stay(url: Secret) -> None:
    for number in range(2):
        ledger = Ledger(PostgresDatabase(url), now=lambda: NOW, retention_days=lambda: 30)
        ledger.record(used(number, at=NOW - 31 * 86400 * (1 - number)))
        ledger.ask(lambda _connection: None).result(SECONDS_MAX)
        ledger.close()
    with psycopg.connect(url.reveal()) as connection:
        assert connection.execute("SELECT request_id FROM request").fetchall() == [("r-1",)]
        assert connection.execute("SELECT SUM(requests) FROM daily").fetchone() == (2,)


def test_a_later_version_s_tables_are_not_touched(url: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    Ledger(PostgresDatabase(url)).close()
    with psycopg.connect(url.reveal(), autocommit=True) as connection:
        connection.execute("CREATE TABLE meta (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")
        connection.execute("INSERT INTO meta VALUES ('schema', %s)", [VERSION + 1])
    ledger = Ledger(PostgresDatabase(url))
    ledger.record(used())
    ledger.close()
    assert ledger.dropped == 1
    assert "later version" in str(ledger.fault)


def test_its_name_has_no_password(url: Secret) -> None:
    assert "a-password-of-mine" not in PostgresDatabase(url).name
    assert PostgresDatabase(url).name.startswith("127.0.0.1/test_")


def test_without_the_driver_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(Unfit, match=r'pip install "proxy\[postgres\]"'):
        PostgresDatabase(Secret("postgresql://127.0.0.1/x"))


def test_tables_are_translated() -> None:
    told = translated("CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a REAL, b INTEGER) WITHOUT ROWID")
    assert told == "CREATE TABLE t (id BIGSERIAL PRIMARY KEY, a DOUBLE PRECISION, b BIGINT)"


async def test_a_whole_server_keeps_its_usage_there(open_stage: Any, url: Secret) -> None:
    async with open_stage(f"usage-database: {url.reveal()}\n") as stage:
        for _ in range(3):
            assert (await stage.chat()).status == 200
        async with asyncio.timeout(SECONDS_MAX):
            while (told := (await stage.get("/usage"))["totals"])["requests"] < 3:  # noqa: ASYNC110 - the last ones are on their way
                await asyncio.sleep(0.05)
        assert told["tokens"] > 0
        assert b"a-password-of-mine" not in (await stage.ask("GET", "/config")).body
        assert not (stage.accounts / "state" / "usage.sqlite").exists()
