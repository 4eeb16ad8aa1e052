"""Sums of hours and days say the same as the requests that they are made of."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.observe.ledger import Ledger
from proxy.observe.usage import BUCKETS, Tokens, Used
from proxy.observe.usage_queries import SPANS, Filter, percentiles, recent, requests, series, tokens_by_hour, totals

DAY = 86400
START = 20_000 * DAY
COUNTED = ("requests", "failed", *BUCKETS, "unpriced", "tokens")


def made(number: int) -> Used:
    return Used(
        at=START + number * 1800.0,
        request_id=f"r-{number}",
        route="/v1/messages",
        operation="generate",
        status=500 if number % 5 == 4 else 200,
        seconds=float(number),
        key=f"key-{number % 2}",
        model_asked="m",
        model_served=f"m-{number % 3}",
        provider="p",
        credential=f"a-{number % 4}",
        tokens=Tokens(input_uncached=number, output=1),
        first_byte_seconds=number / 10,
    )


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path_factory.mktemp("ledger") / "usage.sqlite")
    for number in range(200):
        ledger.record(made(number))
    ledger.record(msgspec.structs.replace(made(0), model_served=None, tokens=Tokens(), status=404))
    yield ledger
    ledger.close()


class Single(Filter):
    """Asks the requests themselves."""

    def parts(self, *_tables: str) -> Iterator[tuple[str, Filter]]:
        yield "request", self


MOMENTS = st.none() | st.builds(lambda half, more: START + half * 1800 + more, st.integers(-5, 205), st.floats(0, 1))


@settings(max_examples=100, deadline=None)
@given(
    since=MOMENTS | st.integers(0, 5).map(lambda n: START + n * DAY),
    until=MOMENTS | st.integers(0, 5).map(lambda n: START + n * DAY),
    key=st.none() | st.sampled_from(["key-0", "key-9"]),
    account=st.none() | st.sampled_from(["a-1", "a-9"]),
    model=st.none() | st.sampled_from(["m-0", ""]),
)
def test_sums_and_requests_agree(
    ledger: Ledger, since: float | None, until: float | None, key: str | None, account: str | None, model: str | None
) -> None:
    both = [kind(since=since, until=until, key=key, account=account, model=model) for kind in (Filter, Single)]
    for group in (None, "model", "key", "account", "provider"):
        told = [
            ledger.read(lambda connection, each=each, group=group: totals(connection, each, group))  # type: ignore[misc]
            for each in both
        ]
        by_sums, by_rows = ([{name: line[name] for name in COUNTED} for line in lines] for lines in told)
        assert by_sums == by_rows
    for step in ("hour", "day"):
        by_sums, by_rows = (
            [{name: point[name] for name in ("at", *COUNTED)} for point in points]
            for points in (
                ledger.read(lambda connection, each=each, step=step: series(connection, each, step))  # type: ignore[misc]
                for each in both
            )
        )
        assert by_sums == by_rows


@pytest.mark.parametrize(
    ("since", "until", "expected"),
    [
        (None, None, ["daily"]),
        (START, START + 2 * DAY, ["daily"]),
        (START + 3600, None, ["hourly", "daily"]),
        (START + 1.5, START + 2 * DAY + 7200.5, ["request", "hourly", "daily", "hourly", "request"]),
        (START + 1.5, START + 7000.0, ["request"]),
        (START + 1.5, START + 20.0, ["request"]),
        (START + 20.0, START + 1.5, ["request"]),
    ],
)
def test_single_requests_are_looked_at_where_no_sum_fits(
    since: float | None, until: float | None, expected: list[str]
) -> None:
    parts = [*Filter(since=since, until=until).parts("daily", "hourly", "request")]
    assert [table for table, _ in parts] == expected
    assert (parts[0][1].since, parts[-1][1].until) == (since, until)
    assert [part.until for _, part in parts[:-1]] == [part.since for _, part in parts[1:]]


@pytest.mark.parametrize("step", ["hour", "day"])
def test_a_series_adds_up_to_the_total(ledger: Ledger, step: str) -> None:
    points = ledger.read(lambda connection: series(connection, Filter(), step))  # type: ignore[arg-type]
    (total,) = ledger.read(lambda connection: totals(connection, Filter()))
    assert [point["at"] for point in points] == sorted({point["at"] for point in points})  # type: ignore[type-var]
    assert all(sum(point[name] for point in points) == total[name] for name in ("requests", "failed", "tokens"))  # type: ignore[misc]
    by_rows = ledger.read(lambda connection: series(connection, Filter(is_failed=True), step))  # type: ignore[arg-type]
    assert sum(point["requests"] for point in by_rows) == total["failed"] == 41  # type: ignore[misc]


def test_an_unknown_cost_is_not_zero(ledger: Ledger) -> None:
    (total,) = ledger.read(lambda connection: totals(connection, Filter()))
    assert (total["cost"], total["cost_known"], total["unpriced"]) == (None, 0.0, 200)


def test_percentiles_are_of_answers_that_came(ledger: Ledger) -> None:
    told = ledger.read(lambda connection: percentiles(connection, Filter(key="key-0")))
    assert told["seconds"] == {"samples": 80, "p50": 100.0, "p90": 178.0, "p95": 188.0, "p99": 196.0}
    nobody = ledger.read(lambda connection: percentiles(connection, Filter(key="x")))
    assert nobody["seconds"] == {"samples": 0, "p50": None, "p90": None, "p95": None, "p99": None}


def test_pages_of_requests_follow_each_other(ledger: Ledger) -> None:
    seen: list[object] = []
    before = None
    while page := ledger.read(lambda c, before=before: [*requests(c, Filter(), limit=60, before=before)]):  # type: ignore[misc]
        seen += [each["request_id"] for each in page]
        before = page[-1]["id"]
        assert isinstance(before, int)
    assert len(seen) == 201
    assert seen[1:] == [f"r-{number}" for number in reversed(range(200))]


def test_what_was_lately_is_told_in_spans_of_ten_minutes(ledger: Ledger) -> None:
    now = START + 199 * 1800.0 + 1
    told = ledger.read(lambda connection: recent(connection, now=now))
    assert {len(spans) for spans in told.values()} == {SPANS}
    assert sum(each["success"] + each["failed"] for spans in told.values() for each in spans) == 7  # type: ignore[operator]
    last = told["a-3"][-1]
    assert (last["time"], last["success"], last["failed"]) == (START + 199 * 1800, 0, 1)


def test_tokens_by_hour_say_who_gave_them_to_whom(ledger: Ledger) -> None:
    rows = ledger.read(lambda connection: [*tokens_by_hour(connection, since=START)])
    whole = ledger.read(lambda connection: totals(connection, Filter()))[0]["tokens"]
    assert sum(tokens for *_, tokens in rows) == whole
    assert {row[:2] for row in rows} == {(f"a-{number % 4}", f"key-{number % 2}") for number in range(4)}
    assert all(at % 3600 == 0 for _, _, at, _ in rows)
    later = ledger.read(lambda connection: [*tokens_by_hour(connection, since=START + 7200)])
    assert sorted(later) == sorted(row for row in rows if row[2] >= START + 7200)
