"""Numbers, durations and dates, in every spelling that providers have for them. Pure: `now` is Unix seconds."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from auth.quota import DAY, HOUR, MINUTE
from proxy.hub.residue import JsonValue

LONGEST = 31 * DAY
SLACK = 1.05
"""A stated time may exceed its window by so much: clocks differ."""


def bounded(seconds: float, length: float | None = None) -> float | None:
    """What a window of that length allows; None for what lies in the past, is no number or is not finite."""
    if not math.isfinite(seconds) or seconds <= 0:
        return None
    return min(seconds, (length or LONGEST) * SLACK)


def number(value: JsonValue) -> float:
    """NaN for whatever is none: a comparison with it is false, and `bounded` drops it."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan


_DURATION = re.compile(
    r"(?:(\d+(?:\.\d+)?)d)?(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m(?!s))?(?:(\d+(?:\.\d+)?)(ms|s))?"
)


def duration(value: str) -> float:
    """``6m0s``, ``20ms``, ``1h2m3.5s``, ``34.07s``. NaN for anything else."""
    match = _DURATION.fullmatch(value.strip())
    if match is None or not any(match.groups()):
        return math.nan
    days, hours, minutes, last, unit = match.groups()
    seconds = float(last or 0) * (0.001 if unit == "ms" else 1.0)
    return float(days or 0) * DAY + float(hours or 0) * HOUR + float(minutes or 0) * MINUTE + seconds


def from_now(value: JsonValue, now: float) -> float:
    """Seconds from now: a duration, a number of seconds, a date since 1970 in seconds or milliseconds, RFC 3339."""
    plain = number(value)
    if not math.isnan(plain):
        if plain > 1e11:
            return plain / 1000 - now
        return plain - now if plain > 1e9 else plain
    if not isinstance(value, str):
        return math.nan
    try:
        moment = datetime.fromisoformat(value.strip())
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() - now
    except (ValueError, OverflowError):
        return duration(value)


def http_date(value: str) -> float | None:
    """The three formats of RFC 9110 §5.6.7, in Unix seconds."""
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError):
        return None
    return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()


def until_pacific_midnight(now: float) -> float:
    """Google's days end at 00:00 in Los Angeles. By rule, as not every machine has a database of time zones: summer
    time (UTC−7) from the second Sunday of March, 10:00 UTC, to the first of November, 09:00 UTC.
    """
    moment = datetime.fromtimestamp(now, UTC)
    begins = _sunday(moment.year, 3, 2) + timedelta(hours=10)
    ends = _sunday(moment.year, 11, 1) + timedelta(hours=9)
    local = moment - timedelta(hours=7 if begins <= moment < ends else 8)
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (midnight - local).total_seconds()


def _sunday(year: int, month: int, nth: int) -> datetime:
    first = datetime(year, month, 1, tzinfo=UTC)
    return first + timedelta(days=(6 - first.weekday()) % 7 + 7 * (nth - 1))


def until_month_ends(now: float) -> float:
    moment = datetime.fromtimestamp(now, UTC)
    following = (moment.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (following - moment).total_seconds()
