"""Days, weeks and months of the calendar, in UTC: what budgets are for."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

Per: TypeAlias = Literal["day", "week", "month"]
PERIODS: tuple[Per, ...] = ("day", "week", "month")

DAY = 86400
_MONDAY = 4 * DAY
"""The first one of Unix time."""


class Period(NamedTuple):
    """Unix seconds; `end` is the beginning of the next."""

    begin: float
    end: float


def period_of(per: Per, unix: float) -> Period:
    """The one that a moment lies in."""
    if per == "day":
        begin = unix // DAY * DAY
        return Period(begin, begin + DAY)
    if per == "week":
        begin = (unix - _MONDAY) // (7 * DAY) * (7 * DAY) + _MONDAY
        return Period(begin, begin + 7 * DAY)
    first = datetime.fromtimestamp(unix, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    year, month = divmod(first.year * 12 + first.month, 12)
    return Period(first.timestamp(), first.replace(year=year, month=month + 1).timestamp())
