from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.server.periods import PERIODS, Per, period_of


def unix(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("per", "moment", "begin", "end"),
    [
        ("day", "2026-11-20T13:00:00", "2026-11-20", "2026-11-21"),
        ("day", "2026-11-20T00:00:00", "2026-11-20", "2026-11-21"),
        ("week", "2026-11-20T13:00:00", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-16T00:00:00", "2026-11-16", "2026-11-23"),
        ("week", "2026-11-15T23:59:59", "2026-11-09", "2026-11-16"),
        ("month", "2026-11-20T13:00:00", "2026-11-01", "2026-12-01"),
        ("month", "2026-12-31T23:59:59", "2026-12-01", "2027-01-01"),
        ("month", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
    ],
)
def test_periods_of_the_calendar(per: Per, moment: str, begin: str, end: str) -> None:
    assert period_of(per, unix(moment)) == (unix(begin), unix(end))


@given(st.sampled_from(PERIODS), st.integers(0, 4_000_000_000))
def test_they_follow_one_another_without_a_gap(per: Per, moment: int) -> None:
    period = period_of(per, moment)
    assert period.begin <= moment < period.end
    assert period_of(per, period.end).begin == period.end
    assert period_of(per, period.end - 1) == period
