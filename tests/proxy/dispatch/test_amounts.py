from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest

from proxy.dispatch.amounts import (
    LONGEST,
    SLACK,
    bounded,
    duration,
    from_now,
    http_date,
    number,
    until_month_ends,
    until_pacific_midnight,
)
from proxy.hub.residue import JsonValue

HOUR = 3600.0
NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (90, 90.0), ("90", 90.0), ("1m30s", 90.0), ("900ms", 0.9), (NOW + 90, 90.0), (str(NOW + 90), 90.0),
        ((NOW + 90) * 1000, 90.0), ("2026-11-20T12:01:30Z", 90.0), ("2026-11-20T13:01:30+01:00", 90.0),
        ("2026-11-20T12:01:30", 90.0),
    ],
)  # fmt: skip
def test_a_moment_in_any_spelling(value: JsonValue, seconds: float) -> None:
    """A date without a zone is UTC, wherever the proxy stands."""
    assert from_now(value, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [None, True, [], {}, "", "soon", "9" * 5000, 10**400])
def test_what_is_none(value: JsonValue) -> None:
    assert math.isnan(from_now(value, NOW)) or not math.isfinite(from_now(value, NOW))
    assert bounded(from_now(value, NOW)) is None


@pytest.mark.parametrize(
    ("seconds", "length", "kept"),
    [
        (5.0, None, 5.0), (0.0, None, None), (-1.0, None, None), (math.nan, None, None), (math.inf, None, None),
        (1e9, None, LONGEST * SLACK), (1e9, 5 * HOUR, 5 * HOUR * SLACK), (4 * HOUR, 5 * HOUR, 4 * HOUR),
    ],
)  # fmt: skip
def test_bounds(seconds: float, length: float | None, kept: float | None) -> None:
    assert bounded(seconds, length) == kept


def test_numbers() -> None:
    assert [number(value) for value in (7, "7", "+5", 1.5)] == [7.0, 7.0, 5.0, 1.5]
    assert all(math.isnan(number(value)) for value in (True, None, "x", [], 10**400))


@pytest.mark.parametrize(
    ("moment", "hours"),
    [
        (datetime(2026, 1, 10, 7, 0, tzinfo=UTC), 1.0),  # winter: midnight is 08:00 UTC
        (datetime(2026, 7, 10, 6, 0, tzinfo=UTC), 1.0),  # summer: 07:00 UTC
        (datetime(2026, 3, 8, 9, 59, tzinfo=UTC), 22 + 1 / 60),  # a minute before the clocks change
        (datetime(2026, 11, 20, 12, 0, tzinfo=UTC), 20.0),
    ],
)
def test_googles_day_ends_at_midnight_in_california(moment: datetime, hours: float) -> None:
    assert until_pacific_midnight(moment.timestamp()) == pytest.approx(hours * HOUR)


def test_a_month_ends_where_it_ends() -> None:
    assert until_month_ends(datetime(2026, 12, 31, 23, 0, tzinfo=UTC).timestamp()) == HOUR


@pytest.mark.parametrize("text", ["", "s", "5", "1h2", "-3s", "5x"])
def test_what_is_no_duration_is_no_number(text: str) -> None:
    assert math.isnan(duration(text))


def test_what_is_no_date_is_none() -> None:
    assert http_date("tomorrow") is None
