"""The ledger as it stands on the disk: nothing twice, nothing lost, whatever happens to the process."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.observe import ledger as module
from proxy.observe.ledger import Ledger, Unusable
from proxy.observe.ledger_schema import VERSION
from proxy.observe.usage import Tokens, Tried, Used
from proxy.observe.usage_queries import Filter, pop, requests, totals
from tests.pace import slowness

NOW = 1_800_000_000.0


def used(number: int = 0, *, at: float = NOW, status: int = 200, tokens: Tokens | None = None) -> Used:
    return Used(
        at=at,
        request_id=f"r-{number}",
        route="/v1/messages",
        operation="generate",
        status=status,
        seconds=1.5,
        key="laptop",
        model_asked="m",
        model_served="m-1",
        provider="anthropic",
        credential="a-1",
        account="work",
        wire_in="anthropic",
        wire_out="anthropic",
        tokens=tokens or Tokens(input_uncached=10, cache_read=20, cache_write=30, output=40, reasoning=50),
        finish="stop",
        session="s-1",
        attempts=(Tried(provider="anthropic", credential="a-1", model="m-1", status=200),),
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "usage.sqlite"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    ledger = Ledger(path, now=lambda: NOW)
    yield ledger
    ledger.close()


def rows(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def test_nothing_is_made_before_something_is_recorded(ledger: Ledger, path: Path) -> None:
    ledger.close()
    assert not path.exists()


def test_what_is_recorded_is_there_at_the_next_question(ledger: Ledger) -> None:
    for number in range(3):
        ledger.record(used(number))
    told = ledger.read(lambda connection: [*requests(connection, Filter(), limit=10)])
    assert [each["request_id"] for each in told] == ["r-2", "r-1", "r-0"]
    assert told[0]["attempts"] == [
        {"provider": "anthropic", "credential": "a-1", "model": "m-1", "status": 200, "why": "", "seconds": 0.0}
    ]


def test_closing_drops_nothing(ledger: Ledger, path: Path) -> None:
    for number in range(module.BATCH_MAX + 7):
        ledger.record(used(number))
    ledger.close()
    assert rows(path, "SELECT COUNT(*), COUNT(DISTINCT request_id) FROM request") == [(module.BATCH_MAX + 7,) * 2]
    assert ledger.dropped == 0


def test_only_its_owner_can_read_it(ledger: Ledger, path: Path) -> None:
    ledger.record(used())
    ledger.read(lambda connection: connection.execute("SELECT 1").fetchone())
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_restart_goes_on_where_it_was(path: Path) -> None:
    for number in range(2):
        ledger = Ledger(path, now=lambda: NOW)
        ledger.record(used(number))
        ledger.close()
    assert rows(path, "SELECT request_id FROM request ORDER BY id") == [("r-0",), ("r-1",)]
    assert rows(path, "SELECT requests, output FROM daily") == [(2, 80)]


def test_a_full_queue_counts_and_never_blocks(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PENDING_MAX", 0)
    ledger.record(used())
    assert ledger.dropped == 1


def test_it_writes_again_when_it_can(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    path.parent.mkdir(mode=0o700)
    path.mkdir()
    ledger = Ledger(path, now=lambda: NOW)
    ledger.record(used())
    with pytest.raises(Unusable):
        ledger.ask(lambda connection: connection.execute("SELECT 1")).result(10)
    assert ledger.fault is not None
    path.rmdir()
    ledger.close()
    assert rows(path, "SELECT COUNT(*) FROM request") == [(1,)]
    assert ledger.fault is None


def test_what_is_no_database_is_set_aside(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.write_bytes(b"not a database" * 100)
    ledger = Ledger(path, now=lambda: NOW)
    ledger.record(used())
    ledger.close()
    assert rows(path, "SELECT COUNT(*) FROM request") == [(1,)]
    assert [each.read_bytes()[:14] for each in path.parent.glob("*.broken-*")] == [b"not a database"]


def test_a_later_version_s_file_is_not_touched(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    path.parent.mkdir(mode=0o700)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    ledger = Ledger(path, now=lambda: NOW)
    ledger.record(used())
    ledger.close()
    assert ledger.dropped == 1
    assert "later version" in str(ledger.fault)
    assert rows(path, "SELECT name FROM sqlite_master") == []


def test_old_requests_go_and_their_days_stay(path: Path) -> None:
    ledger = Ledger(path, now=lambda: NOW, retention_days=lambda: 30)
    ledger.record(used(0, at=NOW - 31 * 86400))
    ledger.record(used(1))
    ledger.close()
    ledger = Ledger(path, now=lambda: NOW, retention_days=lambda: 30)
    ledger.ask(lambda _connection: None).result(10)  # the tidying comes after it, and before the end
    ledger.record(used(2))
    ledger.ask(lambda _connection: None).result(10)
    ledger.close()
    assert rows(path, "SELECT request_id FROM request ORDER BY id") == [("r-1",), ("r-2",)]
    assert rows(path, "SELECT SUM(requests) FROM hourly") == [(2,)]
    assert rows(path, "SELECT SUM(requests) FROM daily") == [(3,)]


def test_T35_no_upstream_can_say_more_than_fits(ledger: Ledger) -> None:
    ledger.record(used(tokens=Tokens.bounded({"input_uncached": 10**30, "output": -5, "reasoning": 7})))
    (told,) = ledger.read(lambda connection: totals(connection, Filter()))
    assert (told["input_uncached"], told["output"], told["reasoning"]) == (10**12, 0, 7)


def test_secrets_are_taken_out_on_the_way(path: Path) -> None:
    ledger = Ledger(path, now=lambda: NOW, redact=lambda text: text.replace("laptop", "•••"))
    ledger.record(used())
    ledger.close()
    assert rows(path, "SELECT key FROM request") == [("•••",)]
    assert rows(path, "SELECT key FROM daily") == [("•••",)]


def test_the_queue_gives_each_request_once_also_over_a_restart(path: Path) -> None:
    ledger = Ledger(path, now=lambda: NOW)
    for number in range(5):
        ledger.record(used(number))
    first = ledger.ask(lambda connection: pop(connection, 2)).result(10)
    ledger.close()
    ledger = Ledger(path, now=lambda: NOW)
    rest = ledger.ask(lambda connection: pop(connection, 10)).result(10)
    assert ledger.ask(lambda connection: pop(connection, 10)).result(10) == []
    ledger.close()
    assert [each["request_id"] for each in (*first, *rest)] == [f"r-{number}" for number in range(5)]


_CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from test_ledger import used
from proxy.observe.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]))
for number in range(int(sys.argv[2])):
    ledger.record(used(number, at=time.time()))
    if number % 50 == 0:
        time.sleep(0.01)
        print(number, time.time(), flush=True)
"""


def test_a_kill_loses_no_more_than_the_last_second(path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path), "1000000", str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert child.stdout is not None
    told = [child.stdout.readline().split()]
    second = max(slowness() for _ in range(5))
    while float(told[-1][1]) < float(told[0][1]) + 2.0 * second:
        told.append(child.stdout.readline().split())
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    must_have = max(int(number) for number, at in told if float(at) < float(told[-1][1]) - second)
    ((count, highest),) = rows(path, "SELECT COUNT(*), MAX(CAST(SUBSTR(request_id, 3) AS INTEGER)) FROM request")
    assert isinstance(highest, int)
    assert highest >= must_have
    assert count == highest + 1
    assert rows(path, "SELECT SUM(requests) FROM daily") == [(count,)]
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]
